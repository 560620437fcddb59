"""The least time that a device could take for a network, from its arithmetic and from its memory traffic.

Both rates are measured on the device itself: that of a large matrix product, and that of a large copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import CAMVID

_MATRIX_SIZE = {"cpu": 2048, "cuda": 8192}
_COPIED_BYTES = {"cpu": 1 << 28, "cuda": 1 << 31}
_REPEATS = 10


@dataclass(frozen=True)
class Work:
    """What a pass of a network needs: operations, an addition being one, and elements moved.

    Elements are those that its convolutions read and write, their weights included, each once: whatever lies
    between two convolutions is taken to cost nothing.
    """

    flop: int
    elements: int


@dataclass(frozen=True)
class Rates:
    """Operations a second in matrix products, and bytes a second, read and written, in copying."""

    flop_per_second: float
    bytes_per_second: float


def work(name: str, batch: int, size: tuple[int, int]) -> Work:
    """Return what network ``name`` needs for ``batch`` images of ``size`` (H, W); nothing is computed."""
    with torch.device("meta"):
        network = models.build(name, len(CAMVID)).eval()
        images = torch.empty(batch, 3, *size)
    elements = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal elements
        tensors = (*inputs, output, *module.parameters())
        elements += sum(tensor.numel() for tensor in tensors)

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.register_forward_hook(count)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    return Work(counter.get_total_flops(), elements)


def measured_rates(device: torch.device, dtype: torch.dtype) -> Rates:
    """Return the rates of a device, each the best of some tries, in ``dtype`` for the matrix product."""
    n = _MATRIX_SIZE[device.type]
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(a)
    source = torch.zeros(_COPIED_BYTES[device.type], dtype=torch.uint8, device=device)
    copy = torch.zeros_like(source)
    return Rates(
        2 * n**3 / _best_seconds(lambda: torch.mm(a, b, out=product), device),
        2 * source.numel() / _best_seconds(lambda: copy.copy_(source), device),
    )


def _best_seconds(run: Callable[[], Any], device: torch.device) -> float:
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
