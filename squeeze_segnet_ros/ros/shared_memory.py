"""Fast DDS's segments in shared memory: what killed processes have left is freed, little room is told.

A process takes its segment with it when it ends; one that is killed leaves it, 64 MiB with our profile, and
nobody frees it. A segment's owner holds a lock (flock) on the file of its name and ``_el``, from before the
segment is made to the owner's end, however it comes, by which ``fastdds shm clean`` goes too.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from squeeze_segnet_ros.ros import fastdds

if TYPE_CHECKING:
    from rclpy.node import Node

LITTLE = 2 * fastdds.SEGMENT
"""Bytes left of /dev/shm below which it is told: two more processes of a graph."""
_LOCK = "_el"
_NAME = re.compile(rf"fast(?:rtps|dds)_[0-9a-f]{{16}}{_LOCK}")
_YOUNG = 10.0
"""Seconds: a lock's file is made a moment before it is locked."""
_PERIOD = 10.0


class Freed(NamedTuple):
    """Segments that were removed, and the bytes that they had."""

    segments: int
    size: int

    def __str__(self) -> str:
        return (
            f"freed {self.size >> 20} MiB of {fastdds.SHARED_MEMORY}: {self.segments} segment(s) of Fast DDS "
            "left by processes that were killed"
        )


def free_dead_segments(folder: Path = fastdds.SHARED_MEMORY) -> Freed:
    """Remove the segments of this user's processes that are no more; never one in use, or another user's."""
    segments = size = 0
    for lock in folder.glob(f"fast*{_LOCK}"):
        if not _NAME.fullmatch(lock.name):
            continue
        with suppress(OSError):  # its owner lives, or it is gone meanwhile
            file = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if _is_dead(file, lock):
                    size += _remove(lock.with_name(lock.name.removesuffix(_LOCK)))
                    segments += 1
                    lock.unlink()
            finally:
                os.close(file)
    return Freed(segments, size)


def exit_at_once() -> None:
    """End this process with exit code 0 and without putting anything away, but for its own segments."""
    with suppress(OSError):
        for file in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                lock = file.readlink()
                if lock.parent == fastdds.SHARED_MEMORY and _NAME.fullmatch(lock.name):
                    # Who has mapped it keeps it; the lock is ours until the end.
                    _remove(lock.with_name(lock.name.removesuffix(_LOCK)))
                    lock.unlink()
    os._exit(0)


def _is_dead(file: int, lock: Path) -> bool:
    """Return whether a lock belongs to nobody; it is held then until ``file`` is closed."""
    facts = os.fstat(file)
    if not _is_ours(facts) or time.time() - facts.st_mtime < _YOUNG:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.path.samestat(facts, os.lstat(lock))


def _remove(segment: Path) -> int:
    """Remove a segment and return its bytes."""
    with suppress(FileNotFoundError):
        facts = segment.lstat()
        if _is_ours(facts):
            segment.unlink()
            return facts.st_blocks * 512
    return 0


def _is_ours(facts: os.stat_result) -> bool:
    return stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()


class Room:
    """Looks after the room in /dev/shm while a node runs. ``clock`` gives seconds."""

    def __init__(
        self,
        node: Node,
        folder: Path = fastdds.SHARED_MEMORY,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._folder = folder
        self._clock = clock
        self._needed = fastdds.is_in_force(environment)
        self._looked = -_PERIOD
        self._caution = ""

    def caution(self) -> str:
        """Free what can be freed where little is left; return what to say of it if that is not enough."""
        if not self._needed or self._clock() - self._looked < _PERIOD:
            return self._caution
        self._looked = self._clock()
        if self._free() < LITTLE and (freed := free_dead_segments(self._folder)).segments:
            self._node.get_logger().info(str(freed))
        told, free = bool(self._caution), self._free()
        self._caution = (
            ""
            if free >= LITTLE
            else f"only {free >> 20} MiB of {self._folder} are free, and each process of a graph takes "
            f"{fastdds.SEGMENT >> 20}: one that starts now may lose large images; see {fastdds.PAGE}"
        )
        if self._caution and not told:
            self._node.get_logger().warning(self._caution)
        return self._caution

    def _free(self) -> int:
        try:
            facts = os.statvfs(self._folder)
        except OSError:  # no such place: told where the profile is left out
            return LITTLE
        return facts.f_bavail * facts.f_frsize
