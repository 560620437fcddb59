"""Which memory goes back to the kernel, and when."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

if platform.libc_ver()[0] != "glibc":
    pytest.skip("only glibc can be told what to do with freed memory", allow_module_level=True)

PROGRAM = """
import contextlib

import numpy as np

from squeeze_segnet_ros.memory import (
    keep_freed_memory, release_freed_memory, resident_bytes, separate_blocks
)

MB = 10**6


def left_behind():
    '''What of a hundred megabytes in blocks is still there after they are gone, in megabytes.'''
    before = resident_bytes()
    blocks = [np.ones(4 * MB, np.uint8) for _ in range(25)]
    last = np.ones(2 * MB, np.uint8)
    del blocks
    return (resident_bytes() - before) / MB - 2


print("default", left_behind())
assert keep_freed_memory()
with separate_blocks():
    assert keep_freed_memory()
    print("separate", left_behind())
print("kept", left_behind())
release_freed_memory()
with contextlib.suppress(ValueError), separate_blocks():
    raise ValueError
print("again", left_behind())
"""

THREADS = """
import ctypes
import os
import sys
import threading

from squeeze_segnet_ros.memory import share_one_heap

if "one" in sys.argv:
    assert share_one_heap()
alive = threading.Barrier(5)


def allocate():
    block = bytearray(10**5)
    alive.wait(timeout=30)


threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
alive.wait(timeout=30)
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
report = os.memfd_create("report")
stream = ctypes.c_void_p(libc.fdopen(os.dup(report), b"w"))
libc.malloc_info(0, stream)
libc.fclose(stream)
print(os.pread(report, 10**6, 0).count(b"<heap nr="))
"""


def test_threads_share_one_heap_where_they_are_told_to() -> None:
    def heaps(*arguments: str) -> int:
        command = [sys.executable, "-c", THREADS, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return int(done.stdout)

    assert heaps() > 1
    assert heaps("one") == 1


def test_blocks_are_kept_but_those_of_a_network_that_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    left = {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    assert left["default"] < 20
    assert left["separate"] < 20
    assert left["kept"] > 80
    assert left["again"] > 80
