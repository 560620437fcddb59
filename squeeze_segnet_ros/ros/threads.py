"""Threads that say what they do, as ``top -H`` and a debugger show it."""

from __future__ import annotations

import ctypes
import sys
import threading


def name_thread(name: str) -> None:
    """Give the calling thread a name, of which the kernel keeps 15 characters."""
    if not sys.platform.startswith("linux"):
        return
    set_name = getattr(ctypes.CDLL(None), "pthread_setname_np", None)
    if set_name is not None:
        set_name(ctypes.c_void_p(threading.get_ident()), name.encode()[:15])
