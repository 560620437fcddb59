"""From class scores to labels and confidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from squeeze_segnet_ros.classes import UNLABELLED


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
        """Take logits (N, K, H, W)."""
        return cls(logits.movedim(1, 0).contiguous(), lambda pixels: pixels)

    def logits(self) -> Tensor:
        """Return logits (N, K, H, W)."""
        return self.assemble(self.planes).movedim(0, 1)

    def decide(self, with_confidence: bool, min_confidence: float = 0.0) -> tuple[Tensor, Tensor | None]:
        """Return labels uint8 (N, H, W), and if asked the probability of each times 255, uint8 (N, H, W).

        Of classes with the same score the first wins. Labels with a probability below ``min_confidence``,
        0..1, become 255.
        """
        best = self.planes.amax(0)
        # argmax over planes takes many times as long. Integers compare faster than bf16, and faster still
        # when the answers are of their type; the first of equals has the largest of falling ranks.
        exact = {2: torch.int16, 4: torch.int32}[best.itemsize]
        hits = torch.empty_like(self.planes, dtype=exact)
        torch.eq(self.planes.view(exact), best.view(exact), out=hits)
        ranks = torch.arange(len(hits), 0, -1, dtype=exact, device=best.device).view(-1, *[1] * best.dim())
        labels = hits.mul_(ranks).amax(0).neg_().add_(len(hits)).to(torch.uint8)
        confidence = None
        if with_confidence or min_confidence > 0:
            probability = (self.planes.float() - best.float()).exp_().sum(0).reciprocal_()
            if min_confidence > 0:
                # What is not a number is below every minimum.
                labels = labels.masked_fill_(~(probability >= min_confidence), UNLABELLED)
            confidence = self.assemble(probability.mul_(255).round_().to(torch.uint8))
        return self.assemble(labels), confidence
