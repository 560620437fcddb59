"""By comparisons alone, for runtimes without scatter and MaxUnpool: every pixel asks the windows it is in.

Places are 3 * row + column in the window, as numbers of the type of x.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from squeeze_segnet_ros.models.unpooling.contract import STRIDE

_WINDOW = 3
"""Places are counted in rows of three, for windows of 2x2 too."""
_LOWEST = -65504.0
"""Less than any feature, in fp16 too."""


def pool(x: Tensor, kernel_size: int, ceil_mode: bool) -> tuple[Tensor, Tensor]:
    """See :mod:`~squeeze_segnet_ros.models.unpooling.contract`."""
    pooled = F.max_pool2d(x, kernel_size, stride=STRIDE, ceil_mode=ceil_mode)
    return pooled, _place(x, pooled, kernel_size)


def _place(x: Tensor, pooled: Tensor, kernel_size: int) -> Tensor:
    """Return where in its window the first maximum stands, by comparisons: 3 * row + column, (N, C, h, w).

    Args:
        x: (N, C, H, W), what was pooled.
        pooled: (N, C, h, w), its maxima over windows of ``kernel_size`` with stride 2.
        kernel_size: 2 or 3.
    """
    h, w = pooled.shape[2:]
    height, width = 2 * h + kernel_size - 2, 2 * w + kernel_size - 2
    x = F.pad(x, (0, width - x.shape[3], 0, height - x.shape[2]), value=_LOWEST)
    place = torch.zeros_like(pooled)
    for row in reversed(range(kernel_size)):
        for column in reversed(range(kernel_size)):
            here = x[:, :, row : row + 2 * h : 2, column : column + 2 * w : 2]
            place = torch.where(here == pooled, float(_WINDOW * row + column), place)
    return place


def unpool(x: Tensor, place: Tensor, size: tuple[int, int]) -> Tensor:
    """See :mod:`~squeeze_segnet_ros.models.unpooling.contract`."""
    # Pixel (2 i, 2 j) may be in four windows; window (i, j) is the latest of them, and asked last.
    here, before = (0, 1), (1, 0)
    x_at, place_at = (
        {
            (down, right): F.pad(t, (*right, *down), value=fill)
            for down in (here, before)
            for right in (here, before)
        }
        for t, fill in ((x, 0.0), (place, -1.0))
    )
    rows = []
    for y in (0, 1):
        pixels = []
        for column in (0, 1):
            value = torch.zeros_like(x_at[here, here])
            for down in (before, here)[y:]:
                for right in (before, here)[column:]:
                    wanted = _WINDOW * (2 if down is before else y) + (2 if right is before else column)
                    value = torch.where(place_at[down, right] == float(wanted), x_at[down, right], value)
            pixels.append(value)
        rows.append(torch.stack(pixels, 4).flatten(3))
    plane = torch.stack(rows, 3).flatten(2, 3)
    return plane[:, :, : size[0], : size[1]]
