"""What every way to pool and unpool keeps to.

``pool`` takes x (N, C, H, W), a kernel size of 2 or 3 and whether windows may reach over the lower and right
border, as those of 3 must for an even size; it returns the maxima of windows with stride 2, (N, C, h, w), and
where each was found, (N, C, h, w), in a form of its own: of equal maxima the first counts.

``unpool`` takes values (N, C, h, w) of any floating type, on a CPU of bytes too, what ``pool`` returned of
where, and the size (H, W) of the plane that was pooled; it returns (N, C, H, W) of the values' type: each
value where its maximum was, zeros elsewhere. Where windows overlap, two of them may name one pixel: the later
window in row-major order wins, as in a sequential loop, on every device and in every batch size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

STRIDE = 2


class Way(NamedTuple):
    """A way to pool and unpool; see the module for what both do."""

    pool: Callable[[Tensor, int, bool], tuple[Tensor, Tensor]]
    unpool: Callable[[Tensor, Tensor, tuple[int, int]], Tensor]


@dataclass(frozen=True)
class Places:
    """Where a pooling found its maxima.

    Attributes:
        where: (N, C, h, w), in the form of the way that found them.
        size: (H, W) of the plane that was pooled.
        way: which that was.
    """

    where: Tensor
    size: tuple[int, int]
    way: Way


def pooled_length(length: int, kernel_size: int, ceil_mode: bool) -> int:
    """Return height or width of the pooled plane, for that of the plane."""
    return (max(length - kernel_size, 0) + ceil_mode) // STRIDE + 1
