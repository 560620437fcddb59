"""From class scores to labels and confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.images.pixels import resize, resize_labels


@dataclass(frozen=True)
class Scores:
    """Class scores of N images of one size, as whatever network gives them.

    Attributes:
        planes: (K, ...), one contiguous plane for each class, in the pixel order of the network.
        assemble: brings the pixels of a tensor (..., *planes.shape[1:]) into image order, (..., N, H, W).
        ids: uint8 (256,), the label of each plane's number; None where they are the same.
    """

    planes: Tensor
    assemble: Callable[[Tensor], Tensor]
    ids: Tensor | None = None

    @classmethod
    def of_logits(cls, logits: Tensor) -> Scores:
        """Take logits (N, K, H, W)."""
        return cls(logits.movedim(1, 0).contiguous(), lambda pixels: pixels)

    def at(self, size: tuple[int, int]) -> Scores:
        """Return the scores at another size (H, W), resized bilinearly."""
        logits = self.assemble(self.planes).movedim(0, 1)  # (N, K, h, w)
        return self if tuple(logits.shape[2:]) == size else Scores.of_logits(resize(logits, size))

    def joined(self, joining: Joining) -> Scores:
        """Return logits whose softmax is the sum of those of the classes that are joined."""
        planes = [
            torch.stack([self.planes[i].float() for i in members]).logsumexp(0) for members in joining.members
        ]
        return Scores(torch.stack(planes), self.assemble, joining.ids)

    def decide(self, with_confidence: bool, min_confidence: float = 0.0) -> tuple[Tensor, Tensor | None]:
        """Return labels uint8 (N, H, W), and if asked the probability of each times 255, uint8 (N, H, W).

        Of classes with the same score the first wins. Labels with a probability below ``min_confidence``,
        0..1, become 255; so do those of pixels with a score that is not a number, whose confidence is 0.
        """
        labels, best = first_maximum(self.planes)
        if self.ids is not None:
            labels = self.ids[labels.int()]
        confidence = None
        if with_confidence or min_confidence > 0:
            probability = _probability_of_the_best(self.planes, best)
            if with_confidence:
                confidence = (probability * 255).round_().to(torch.uint8).mul_(labels != UNLABELLED)
                confidence = self.assemble(confidence)
            if min_confidence > 0:
                labels = labels.masked_fill_(probability < min_confidence, UNLABELLED)
        return self.assemble(labels), confidence


@dataclass(frozen=True)
class Joining:
    """Which classes of a network become one label.

    Attributes:
        members: the classes of each label that has some.
        ids: uint8 (256,), those labels; 255, unlabelled, behind them and for what leads nowhere.
        of_class: uint8 (256,), the label of each of the network's classes, 255 behind them.
    """

    members: tuple[tuple[int, ...], ...]
    ids: Tensor
    of_class: Tensor

    @classmethod
    def of(cls, targets: Sequence[int | None], device: torch.device) -> Joining:
        """Take the label of each class, None for unlabelled; the tensors are on ``device``."""
        by_label: dict[int, list[int]] = {}
        for i, target in enumerate(targets):
            by_label.setdefault(UNLABELLED if target is None else target, []).append(i)
        # In the order of the labels, so that of equal scores the first label wins.
        labels = sorted(by_label)
        ids, of_class = (torch.full((UNLABELLED + 1,), UNLABELLED, dtype=torch.uint8) for _ in range(2))
        ids[: len(labels)] = torch.tensor(labels, dtype=torch.uint8)
        of_class[: len(targets)] = torch.tensor([UNLABELLED if t is None else t for t in targets])
        return cls(tuple(tuple(by_label[label]) for label in labels), ids.to(device), of_class.to(device))


@dataclass(frozen=True)
class Labels:
    """Labels of a network that gives nothing else: uint8 (N, H, W)."""

    labels: Tensor

    def at(self, size: tuple[int, int]) -> Labels:
        """Return the labels at another size (H, W), the nearest ones."""
        return Labels(resize_labels(self.labels, size))

    def decide(self, with_confidence: bool, min_confidence: float = 0.0) -> tuple[Tensor, None]:
        """Return the labels; there is no confidence, and who asks for one is refused before."""
        return self.labels, None


def first_maximum(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the first of the largest scores stands, and that score; ``max(0)`` is many times slower.

    Args:
        planes: (K, ...), K of 1 to 255 classes, any floating type.

    Returns:
        uint8 (...), the class: 255 where a score is not a number; and the score, (...).
    """
    best = planes.amax(0)  # (...), NaN where a plane has one
    # Comparing is fastest where PyTorch has vectors for both types. NaN equals nothing, and -0.0 is +0.0.
    dtype = torch.float32 if planes.dtype == torch.float32 else torch.int16
    hits = torch.empty_like(planes, dtype=dtype)  # (K, ...), 0 or 1
    torch.eq(planes, best, out=hits)
    # The first of equals has the largest of falling ranks; without a hit nothing is taken from 255.
    last = UNLABELLED - len(planes)
    ranks = torch.arange(UNLABELLED, last, -1, dtype=dtype, device=planes.device)
    rank = hits.mul_(ranks.view(-1, *[1] * best.dim())).amax(0)
    return rank.neg_().add_(UNLABELLED).to(torch.uint8), best


def _probability_of_the_best(planes: Tensor, best: Tensor) -> Tensor:
    """Return the softmax of the largest of (K, ...) scores, float32 (...); without meaning where one is NaN.

    As many scores as are infinite and largest share the probability evenly.
    """
    below = planes - best if planes.dtype == torch.float32 else planes.float().sub_(best.float())  # (K, ...)
    # Infinity less infinity is not a number.
    return below.nan_to_num_(nan=0.0).exp_().sum(0).reciprocal_()
