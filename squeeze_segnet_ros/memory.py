"""Keeps memory that a frame has freed for the next one, and gives it back when a network has gone."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
"""Names and numbers of glibc's mallopt."""
# Only the main arena can hold blocks of any size, and it does so when it may not map them one by one.
_KEPT = ((_M_TRIM_THRESHOLD, 2**31 - 1), (_M_MMAP_MAX, 0), (_M_ARENA_MAX, 1))
_ONE_HEAP = ((_M_ARENA_MAX, 1),)
_SEPARATE = ((_M_MMAP_MAX, 2**16), (_M_MMAP_THRESHOLD, 2**17))
_state = {"kept": False, "separate": False}


def share_one_heap() -> bool:
    """Make all threads that start from now on share one heap; return whether the C library took it.

    By default glibc gives new threads heaps of their own, up to eight for each core, and each keeps what its
    largest frame took: a process whose threads come and go grows for hours. To be called before any library
    starts threads: a heap that is there stays in use.
    """
    return _set(_ONE_HEAP)


def keep_freed_memory() -> bool:
    """Tell the C library not to hand freed blocks back to the kernel; return whether it took it.

    Large blocks go back at once by default, so that every frame's feature maps are mapped, and cleared by the
    kernel page by page, anew: a fifth of the time of a frame. It is a setting of the whole process, whose
    memory stays at its peak. Where the C library is not glibc, nothing happens. Within
    :func:`separate_blocks` it takes effect afterwards.
    """
    _state["kept"] = _glibc("mallopt") is not None
    return _state["kept"] and (_state["separate"] or _set(_KEPT))


@contextmanager
def separate_blocks() -> Iterator[None]:
    """Give every large block pages of its own, which go back to the kernel with it: to load a network.

    What stays of the network would lie between feature maps otherwise. When it goes, it leaves holes that
    those do not fit into, and the process would grow with each change of the weights.
    """
    _state["separate"] = True
    _set(_SEPARATE)
    try:
        yield
    finally:
        _state["separate"] = False
        if _state["kept"]:
            _set(_KEPT)


def release_freed_memory() -> None:
    """Hand what is free back to the kernel and the GPU's driver, as when a network has gone."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if malloc_trim := _glibc("malloc_trim"):
        malloc_trim(ctypes.c_size_t(0))


def _set(settings: Sequence[tuple[int, int]]) -> bool:
    mallopt = _glibc("mallopt")
    return mallopt is not None and all(mallopt(name, value) == 1 for name, value in settings)


def _glibc(name: str) -> Any:
    """Return a function of glibc's own, or None where there is none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
