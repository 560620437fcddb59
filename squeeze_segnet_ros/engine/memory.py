"""Keeps memory that a frame has freed for the next one, and gives it back when a network has gone."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
"""Names and numbers of glibc's mallopt."""


def keep_freed_memory() -> bool:
    """Tells the C library not to hand freed blocks back to the kernel; returns whether it took it.

    Large blocks go back at once by default, so that every frame's feature maps are mapped, and cleared by the
    kernel page by page, anew: a fifth of the time of a frame. It is a setting of the whole process, whose
    memory stays at its peak. Where the C library is not glibc, nothing happens.
    """
    mallopt = _glibc("mallopt")
    if mallopt is None:
        return False
    # Only the main arena can hold blocks of any size, and it does so when it may not map them one by one.
    settings = ((_M_TRIM_THRESHOLD, 2**31 - 1), (_M_MMAP_MAX, 0), (_M_ARENA_MAX, 1))
    return all(mallopt(name, value) == 1 for name, value in settings)


def release_freed_memory() -> None:
    """Hands what is free back to the kernel.

    A network that is loaded beside another, which then goes, leaves holes that its own feature maps do not
    fit into: without this, every change of the weights would let the process grow.
    """
    if malloc_trim := _glibc("malloc_trim"):
        malloc_trim(ctypes.c_size_t(0))


def _glibc(name: str) -> Any:
    """A function of glibc's own, or None where there is none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
