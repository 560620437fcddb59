"""Three stages at the same time: the order stays, frames are taken late, errors and the end lose nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

import pytest

from squeeze_segnet_ros.ros.pipeline import Pace, Pipeline, Stages
from support.processes import PATIENCE

Passes = list[tuple[list[int], "Future[list[int]]"]]


class Work:
    """Frames are numbers; ``left`` gets the batches as they are handed on, ``taken`` as they are taken."""

    def __init__(self) -> None:
        self.waiting: SimpleQueue[list[int]] = SimpleQueue()
        self.taken: list[list[int]] = []
        self.left: list[tuple[list[int], list[int]]] = []
        self.changed = threading.Condition()

    def take(self) -> list[int]:
        batch = self.waiting.get()
        with self.changed:
            self.taken.append(batch)
            self.changed.notify_all()
        return batch

    def hand_on(self, frames: list[int], passes: Passes) -> None:
        results = [result for _, future in passes if not future.exception() for result in future.result()]
        with self.changed:
            self.left.append((frames, results))
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        with self.changed:
            return self.changed.wait_for(condition, PATIENCE)

    def pipeline(
        self,
        compute: Callable[[list[int]], list[int]],
        prepare: Callable[[int], int | None] = int,
        **counts: int,
    ) -> Pipeline[int, int, list[int]]:
        stages = Stages(self.take, prepare, lambda jobs: [list(jobs)] if jobs else [], compute, self.hand_on)
        pipeline = Pipeline(stages, **counts)
        pipeline.start()
        return pipeline


@pytest.mark.parametrize("passes", [1, 2])
def test_batches_leave_in_the_order_in_which_they_came(passes: int) -> None:
    work = Work()

    def compute(jobs: list[int]) -> list[int]:
        # The earlier ones take longer.
        time.sleep(0.01 / (1 + jobs[0]))
        return [job * 10 for job in jobs]

    pipeline = work.pipeline(compute, passes=passes, decoders=2)
    batches = [[i, i + 100] for i in range(20)]
    for batch in [*batches, []]:
        work.waiting.put(batch)
    assert pipeline.join(PATIENCE)
    assert work.left == [(batch, [10 * job for job in batch]) for batch in batches]


def test_frames_that_are_not_worth_a_job_and_passes_that_fail_are_handed_on_too() -> None:
    work = Work()

    def compute(jobs: list[int]) -> list[int]:
        if jobs == [3]:
            raise RuntimeError("out of memory")
        return jobs

    pipeline = work.pipeline(compute, prepare=lambda frame: frame if frame % 2 else None, decoders=2)
    for batch in ([1, 2], [2, 4], [3], [5], []):
        work.waiting.put(batch)
    assert pipeline.join(PATIENCE)
    assert work.left == [([1, 2], [1]), ([2, 4], []), ([3], []), ([5], [5])]


def test_the_next_batch_is_prepared_while_the_network_works_and_the_last_is_handed_on() -> None:
    work, prepared = Work(), threading.Event()

    def prepare(frame: int) -> int:
        if frame == 2:
            prepared.set()
        return frame

    def compute(jobs: list[int]) -> list[int]:
        # The first pass of a network ends once the next batch is prepared.
        assert jobs[0] != 1 or prepared.wait(PATIENCE)
        return jobs

    pipeline = work.pipeline(compute, prepare)
    for batch in ([1], [2], []):
        work.waiting.put(batch)
    assert pipeline.join(PATIENCE)
    assert [results for _, results in work.left] == [[1], [2]]


@pytest.mark.parametrize("passes", [1, 2])
def test_no_more_is_taken_than_the_network_will_soon_have_room_for(passes: int) -> None:
    work, go_on = Work(), threading.Event()

    def compute(jobs: list[int]) -> list[int]:
        assert go_on.wait(PATIENCE)
        return jobs

    pipeline = work.pipeline(compute, passes=passes)
    for batch in ([1], [2], [3], [4], [5], [6], []):
        work.waiting.put(batch)
    # Those that it works on, and one that is ready.
    assert work.wait_for(lambda: len(work.taken) == passes + 1)
    time.sleep(0.2)
    assert len(work.taken) == passes + 1
    go_on.set()
    assert pipeline.join(PATIENCE)
    assert len(work.left) == 6


def test_two_passes_run_at_the_same_time() -> None:
    work, both = Work(), threading.Barrier(2)

    def compute(jobs: list[int]) -> list[int]:
        both.wait(PATIENCE)
        return jobs

    pipeline = work.pipeline(compute, passes=2)
    for batch in ([1], [2], []):
        work.waiting.put(batch)
    assert pipeline.join(PATIENCE)
    assert [results for _, results in work.left] == [[1], [2]]


def test_the_next_batch_is_due_when_it_will_be_prepared_as_the_network_gets_free() -> None:
    now = [0.0]
    pace = Pace(1, clock=lambda: now[0])
    assert pace.seconds_left() == 0.0, "the network is free"
    for _ in range(60):
        pace.prepared(0.01, groups=1)
        assert pace.seconds_left() == float("inf"), "one waits already"
        with pace.passing():
            now[0] += 0.04
            left = pace.seconds_left()
            now[0] += 0.06
            assert pace.seconds_left() <= 0.0
    # A pass takes 0.1 s, of which 0.04 have gone; a batch is prepared in 0.01.
    assert left == pytest.approx(0.05, abs=1e-3)
