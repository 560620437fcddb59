"""By PyTorch's own functions on a CPU: int64 flat positions in the plane."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from squeeze_segnet_ros.models.unpooling.contract import STRIDE


def pool(x: Tensor, kernel_size: int, ceil_mode: bool) -> tuple[Tensor, Tensor]:
    """See :mod:`~squeeze_segnet_ros.models.unpooling.contract`."""
    return F.max_pool2d(x, kernel_size, stride=STRIDE, ceil_mode=ceil_mode, return_indices=True)


def unpool(x: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
    """See :mod:`~squeeze_segnet_ros.models.unpooling.contract`."""
    if x.dtype == torch.uint8:
        # PyTorch's takes no bytes, but moves patterns of 16 bits as they are.
        patterns = unpool(x.to(torch.int16).view(torch.bfloat16), indices, size)
        return patterns.view(torch.int16).to(torch.uint8)
    # A CPU walks the windows of a plane in order, so that the later one overwrites the earlier; but PyTorch
    # hands each thread a run of windows, and where two runs meet there is no order.
    unpooled = F.max_unpool2d(x, indices, [2, 2], output_size=size)
    if torch.get_num_threads() > 1:
        # Every window gets its gradient as it is: only values are set anew.
        # (Autocast unpools in fp32.)
        planes, values, places = unpooled.detach(), x.detach().to(unpooled.dtype), indices
        if not x.is_contiguous(memory_format=torch.channels_last):
            planes, values, places = (t.flatten(0, 1)[:, None] for t in (planes, values, places))
        for image, row in _rows_where_runs_meet(values.shape, torch.get_num_threads()):
            _unpool_again(planes[image], values[image], places[image], row)
    return unpooled


def _rows_where_runs_meet(shape: torch.Size, threads: int) -> set[tuple[int, int]]:
    """Return image and row of the windows at which a thread begins, when windows are dealt in equal runs."""
    images, _channels, height, width = shape
    windows = images * height * width
    starts = range(-(-windows // threads), windows, -(-windows // threads))
    places = [divmod(start, height * width) for start in starts]
    return {(image, window // width) for image, window in places if window}


def _unpool_again(plane: Tensor, x: Tensor, indices: Tensor, row: int) -> None:
    """Set what the windows of one row share with others in ``plane``, (C, H, W), as if walked in order."""
    # What the next row of windows shares with those behind it is theirs, which come later.
    first, later = 2 * row, plane[:, 2 * row + 4 : 2 * row + 5]
    kept = later.clone()
    # Channels last, as is no copy for the engine, a scatter keeps the order of the windows for each channel.
    # It is too slow for more of the plane than these windows cover.
    values, places = (t[:, row : row + 2].permute(1, 2, 0).flatten(0, 1) for t in (x, indices))
    pixels = plane[:, first : first + 5].permute(1, 2, 0).flatten(0, 1)
    pixels.scatter_(0, places - first * plane.shape[2], values)
    later.copy_(kept)
