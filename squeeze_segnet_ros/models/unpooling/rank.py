"""For devices whose scatter has no order: int64 flat positions in the plane, the later window by its rank."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from squeeze_segnet_ros.models.unpooling.scatter import pool

__all__ = ["pool", "unpool"]


def unpool(x: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
    """See :mod:`~squeeze_segnet_ros.models.unpooling.contract`.

    A first scatter with a maximum, which no order can change, finds the last window that names each pixel;
    then each pixel gathers that window's value.
    """
    n, c, h, w = x.shape
    flat_indices = indices.reshape(n, c, -1)  # (N, C, h * w)
    windows = torch.arange(1, h * w + 1, device=x.device).expand_as(flat_indices)
    last_window = flat_indices.new_zeros((n, c, size[0] * size[1]))  # (N, C, H * W), 0 for none
    last_window.scatter_reduce_(2, flat_indices, windows, "amax")
    values = F.pad(x.reshape(n, c, -1), (1, 0))  # (N, C, 1 + h * w)
    return values.gather(2, last_window).reshape(n, c, *size)
