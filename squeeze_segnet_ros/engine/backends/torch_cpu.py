"""PyTorch on a CPU: one pass at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor, nn

from squeeze_segnet_ros.engine.backends.base import Backend, Function, Network, Results
from squeeze_segnet_ros.engine.backends.fused import for_cpu
from squeeze_segnet_ros.engine.backends.plain import Normalization
from squeeze_segnet_ros.engine.device import INT8, PRECISIONS, choose_precision
from squeeze_segnet_ros.memory import keep_freed_memory
from squeeze_segnet_ros.models.weights import Int8Scales


class CpuBackend(Backend):
    """Calls the network directly; two threads wait for each other."""

    def __init__(self, network: Network, precision: str, gives_scores: bool = True) -> None:
        super().__init__(network, torch.device("cpu"), precision, gives_scores)
        keep_freed_memory()
        self._lock = threading.Lock()

    def run(
        self, function: Function, inputs: Sequence[Tensor], key: Hashable
    ) -> tuple[Results, dict[str, float]]:
        """See :class:`Backend`."""
        with self._lock:
            start = time.perf_counter()
            results = function(*inputs)
            return results, {"upload": 0.0, "network": time.perf_counter() - start, "download": 0.0}


def torch_on_cpu(
    network: nn.Module, precision: str, normalization: Normalization, int8: Int8Scales | None = None
) -> CpuBackend:
    """Return a backend for a network whose batch norms are folded; the network is not changed.

    ``int8`` are the scales that precision ``int8`` needs; what they leave out is in the best of the others.
    """
    if precision != INT8:
        return CpuBackend(for_cpu(network, PRECISIONS[precision], normalization), precision)
    dtype = PRECISIONS[choose_precision("auto", torch.device("cpu"))]
    return CpuBackend(for_cpu(network, dtype, normalization, int8), precision)
