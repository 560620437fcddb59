"""The building blocks that the networks share.

``Fire`` is SqueezeNet's module (arXiv 1602.07360, section 3.1), ``DFire`` its inverse in Squeeze-SegNet's
decoder (arXiv 1711.05491, section 3.2), and ``max_unpool`` SegNet's upsampling (arXiv 1511.00561, section 3).
"""

from __future__ import annotations

import importlib
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Return a size-keeping convolution, batch norm, ReLU; the norm folds into the convolution later."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class Fire(nn.Module):
    """SqueezeNet's Fire: a 1x1 squeeze, then 1x1 and 3x3 expansions side by side, concatenated.

    (N, in_channels, H, W) -> (N, 2 * expand, H, W).
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(in_channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze1x1(x))
        return torch.cat((F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))), 1)


class DFire(nn.Module):
    """The inverse of a Fire: 1x1 and 3x3 expansions side by side, concatenated, then a 1x1 squeeze.

    (N, in_channels, H, W) -> (N, out_channels, H, W). Each expansion is ``in_channels // 8`` wide.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        expand = in_channels // 8
        self.expand1x1 = conv_bn_relu(in_channels, expand, 1)
        self.expand3x3 = conv_bn_relu(in_channels, expand, 3)
        self.squeeze1x1 = conv_bn_relu(2 * expand, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.squeeze1x1(torch.cat((self.expand1x1(x), self.expand3x3(x)), 1))


def max_unpool(x: Tensor, indices: Tensor, output_size: tuple[int, int]) -> Tensor:
    """Put each value of ``x`` where max-pooling found it, zeros elsewhere.

    Where pooling windows overlap, two of them may name the same pixel: the later window in row-major
    order wins, as in a sequential loop, on every device and in every batch size.

    Args:
        x: (N, C, h, w), any floating type.
        indices: (N, C, h, w), where each maximum was found, as :class:`MaxPool` returns it: uint8 for a GPU's
            kernel, else int64.
        output_size: (H, W) of the plane before pooling.

    Returns:
        (N, C, H, W) of the type of ``x``.
    """
    if torch.compiler.is_exporting():
        return unpool_by_place(x, indices, output_size)
    if indices.dtype == torch.uint8:
        return _kernels().max_unpool(x, indices, output_size)
    if x.device.type != "cpu":
        return _max_unpool_by_rank(x, indices, output_size)
    # A CPU walks the windows of a plane in order, so that the later one overwrites the earlier; but PyTorch
    # hands each thread a run of windows, and where two runs meet there is no order.
    unpooled = F.max_unpool2d(x, indices, [2, 2], output_size=output_size)
    if torch.get_num_threads() > 1:
        planes, values, places = unpooled, x, indices
        if not x.is_contiguous(memory_format=torch.channels_last):
            planes, values, places = (t.flatten(0, 1)[:, None] for t in (unpooled, x, indices))
        for image, row in _rows_where_runs_meet(values.shape, torch.get_num_threads()):
            _unpool_again(planes[image], values[image], places[image], row)
    return unpooled


def _kernels() -> ModuleType:
    """Import the kernels; only a GPU's user waits until Triton is imported."""
    return importlib.import_module("squeeze_segnet_ros.models.kernels")


def _rows_where_runs_meet(shape: torch.Size, threads: int) -> set[tuple[int, int]]:
    """Return image and row of the windows at which a thread begins, when windows are dealt in equal runs."""
    images, _channels, height, width = shape
    windows = images * height * width
    starts = range(-(-windows // threads), windows, -(-windows // threads))
    places = [divmod(start, height * width) for start in starts]
    return {(image, window // width) for image, window in places if window}


def _unpool_again(plane: Tensor, x: Tensor, indices: Tensor, row: int) -> None:
    """Set what the windows of one row cover in ``plane``, (C, H, W), as if they had been walked in order."""
    height, width = plane.shape[1:]
    rows = slice(max(row - 1, 0), row + 2)
    top, bottom = 2 * rows.start, min(2 * row + 5, height)
    # Channels last, as is no copy for the engine, a scatter along the windows takes a third of the time. It
    # keeps their order for each channel; it is too slow for the whole plane.
    values, places = (t[:, rows].permute(1, 2, 0).flatten(0, 1) for t in (x, indices))
    part = values.new_zeros(((bottom - top) * width, x.shape[0]))
    part = part.scatter(0, places - top * width, values).unflatten(0, (-1, width)).permute(2, 0, 1)
    covered = slice(2 * row, min(2 * row + 3, height))
    plane[:, covered] = part[:, covered.start - top : covered.stop - top]


def _max_unpool_by_rank(x: Tensor, indices: Tensor, output_size: tuple[int, int]) -> Tensor:
    """Do as ``max_unpool``, for devices whose scatter has no order.

    A first scatter with a maximum, which no order can change, finds the last window that names each pixel;
    then each pixel gathers that window's value.
    """
    n, c, h, w = x.shape
    flat_indices = indices.reshape(n, c, -1)
    windows = torch.arange(1, h * w + 1, device=x.device).expand_as(flat_indices)
    last_window = flat_indices.new_zeros((n, c, output_size[0] * output_size[1]))
    last_window.scatter_reduce_(2, flat_indices, windows, "amax")
    values = F.pad(x.reshape(n, c, -1), (1, 0))
    return values.gather(2, last_window).reshape(n, c, *output_size)


class MaxPool(nn.Module):
    """3x3 (or 2x2) max-pooling with stride 2 that also returns where each maximum was found.

    (N, C, H, W) -> (N, C, h, w) and indices of the same shape for :func:`max_unpool`: int64, flat positions
    in the H x W plane; while a network is exported, places in the window as of :func:`max_pool_place`, and on
    a GPU too, as uint8, where no gradient is asked for.
    """

    def __init__(self, kernel_size: int, ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if torch.compiler.is_exporting():
            pooled = F.max_pool2d(x, self.kernel_size, stride=2, ceil_mode=self.ceil_mode)
            return pooled, max_pool_place(x, pooled, self.kernel_size)
        needs_no_gradient = not (torch.is_grad_enabled() and x.requires_grad)
        if x.is_cuda and needs_no_gradient and _kernels().available(x.device, x.dtype):
            return _kernels().max_pool(
                x, self.kernel_size, (self.pooled(x.shape[2]), self.pooled(x.shape[3]))
            )
        return F.max_pool2d(x, self.kernel_size, stride=2, ceil_mode=self.ceil_mode, return_indices=True)

    def pooled(self, length: int) -> int:
        """Return height or width of the pooled plane, for that of the plane."""
        steps = max(length - self.kernel_size, 0) + self.ceil_mode
        return steps // 2 + 1


_WINDOW = 3
"""Places are counted in rows of three, for windows of 2x2 too."""
_LOWEST = -65504.0
"""Less than any feature, in fp16 too."""


def max_pool_place(x: Tensor, pooled: Tensor, kernel_size: int) -> Tensor:
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


def unpool_by_place(x: Tensor, place: Tensor, output_size: tuple[int, int]) -> Tensor:
    """Do as ``max_unpool`` without a scatter, which runtimes lack: each pixel asks the windows it is in.

    Args:
        x: (N, C, h, w).
        place: (N, C, h, w), as :func:`max_pool_place` gives it.
        output_size: (H, W) of the plane before pooling.
    """
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
    return plane[:, :, : output_size[0], : output_size[1]]
