"""The frames that wait for the network, and what became of every frame that ever came."""

from __future__ import annotations

import threading
from collections import deque
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
    labelled: int = 0
    waiting: int = 0
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
        always = ("received", "labelled")
        return ", ".join(f"{count} {name}" for name, count in asdict(self).items() if count or name in always)


class Slot(Generic[FrameT]):
    """The place of one camera in a :class:`FrameQueue`; for use from any thread."""

    def __init__(self, depth: int, changed: threading.Condition) -> None:
        self._waiting: deque[FrameT] = deque()
        self._depth = depth
        self._taken = self._given_up = 0
        self._counts = Counts()
        self._open = True
        self._changed = changed

    def put(self, frame: FrameT) -> None:
        """Take a frame that came. In a closed queue it is counted as ``shutting_down`` and forgotten."""
        with self._changed:
            self._count(received=1, waiting=1)
            if not self._open:
                self._became(Fate.SHUTTING_DOWN)
                return
            if len(self._waiting) == self._depth:
                self._waiting.popleft()
                self._became(Fate.REPLACED)
            self._waiting.append(frame)
            self._changed.notify_all()

    def miss(self, frames: int) -> None:
        """Count frames that were sent and did not come."""
        with self._changed:
            self._count(lost=frames)

    def settle(self, fate: Fate) -> None:
        """Say what became of a frame that was taken; nothing, if it was discarded meanwhile."""
        with self._changed:
            if self._given_up:
                self._given_up -= 1
                return
            self._taken -= 1
            self._became(fate)

    def counts(self) -> Counts:
        """Return what became of the frames up to now."""
        with self._changed:
            return self._counts

    # What follows is the queue's, which holds the lock.

    def _take(self) -> FrameT:
        self._taken += 1
        return self._waiting.popleft()

    def _discard(self) -> None:
        for _ in range(len(self._waiting) + self._taken):
            self._became(Fate.SHUTTING_DOWN)
        self._waiting.clear()
        self._given_up += self._taken
        self._taken = 0

    def _became(self, fate: Fate) -> None:
        self._count(waiting=-1, **{fate.value: 1})

    def _count(self, **steps: int) -> None:
        self._counts = replace(
            self._counts, **{name: getattr(self._counts, name) + n for name, n in steps.items()}
        )


class FrameQueue(Generic[FrameT]):
    """Holds the latest frames of each camera until a worker takes them; for use from any thread.

    Args:
        depth: frames of one camera that may wait. When one more comes, the oldest is given up.
    """

    def __init__(self, depth: int = 1) -> None:
        self._slots: list[Slot[FrameT]] = []
        self._depth = depth
        self._next = 0
        self._open = True
        self._in_work = 0
        self._changed = threading.Condition()

    def add_slot(self) -> Slot[FrameT]:
        """Add a place for one more camera."""
        slot: Slot[FrameT] = Slot(self._depth, self._changed)
        self._slots.append(slot)
        return slot

    def take(self, limit: int) -> list[FrameT]:
        """Wait for frames, then take the oldest that waits of up to ``limit`` cameras, in turn.

        Each must be settled with :meth:`Slot.settle`, and all together be released with :meth:`done`. An
        empty list means that the queue was closed and nothing is left.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._holds_frames() or not self._open)
            count = len(self._slots)
            order = [(self._next + i) % count for i in range(count)]
            chosen = [number for number in order if self._slots[number]._waiting][:limit]
            if chosen:
                # The camera after the last one served is the first of the next batch, so that none starves.
                self._next = (chosen[-1] + 1) % count
            self._in_work += len(chosen)
            return [self._slots[number]._take() for number in chosen]

    def done(self, frames: int) -> None:
        """Say that the work on so many of the frames that were taken is over."""
        with self._changed:
            self._in_work -= frames
            self._changed.notify_all()

    def open(self) -> None:
        """Take frames again after :meth:`close`."""
        self._set_open(True)

    def close(self) -> None:
        """Take no more frames; those that wait can still be taken."""
        self._set_open(False)

    def discard(self) -> None:
        """Count every frame that waits or is being worked on as ``shutting_down``."""
        with self._changed:
            for slot in self._slots:
                slot._discard()
            self._changed.notify_all()

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until nothing waits and nothing is being worked on; False after ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._holds_frames() and not self._in_work, timeout)

    def _holds_frames(self) -> bool:
        return any(slot._waiting for slot in self._slots)

    def _set_open(self, is_open: bool) -> None:
        with self._changed:
            self._open = is_open
            for slot in self._slots:
                slot._open = is_open
            self._changed.notify_all()
