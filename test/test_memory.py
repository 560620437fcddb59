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
from pathlib import Path

import numpy as np

from squeeze_segnet_ros.engine.memory import keep_freed_memory, release_freed_memory, separate_blocks

MB = 10**6


def left_behind():
    '''What of a hundred megabytes in blocks is still there after they are gone, in megabytes.'''
    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / MB

    before = resident()
    blocks = [np.ones(4 * MB, np.uint8) for _ in range(25)]
    last = np.ones(2 * MB, np.uint8)
    del blocks
    return resident() - before - 2


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


def test_blocks_are_kept_but_those_of_a_network_that_is_loaded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    left = {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}
    assert left["default"] < 20
    assert left["separate"] < 20
    assert left["kept"] > 80
    assert left["again"] > 80
