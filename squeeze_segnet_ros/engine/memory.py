"""Keeps memory that a frame has freed for the next one."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
"""Names and numbers of glibc's mallopt."""


def keep_freed_memory() -> bool:
    """Tells the C library not to hand freed blocks back to the kernel; returns whether it took it.

    Large blocks go back at once by default, so that every frame's feature maps are mapped, and cleared by the
    kernel page by page, anew: a fifth of the time of a frame. It is a setting of the whole process, whose
    memory stays at its peak. Where the C library is not glibc, nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    # Only the main arena can hold blocks of any size, and it does so when it may not map them one by one.
    settings = ((_M_TRIM_THRESHOLD, 2**31 - 1), (_M_MMAP_MAX, 0), (_M_ARENA_MAX, 1))
    return all(mallopt(name, value) == 1 for name, value in settings)
