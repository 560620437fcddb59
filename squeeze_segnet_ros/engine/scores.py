"""From class scores to labels and confidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from squeeze_segnet_ros.labels import UNLABELLED


@dataclass(frozen=True)
class Scores:
    """Class scores of N images of one size, as whatever network gives them.

    Attributes:
        planes: (K, ...), one contiguous plane for each class, in the pixel order of the network.
        assemble: brings the pixels of a tensor (..., *planes.shape[1:]) into image order, (..., N, H, W).
    """

    planes: Tensor
    assemble: Callable[[Tensor], Tensor]

    @classmethod
    def of_logits(cls, logits: Tensor) -> Scores:
        """Takes logits (N, K, H, W)."""
        return cls(logits.movedim(1, 0).contiguous(), lambda pixels: pixels)

    def logits(self) -> Tensor:
        """(N, K, H, W)."""
        return self.assemble(self.planes).movedim(0, 1)

    def decide(self, with_confidence: bool, min_confidence: float = 0.0) -> tuple[Tensor, Tensor | None]:
        """Labels uint8 (N, H, W), and when asked for the probability of each times 255, uint8 (N, H, W).

        Of classes with the same score the first wins. Labels with a probability below ``min_confidence``,
        0..1, become 255.
        """
        best = self.planes.amax(0)
        # argmax over planes takes five times as long: the first of equals has the largest of falling ranks.
        ranks = torch.arange(len(self.planes), 0, -1, dtype=torch.uint8, device=best.device)
        ranks = ranks.view(-1, *[1] * best.dim())
        labels = len(self.planes) - (self.planes == best).view(torch.uint8).mul_(ranks).amax(0)
        confidence = None
        if with_confidence or min_confidence > 0:
            probability = (self.planes.float() - best.float()).exp_().sum(0).reciprocal_()
            if min_confidence > 0:
                labels = labels.masked_fill_(probability < min_confidence, UNLABELLED)
            confidence = self.assemble(probability.mul_(255).round_().to(torch.uint8))
        return self.assemble(labels), confidence
