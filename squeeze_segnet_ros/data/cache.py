"""Decoded images in memory that several processes share."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from squeeze_segnet_ros.data.dataset import Labelled
from squeeze_segnet_ros.errors import ConfigError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_NONE = -1
_SHARE_OF_FREE_MEMORY = 0.5
"""How much of what is free the cache may take where no size is given."""


class Cache:
    """Holds decoded images until its memory is full; what does not fit is decoded again whenever it is asked.

    A copy of it that another process gets (pickled) is a view of the same memory, as long as this one lives.
    """

    def __init__(self, most_bytes: int, entries: int) -> None:
        """Make room for up to ``most_bytes`` of pixels of ``entries`` images; pages are taken as they fill.

        Raises:
            ConfigError: there is less memory than that.
        """
        free = free_memory()
        if most_bytes > free:
            raise ConfigError(
                f"--cache {shown(most_bytes)}: {shown(free)} of memory are free; give less, what is left out "
                f"is decoded anew"
            )
        self._owner, self._file = os.getpid(), os.memfd_create("decoded_images")
        self._entries = entries
        os.ftruncate(self._file, self._header + max(most_bytes, 1))
        self._open()
        self._places[:] = _NONE
        self._end[0] = 0

    def __getstate__(self) -> tuple[int, int, int]:
        return self._owner, self._file, self._entries

    def __setstate__(self, state: tuple[int, int, int]) -> None:
        self._owner, owners_file, self._entries = state
        self._file = os.open(f"/proc/{self._owner}/fd/{owners_file}", os.O_RDWR)
        self._open()

    @property
    def _header(self) -> int:
        return 8 * (1 + 3 * self._entries)

    def _open(self) -> None:
        self._memory = np.frombuffer(mmap.mmap(self._file, 0), np.uint8)
        self._end = self._memory[:8].view(np.int64)
        # For each entry: where its pixels begin, height and width.
        self._places = self._memory[8 : self._header].view(np.int64).reshape(self._entries, 3)
        self._pixels = self._memory[self._header :]

    def get(self, entry: int) -> Labelled | None:
        """Return an entry's image and labels, which are not to be written to; None where it is not held."""
        start, height, width = (int(number) for number in self._places[entry])
        if start == _NONE:
            return None
        size = height * width
        pixels = self._pixels[start : start + 4 * size]
        return Labelled(
            pixels[: 3 * size].reshape(height, width, 3), pixels[3 * size :].reshape(height, width)
        )

    def put(self, entry: int, labelled: Labelled) -> bool:
        """Keep an entry's image and labels; return whether there was room."""
        height, width = labelled.labels.shape
        with self._locked():
            start = int(self._end[0])
            if start + 4 * height * width > len(self._pixels):
                return False
            self._end[0] = start + 4 * height * width
        pixels = self._pixels[start : start + 4 * height * width]
        pixels[: 3 * height * width] = labelled.image.reshape(-1)
        pixels[3 * height * width :] = labelled.labels.reshape(-1)
        # The place last: who sees it may read.
        self._places[entry, 1:] = height, width
        self._places[entry, 0] = start
        return True

    def drop(self) -> None:
        """Forget all entries, and give their memory back."""
        self._places[:] = _NONE
        self._end[0] = 0
        os.ftruncate(self._file, self._header)
        self._pixels = self._pixels[:0]

    @property
    def used_bytes(self) -> int:
        """Bytes that are taken."""
        return int(self._end[0])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def size_in_bytes(text: str) -> int:
    """Return the number of bytes of a text like ``8GB``; of ``auto``, half of the memory that is free.

    Raises:
        ConfigError: it is not such a text.
    """
    word = text.strip().lower()
    if word == "auto":
        return int(_SHARE_OF_FREE_MEMORY * free_memory())
    number = word.rstrip("kmgtb")
    try:
        return int(float(number) * _UNITS[word[len(number) :]])
    except (KeyError, ValueError, OverflowError):
        raise ConfigError(f"--cache '{text}': give a size like 8GB or 500MB, 0, or auto") from None


def shown(size: int) -> str:
    """Return a number of bytes as people write it."""
    for unit in ("TB", "GB", "MB"):
        if size >= _UNITS[unit.lower()]:
            return f"{size / _UNITS[unit.lower()]:.3g} {unit}"
    return f"{size / 1000:.3g} kB"


def free_memory() -> int:
    """Return the bytes of memory that this process may still take: the machine's, or its control group's."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = 1024 * int(fields["MemAvailable"].split()[0])
    try:
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            free = min(free, int(limit) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass  # no limit, or none that can be read
    return max(free, 0)
