"""Max-pooling and unpooling for a GPU, in Triton: one byte per window says where its maximum was found.

In gather form: every pixel asks the windows it is in, so that no order of the threads can change a result.
Triton comes with PyTorch for CUDA; :func:`available` says whether it works.
"""

from __future__ import annotations

import functools
import logging

import torch
from torch import Tensor

from squeeze_segnet_ros.models.unpooling.contract import pooled_length

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

_log = logging.getLogger(__name__)
_BLOCK_CHANNELS, _BLOCK_COLUMNS = 64, 16


@functools.cache
def available(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether the kernels run on ``device`` for ``dtype``; where not, the log says why, once."""
    if triton is None:
        trouble = "Triton is not installed"
    else:
        try:
            # Building a kernel takes a C compiler, and a GPU that Triton knows and that has the type.
            image = torch.zeros(1, 1, 3, 3, device=device, dtype=dtype)
            unpool(*pool(image, 3, False), (3, 3))
            return True
        except Exception as error:
            reason = str(error).partition("\n")[0]
            trouble = f"Triton does not work here ({type(error).__name__}: {reason})"
    _log.warning("%s: pooling and unpooling of %s on %s take a slower way", trouble, dtype, device)
    return False


def pool(x: Tensor, kernel_size: int, ceil_mode: bool) -> tuple[Tensor, Tensor]:
    """See :mod:`~squeeze_segnet_ros.models.unpooling.contract`.

    Any strides, channels last is fastest and comes out; NaN is the largest. Places are uint8,
    3 * row + column in the window.
    """
    n, c, height, width = x.shape
    size = tuple(pooled_length(length, kernel_size, ceil_mode) for length in (height, width))
    pooled = x.new_empty((n, *size, c)).permute(0, 3, 1, 2)
    place = torch.empty_like(pooled, dtype=torch.uint8)
    # Triton asks which GPU is the current one, not where a tensor is.
    with torch.cuda.device_of(x):
        _max_pool[_grid(n, c, *size)](
            x, pooled, place, c, height, width, *size, *x.stride(), kernel_size,
            _BLOCK_COLUMNS, _BLOCK_CHANNELS,
        )  # fmt: skip
    return pooled, place


def unpool(x: Tensor, place: Tensor, size: tuple[int, int]) -> Tensor:
    """See :mod:`~squeeze_segnet_ros.models.unpooling.contract`. Any strides; channels last comes out."""
    n, c, h, w = x.shape
    unpooled = x.new_empty((n, *size, c)).permute(0, 3, 1, 2)
    with torch.cuda.device_of(x):
        _max_unpool[_grid(n, c, *size)](
            x, place, unpooled, c, h, w, *size, *x.stride(), *place.stride(),
            _BLOCK_COLUMNS, _BLOCK_CHANNELS,
        )  # fmt: skip
    return unpooled


def _grid(n: int, c: int, rows: int, columns: int) -> tuple[int, int, int]:
    return n * rows, triton.cdiv(columns, _BLOCK_COLUMNS), triton.cdiv(c, _BLOCK_CHANNELS)


if triton is not None:

    @triton.jit
    def _max_pool(  # type: ignore[no-untyped-def]
        x, pooled, place, channels, height, width, h, w, x_n, x_c, x_h, x_w,
        KERNEL: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        line = tl.program_id(0).to(tl.int64)
        n, i = line // h, line % h + tl.full((COLUMNS, 1), 0, tl.int64)
        j = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[:, None]
        c = (tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS))[None, :]
        inside = (j < w) & (c < channels)
        best = tl.full((COLUMNS, CHANNELS), float("-inf"), tl.float32)
        where = tl.full((COLUMNS, CHANNELS), 0, tl.int32)
        for row in tl.static_range(KERNEL):
            for column in tl.static_range(KERNEL):
                y, z = 2 * i + row, 2 * j + column
                there = inside & (y < height) & (z < width)
                value = tl.load(x + n * x_n + c * x_c + y * x_h + z * x_w, there, float("-inf"))
                value = value.to(tl.float32)
                better = (value > best) | (value != value)
                best = tl.where(better, value, best)
                where = tl.where(better, 3 * row + column, where)
        target = (line * w + j) * channels + c
        tl.store(pooled + target, best.to(pooled.dtype.element_ty), inside)
        tl.store(place + target, where.to(tl.uint8), inside)

    @triton.jit
    def _max_unpool(  # type: ignore[no-untyped-def]
        x, place, unpooled, channels, h, w, height, width, x_n, x_c, x_h, x_w, p_n, p_c, p_h, p_w,
        COLUMNS: tl.constexpr, CHANNELS: tl.constexpr,
    ):  # fmt: skip
        line = tl.program_id(0).to(tl.int64)
        n, y = line // height, line % height + tl.full((COLUMNS, 1), 0, tl.int64)
        z = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[:, None]
        c = (tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS))[None, :]
        inside = (z < width) & (c < channels)
        value = tl.full((COLUMNS, CHANNELS), 0, unpooled.dtype.element_ty)
        # Window (y // 2, z // 2) is the latest of those that the pixel is in, and asked last.
        for down in tl.static_range(2):
            for right in tl.static_range(2):
                i, j = y // 2 - 1 + down, z // 2 - 1 + right
                row, column = y - 2 * i, z - 2 * j
                asked = inside & (i >= 0) & (i < h) & (j >= 0) & (j < w) & (row < 3) & (column < 3)
                found = tl.load(place + n * p_n + c * p_c + i * p_h + j * p_w, asked, 255).to(tl.int32)
                here = asked & (found == 3 * row + column)
                value = tl.where(here, tl.load(x + n * x_n + c * x_c + i * x_h + j * x_w, here, 0), value)
        tl.store(unpooled + (line * width + z) * channels + c, value, inside)
