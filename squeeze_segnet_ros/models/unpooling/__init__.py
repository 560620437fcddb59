"""Max-pooling that says where its maxima stood, and SegNet's upsampling, which puts values back there.

(arXiv 1511.00561, section 3.) There is a way for each device and purpose, a file each; all keep to one
:mod:`~squeeze_segnet_ros.models.unpooling.contract`.
"""

from __future__ import annotations

import importlib

import torch
from torch import Tensor, nn

from squeeze_segnet_ros.models.unpooling import comparisons, rank, scatter
from squeeze_segnet_ros.models.unpooling.contract import Places, Way

__all__ = ["COMPARISONS", "RANK", "SCATTER", "MaxPool", "Places", "Way", "max_unpool", "triton_way"]

SCATTER = Way(scatter.pool, scatter.unpool)
RANK = Way(rank.pool, rank.unpool)
COMPARISONS = Way(comparisons.pool, comparisons.unpool)


class MaxPool(nn.Module):
    """3x3 (or 2x2) max-pooling with stride 2 that also returns where each maximum was found.

    (N, C, H, W) -> (N, C, h, w) and the :class:`Places` of its maxima for :func:`max_unpool`.

    Args:
        kernel_size: 2 or 3.
        ceil_mode: whether windows may reach over the lower and right border.
        way: how; None chooses by device and purpose.
    """

    def __init__(self, kernel_size: int, ceil_mode: bool = False, way: Way | None = None) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.ceil_mode = ceil_mode
        self.way = way

    def forward(self, x: Tensor) -> tuple[Tensor, Places]:
        way = self.way or _best_way(x)
        pooled, where = way.pool(x, self.kernel_size, self.ceil_mode)
        return pooled, Places(where, (x.shape[2], x.shape[3]), way)


def max_unpool(x: Tensor, places: Places) -> Tensor:
    """Put each value of ``x`` where max-pooling found it, zeros elsewhere; the later window wins.

    Args:
        x: (N, C, h, w), any floating type.
        places: of (N, C, h, w) maxima, as :class:`MaxPool` returns them.

    Returns:
        (N, C, H, W) of the type of ``x``: the size of the plane that was pooled.
    """
    return places.way.unpool(x, places.where, places.size)


def triton_way(device: torch.device, dtype: torch.dtype) -> Way | None:
    """Return the GPU's kernels, or None where they do not run; they give no gradient."""
    # Only a GPU's user waits until Triton is imported.
    kernels = importlib.import_module("squeeze_segnet_ros.models.unpooling.triton_kernels")
    return Way(kernels.pool, kernels.unpool) if kernels.available(device, dtype) else None


def _best_way(x: Tensor) -> Way:
    if torch.compiler.is_exporting():
        return COMPARISONS
    if x.device.type == "cpu":
        return SCATTER
    needs_gradient = torch.is_grad_enabled() and x.requires_grad
    return (x.is_cuda and not needs_gradient and triton_way(x.device, x.dtype)) or RANK
