"""Three stages that work at the same time: prepare a batch, run the network on it, hand the results on.

So the rate is that of the slowest stage, not of their sum. Batches leave in the order in which they came.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from squeeze_segnet_ros.ros.threads import name_thread

FrameT = TypeVar("FrameT")
JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

_SMOOTHING = 0.2
"""Share of the newest time in the average of a stage's."""


class Stages(NamedTuple, Generic[FrameT, JobT, ResultT]):
    """What is done, each in threads of its own.

    Attributes:
        take: waits for frames and takes a batch; an empty one when there will be no more.
        prepare: makes a job of a frame, or settles the frame and gives None. Several at the same time.
        group: makes groups of a batch's jobs, each of which goes through the network at once.
        compute: the network, over a group; raises what it likes.
        hand_on: takes every batch in the order of :attr:`take`: its frames, its groups, and their results.
    """

    take: Callable[[], list[FrameT]]
    prepare: Callable[[FrameT], JobT | None]
    group: Callable[[Sequence[JobT]], list[list[JobT]]]
    compute: Callable[[list[JobT]], ResultT]
    hand_on: Callable[[list[FrameT], list[tuple[list[JobT], Future[ResultT]]]], None]


class Pipeline(Generic[FrameT, JobT, ResultT]):
    """Runs batches through :class:`Stages` until there are no more.

    A frame is taken as late as it can be without the network having to wait for it: until then, a newer one
    can take its place.

    Args:
        stages: what is done.
        passes: how many groups the network works on at a time.
        decoders: how many threads prepare the frames of a batch.
    """

    def __init__(self, stages: Stages[FrameT, JobT, ResultT], passes: int = 1, decoders: int = 1) -> None:
        self._stages = stages
        self._pace = Pace(passes)
        self._network = ThreadPoolExecutor(passes, "network", name_thread, ("network",))
        self._decoders = ThreadPoolExecutor(decoders, "decode", name_thread, ("decode",))
        # One batch that is prepared, those in the network, one that is handed on: more would only grow old.
        self._places = threading.Semaphore(passes + 2)
        self._leaving: SimpleQueue[tuple[list[FrameT], list[tuple[list[JobT], Future[ResultT]]]] | None]
        self._leaving = SimpleQueue()
        # Daemons: a pass cannot be interrupted, and a process that has to end does not wait for it.
        self._threads = [
            threading.Thread(target=self._prepare, name="prepare", daemon=True),
            threading.Thread(target=self._hand_on, name="publish", daemon=True),
        ]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the end of the work, once there are no more frames; False when it takes longer."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _prepare(self) -> None:
        name_thread("prepare")
        while True:
            self._places.acquire()
            self._pace.wait_for_turn()
            frames = self._stages.take()
            if not frames:
                break
            started = time.monotonic()
            # A single one is not worth the way to another thread and back.
            run = map if len(frames) == 1 else self._decoders.map
            jobs = [job for job in run(self._stages.prepare, frames) if job is not None]
            groups = self._stages.group(jobs)
            self._pace.prepared(time.monotonic() - started, len(groups))
            self._leaving.put(
                (frames, [(group, self._network.submit(self._compute, group)) for group in groups])
            )
        self._leaving.put(None)
        self._network.shutdown(wait=False)
        self._decoders.shutdown(wait=False)

    def _compute(self, group: list[JobT]) -> ResultT:
        with self._pace.passing():
            return self._stages.compute(group)

    def _hand_on(self) -> None:
        name_thread("publish")
        while batch := self._leaving.get():
            self._stages.hand_on(*batch)
            self._places.release()


class Pace:
    """Says when to take the next batch: just early enough to be prepared when the network is free.

    ``clock`` gives seconds.
    """

    def __init__(self, passes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._passes = passes
        self._clock = clock
        self._queued = 0
        self._running: list[float] = []
        self._prepare_time = self._pass_time = 0.0
        self._changed = threading.Condition()

    def wait_for_turn(self) -> None:
        """Wait until it is time."""
        with self._changed:
            while (seconds := self.seconds_left()) > 0:
                self._changed.wait(seconds if seconds < float("inf") else None)

    def prepared(self, seconds: float, groups: int) -> None:
        """Note how long it took to prepare a batch, and that its groups go to the network."""
        with self._changed:
            self._prepare_time += _SMOOTHING * (seconds - self._prepare_time)
            self._queued += groups

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Note that a pass runs."""
        with self._changed:
            self._queued -= 1
            self._running.append(began := self._clock())
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(began)
                self._pass_time += _SMOOTHING * (self._clock() - began - self._pass_time)
                self._changed.notify_all()

    def seconds_left(self) -> float:
        """Return how long to wait, as far as it is known: without end while a group waits for the network."""
        if self._queued:
            return float("inf")
        if len(self._running) < self._passes:
            return 0.0
        free = min(self._running) + self._pass_time
        return free - self._prepare_time - self._clock()
