"""The frames that wait for the network, and what became of every frame that ever came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Generic, TypeVar

FrameT = TypeVar("FrameT")


class Fate(Enum):
    """What became of a frame; the value is the name of its counter."""

    LABELLED = "labelled"
    UNWATCHED = "unwatched"
    REPLACED = "replaced"
    TOO_OLD = "too_old"
    INVALID = "invalid"
    FAILED = "failed"
    SHUTTING_DOWN = "shutting_down"


DROPS = (Fate.REPLACED, Fate.TOO_OLD, Fate.INVALID, Fate.FAILED, Fate.SHUTTING_DOWN)
"""The fates that lose a frame that somebody wanted."""


@dataclass(frozen=True)
class Counts:
    """Frames of one camera; ``received == labelled + unwatched + dropped + waiting``, always.

    ``waiting`` holds those that are in the queue or being worked on, ``unwatched`` those that were left alone
    because nobody listened to any output. ``lost`` frames were sent and not received: newer ones took their
    place in the middleware's queue, or they got lost on the way.
    """

    received: int = 0
    waiting: int = 0
    labelled: int = 0
    unwatched: int = 0
    replaced: int = 0
    too_old: int = 0
    invalid: int = 0
    failed: int = 0
    shutting_down: int = 0
    lost: int = 0

    @property
    def drops(self) -> dict[str, int]:
        """Dropped frames by cause."""
        return {fate.value: getattr(self, fate.value) for fate in DROPS}

    @property
    def dropped(self) -> int:
        """Dropped frames of all causes."""
        return sum(self.drops.values())

    def __str__(self) -> str:
        words = [f"{self.received} received", f"{self.labelled} labelled"]
        words += [
            f"{count} {name}"
            for name, count in asdict(self).items()
            if count and name not in words[0] + words[1]
        ]
        return ", ".join(words)


class FrameQueue(Generic[FrameT]):
    """Holds the latest frames of each camera until a worker takes them; for use from any thread.

    Args:
        cameras: how many cameras there are; they are numbered from 0.
        depth: frames of one camera that may wait. When one more comes, the oldest is given up.
    """

    def __init__(self, cameras: int, depth: int = 1) -> None:
        self._waiting: list[deque[FrameT]] = [deque() for _ in range(cameras)]
        self._taken = [0] * cameras
        self._given_up = [0] * cameras
        self._counts = [Counts() for _ in range(cameras)]
        self._depth = depth
        self._next = 0
        self._open = True
        self._working = False
        self._changed = threading.Condition()

    def put(self, camera: int, frame: FrameT) -> None:
        """Take a frame that came. In a closed queue it is counted as ``shutting_down`` and forgotten."""
        with self._changed:
            self._count(camera, received=1, waiting=1)
            if not self._open:
                self._settle(camera, Fate.SHUTTING_DOWN)
                return
            if len(self._waiting[camera]) == self._depth:
                self._waiting[camera].popleft()
                self._settle(camera, Fate.REPLACED)
            self._waiting[camera].append(frame)
            self._changed.notify_all()

    def miss(self, camera: int, frames: int) -> None:
        """Count frames that were sent and did not come."""
        with self._changed:
            self._count(camera, lost=frames)

    def take(self, limit: int) -> list[tuple[int, FrameT]]:
        """Wait for frames, then take the oldest that waits of up to ``limit`` cameras, in turn.

        Each must be settled with :meth:`settle`. The next call says that this work is over. An empty list
        means that the queue was closed and nothing is left.
        """
        with self._changed:
            self._working = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: any(self._waiting) or not self._open)
            count = len(self._waiting)
            order = [(self._next + i) % count for i in range(count)]
            chosen = [camera for camera in order if self._waiting[camera]][:limit]
            if chosen:
                # The camera after the last one served is the first of the next batch, so that none starves.
                self._next = (chosen[-1] + 1) % count
                self._working = True
            for camera in chosen:
                self._taken[camera] += 1
            return [(camera, self._waiting[camera].popleft()) for camera in chosen]

    def settle(self, camera: int, fate: Fate) -> None:
        """Say what became of a frame that was taken; nothing, if it was discarded meanwhile."""
        with self._changed:
            if self._given_up[camera]:
                self._given_up[camera] -= 1
                return
            self._taken[camera] -= 1
            self._settle(camera, fate)

    def open(self) -> None:
        """Take frames again after :meth:`close`."""
        with self._changed:
            self._open = True

    def close(self) -> None:
        """Take no more frames; those that wait can still be taken."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def discard(self) -> None:
        """Count every frame that waits or is being worked on as ``shutting_down``."""
        with self._changed:
            for camera, frames in enumerate(self._waiting):
                for _ in range(len(frames) + self._taken[camera]):
                    self._settle(camera, Fate.SHUTTING_DOWN)
                frames.clear()
                self._given_up[camera] += self._taken[camera]
                self._taken[camera] = 0
            self._changed.notify_all()

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until nothing waits and nothing is being worked on; False after ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not any(self._waiting) and not self._working, timeout)

    def counts(self, camera: int) -> Counts:
        """Return what became of the frames of one camera up to now."""
        with self._changed:
            return self._counts[camera]

    @staticmethod
    def total(counts: Sequence[Counts]) -> Counts:
        """Return the counts of several cameras together."""
        return Counts(*(sum(column) for column in zip(*(asdict(c).values() for c in counts), strict=True)))

    def _settle(self, camera: int, fate: Fate) -> None:
        self._count(camera, waiting=-1, **{fate.value: 1})

    def _count(self, camera: int, **steps: int) -> None:
        counts = self._counts[camera]
        self._counts[camera] = replace(
            counts, **{name: getattr(counts, name) + n for name, n in steps.items()}
        )
