"""How a pass gets its images onto the device and its results back: directly on a CPU, pipelined on a GPU.

Both have ``run(function, inputs, key)``: ``function`` is called with the ``inputs``, tensors on the host,
brought onto the device; its results come back as tensors on the host, with the seconds of each stage. ``key``
stands for whatever else decides what the function does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from squeeze_segnet_ros.errors import DeviceLostError

Results = Sequence["Tensor | None"]
Function = Callable[..., Results]

_log = logging.getLogger(__name__)
_MAX_GRAPHS = 8
"""Shapes whose CUDA graphs are kept, each with the memory of its feature maps."""
_capturing = threading.Lock()
"""A capture begins with waiting for all of the GPU, which fails while another is underway in the process."""


class CpuExecution:
    """One pass at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def run(
        self, function: Function, inputs: Sequence[Tensor], key: Hashable
    ) -> tuple[Results, dict[str, float]]:
        """See the module."""
        with self._lock:
            start = time.perf_counter()
            results = function(*inputs)
            return results, {"upload": 0.0, "network": time.perf_counter() - start, "download": 0.0}

    def free_memory(self) -> bool:
        """Return False: nothing is kept between passes."""
        return False


@dataclass
class _Graph:
    graph: torch.cuda.CUDAGraph
    inputs: Sequence[Tensor]
    results: Results


class CudaExecution:
    """Copies of one thread's images run beside the computing of another's; each shape has its CUDA graph.

    Pinned memory and the GPU's come from PyTorch's caches, so that both stay at what the first frames took.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._uploading, self._computing, self._downloading = (torch.cuda.Stream(device) for _ in range(3))
        self._graphs: OrderedDict[Hashable, _Graph | None] = OrderedDict()
        self._with_graphs = True
        self._lock = threading.Lock()

    def run(
        self, function: Function, inputs: Sequence[Tensor], key: Hashable
    ) -> tuple[Results, dict[str, float]]:
        """See the module.

        Raises:
            DeviceLostError: the GPU has failed for good, in this process.
        """
        try:
            return self._run(function, inputs, key)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            if self._is_lost():
                raise DeviceLostError(
                    f"{self._device} has failed and stays so until the process is started again: {reason}"
                ) from error
            raise

    def _is_lost(self) -> bool:
        """Return whether every later call fails too, as after an illegal access or with a GPU off the bus."""
        try:
            with _capturing:
                torch.cuda.synchronize(self._device)
        except RuntimeError:
            return True
        return False

    def _run(
        self, function: Function, inputs: Sequence[Tensor], key: Hashable
    ) -> tuple[Results, dict[str, float]]:
        with torch.cuda.device(self._device):
            begun, uploaded, started, computed, downloaded = (
                torch.cuda.Event(enable_timing=True) for _ in range(5)
            )
            with torch.cuda.stream(self._uploading):
                begun.record()
                pinned = [each.contiguous().pin_memory() for each in inputs]
                on_device = [each.to(self._device, non_blocking=True) for each in pinned]
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
