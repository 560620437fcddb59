"""How much memory a process holds, and which freed memory the C library keeps for what comes next.

The policies are settings of glibc's mallopt for the whole process. With another C library nothing happens.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
"""Numbers of mallopt's parameters."""

ONE_HEAP: Mapping[int, int] = {_ARENA_MAX: 1}
"""For threads that come and go.

By default each gets a heap of its own, up to eight for each core, and each heap keeps what its largest frame
took: the process grows for hours.
"""
FRAMES: Mapping[int, int] = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0, **ONE_HEAP}
"""For frames that follow each other: freed blocks of any size stay, and the process's memory at its peak.

By default large blocks go back at once, so that every frame's feature maps are mapped, and cleared by the
kernel page by page, anew: a fifth of the time of a frame. Only the main heap can hold blocks of any size.
"""
NETWORK: Mapping[int, int] = {_MMAP_MAX: 2**16, _MMAP_THRESHOLD: 2**17}
"""For loading a network: every large block has pages of its own, which go back to the kernel with it.

In the heap the network would lie between feature maps. When it goes, it would leave holes that those do not
fit into, and the process would grow with each change of the weights.
"""


@dataclass
class _Process:
    """What holds in this process: frames are kept, and a network is loaded, which goes before."""

    keeps_frames: bool = False
    loads: bool = False


_process = _Process()


def share_one_heap() -> bool:
    """Set :data:`ONE_HEAP` for all threads that start from now on; return whether the C library took it.

    To be called before any library starts threads: a heap that is there stays in use.
    """
    return _set(ONE_HEAP)


def keep_freed_memory() -> bool:
    """Set :data:`FRAMES`, after :func:`separate_blocks` if within; return whether the C library took it."""
    _process.keeps_frames = _glibc("mallopt") is not None
    return _process.keeps_frames and (_process.loads or _set(FRAMES))


@contextmanager
def separate_blocks() -> Iterator[None]:
    """Set :data:`NETWORK` for as long as a network is loaded."""
    _process.loads = True
    _set(NETWORK)
    try:
        yield
    finally:
        _process.loads = False
        if _process.keeps_frames:
            _set(FRAMES)


def release_freed_memory() -> None:
    """Hand what is free back to the kernel and the GPU's driver, as when a network has gone."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if malloc_trim := _glibc("malloc_trim"):
        malloc_trim(ctypes.c_size_t(0))


def resident_bytes(pid: int | None = None) -> int:
    """Return how many bytes of a process, None for this one, are in RAM.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        pages = Path("/proc", _named(pid), "statm").read_text().split()[1]
    except OSError:
        if pid is not None:
            raise ProcessLookupError(f"there is no process {pid}") from None
        # Not Linux: the peak is the best there is.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(pages) * resource.getpagesize()


def peak_resident_bytes(pid: int | None = None) -> int:
    """Return the most bytes of a process, None for this one, that ever were in RAM.

    Raises:
        ProcessLookupError: there is no such process, or this is not Linux.
    """
    try:
        lines = Path("/proc", _named(pid), "status").read_text().splitlines()
    except OSError:
        raise ProcessLookupError(f"there is no process {_named(pid)}") from None
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


def _named(pid: int | None) -> str:
    return "self" if pid is None else str(pid)


def _set(policy: Mapping[int, int]) -> bool:
    mallopt = _glibc("mallopt")
    return mallopt is not None and all(mallopt(number, value) == 1 for number, value in policy.items())


def _glibc(name: str) -> Any:
    """Return a function of glibc's own, or None where there is none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
