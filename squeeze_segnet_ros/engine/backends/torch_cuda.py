"""PyTorch on a GPU: pipelined, with a CUDA graph for each shape."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from squeeze_segnet_ros.engine.backends.base import Backend, Function, Network, Results
from squeeze_segnet_ros.engine.backends.plain import Normalization, PlainNetwork
from squeeze_segnet_ros.engine.device import PRECISIONS, without_tf32
from squeeze_segnet_ros.errors import DeviceLostError

_log = logging.getLogger(__name__)
_MAX_GRAPHS = 8
"""Shapes whose CUDA graphs are kept, each with the memory of its feature maps."""
_capturing = threading.Lock()
"""A capture begins with waiting for all of the GPU, which fails while another is underway in the process."""


@dataclass
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: Sequence[Tensor]
    results: Results


class CudaBackend(Backend):
    """Copies of one thread's images run beside the computing of another's; each shape has its CUDA graph.

    Pinned memory and the GPU's come from PyTorch's caches, so that both stay at what the first frames took.
    A network that PyTorch does not run, of which no graph can be captured, comes without ``graphs``.
    """

    def __init__(
        self,
        network: Network,
        device: torch.device,
        precision: str,
        gives_scores: bool = True,
        graphs: bool = True,
    ) -> None:
        super().__init__(network, device, precision, gives_scores)
        self._uploading, self._computing, self._downloading = (torch.cuda.Stream(device) for _ in range(3))
        self._graphs: OrderedDict[Hashable, _Graph | None] = OrderedDict()
        self._with_graphs = graphs
        self._lock = threading.Lock()

    def run(
        self, function: Function, inputs: Sequence[Tensor], key: Hashable
    ) -> tuple[Results, dict[str, float]]:
        """See :class:`Backend`."""
        try:
            return self._run(function, inputs, key)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            if self._is_lost():
                raise DeviceLostError(
                    f"{self.device} has failed and stays so until the process is started again: {reason}"
                ) from error
            raise

    def _is_lost(self) -> bool:
        """Return whether every later call fails too, as after an illegal access or with a GPU off the bus."""
        try:
            with _capturing:
                torch.cuda.synchronize(self.device)
        except RuntimeError:
            return True
        return False

    def _run(
        self, function: Function, inputs: Sequence[Tensor], key: Hashable
    ) -> tuple[Results, dict[str, float]]:
        with torch.cuda.device(self.device):
            begun, uploaded, started, computed, downloaded = (
                torch.cuda.Event(enable_timing=True) for _ in range(5)
            )
            with torch.cuda.stream(self._uploading):
                begun.record()
                pinned = [each.contiguous().pin_memory() for each in inputs]
                on_device = [each.to(self.device, non_blocking=True) for each in pinned]
                uploaded.record()
            with self._lock:
                with torch.cuda.stream(self._computing):
                    uploaded.wait()
                    started.record()
                    results = self._compute(function, on_device, key)
                    computed.record()
                with torch.cuda.stream(self._downloading):
                    computed.wait()
                    on_host = [None if each is None else self._download(each) for each in results]
                    downloaded.record()
                # The next pass of this shape writes to the same memory.
                downloaded.wait(self._computing)
            # What the streams share, on_device and results, is held until then.
            downloaded.synchronize()
            seconds = {
                "upload": begun.elapsed_time(uploaded) / 1000,
                "network": started.elapsed_time(computed) / 1000,
                "download": computed.elapsed_time(downloaded) / 1000,
            }
            return on_host, seconds

    def free_memory(self) -> bool:
        """Give up the CUDA graphs, whose feature maps no other pass can use, and PyTorch's free blocks.

        Returns:
            Whether there was a graph, so that what did not fit before may fit now.
        """
        with self._lock:
            had_graphs = any(self._graphs.values())
            self._drop_graphs()
        torch.cuda.empty_cache()
        return had_graphs

    def _drop_graphs(self) -> None:
        self._downloading.synchronize()
        self._graphs.clear()

    def _download(self, result: Tensor) -> Tensor:
        return torch.empty_like(result, device="cpu", pin_memory=True).copy_(result, non_blocking=True)

    def _compute(self, function: Function, inputs: Sequence[Tensor], key: Hashable) -> Results:
        if not self._with_graphs:
            return function(*inputs)
        key = (key, *(each.shape for each in inputs))
        if key not in self._graphs:
            # The first pass of a shape lets the libraries choose their kernels, which a capture may not.
            self._graphs[key] = None
            if len(self._graphs) > _MAX_GRAPHS:
                self._graphs.popitem(last=False)
            return function(*inputs)
        self._graphs.move_to_end(key)
        graph = self._graphs[key]
        if graph is None:
            try:
                graph = self._graphs[key] = self._capture(function, inputs)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                self._with_graphs = False
                self._drop_graphs()
                reason = str(error).splitlines()[0]
                _log.warning("CUDA graphs do not work here, every kernel is launched by itself: %s", reason)
                return function(*inputs)
        for inside, given in zip(graph.inputs, inputs, strict=True):
            inside.copy_(given)
        graph.graph.replay()
        return graph.results

    def _capture(self, function: Function, inputs: Sequence[Tensor]) -> _Graph:
        inside = [each.clone() for each in inputs]
        graph = torch.cuda.CUDAGraph()
        # Other threads of the process may go on using the GPU meanwhile, but for captures of their own.
        with (
            _capturing,
            torch.cuda.graph(graph, stream=self._computing, capture_error_mode="thread_local"),
        ):
            results = function(*inside)
        return _Graph(graph, inside, results)


def torch_on_cuda(
    network: nn.Module, device: torch.device, precision: str, normalization: Normalization
) -> CudaBackend:
    """Return a backend for a network whose batch norms are folded; the network moves to the GPU."""
    if precision == "fp32":
        without_tf32()
    plain = PlainNetwork(network.to(device), PRECISIONS[precision], normalization)
    return CudaBackend(plain, device, precision)
