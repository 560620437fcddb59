"""The queue of waiting frames: the latest wins, no camera starves, no frame is missing in the counts."""

from __future__ import annotations

import random
import threading
from dataclasses import asdict

import pytest

from squeeze_segnet_ros.ros.frame_queue import DROPS, Counts, Fate, FrameQueue


def decided(counts: Counts) -> int:
    return counts.labelled + counts.unwatched + counts.dropped


def test_a_newer_frame_replaces_the_one_that_waits() -> None:
    queue: FrameQueue[str] = FrameQueue(1)
    for frame in ("first", "second", "third"):
        queue.put(0, frame)
    assert queue.take(8) == [(0, "third")]
    assert queue.counts(0) == Counts(received=3, waiting=1, replaced=2)


def test_as_many_frames_wait_as_allowed_and_leave_in_their_order() -> None:
    queue: FrameQueue[int] = FrameQueue(1, depth=3)
    for frame in range(5):
        queue.put(0, frame)
    taken = [queue.take(8) for _ in range(3)]
    assert taken == [[(0, 2)], [(0, 3)], [(0, 4)]]
    assert queue.counts(0).replaced == 2


def test_a_batch_holds_one_frame_of_each_camera() -> None:
    queue: FrameQueue[str] = FrameQueue(3)
    queue.put(2, "c")
    queue.put(0, "a")
    assert queue.take(8) == [(0, "a"), (2, "c")]


def test_every_camera_gets_its_turn_when_a_batch_is_smaller_than_their_number() -> None:
    queue: FrameQueue[int] = FrameQueue(4)
    served = [0] * 4
    for _ in range(30):
        for camera in range(4):
            queue.put(camera, camera)
        for camera, _frame in queue.take(3):
            served[camera] += 1
            queue.settle(camera, Fate.LABELLED)
    assert max(served) - min(served) <= 1


def test_a_closed_queue_counts_what_still_comes_and_gives_out_what_waits() -> None:
    queue: FrameQueue[str] = FrameQueue(1)
    queue.put(0, "before")
    queue.close()
    queue.put(0, "after")
    assert queue.take(8) == [(0, "before")]
    queue.settle(0, Fate.LABELLED)
    assert queue.take(8) == []
    assert queue.counts(0) == Counts(received=2, labelled=1, shutting_down=1)
    queue.open()
    queue.put(0, "again")
    assert queue.take(8) == [(0, "again")]


def test_discarded_frames_are_counted() -> None:
    queue: FrameQueue[int] = FrameQueue(2, depth=5)
    for camera in (0, 0, 1):
        queue.put(camera, camera)
    queue.discard()
    assert queue.counts(0) == Counts(received=2, shutting_down=2)
    assert queue.counts(1) == Counts(received=1, shutting_down=1)
    assert queue.wait_until_idle(0.0)


def test_a_frame_that_was_discarded_while_being_worked_on_is_counted_once() -> None:
    queue: FrameQueue[int] = FrameQueue(1, depth=5)
    for frame in range(3):
        queue.put(0, frame)
    queue.take(8)
    queue.discard()
    assert queue.counts(0) == Counts(received=3, shutting_down=3)
    queue.settle(0, Fate.LABELLED)
    assert queue.counts(0) == Counts(received=3, shutting_down=3)
    queue.put(0, 3)
    queue.take(8)
    queue.settle(0, Fate.LABELLED)
    assert queue.counts(0) == Counts(received=4, labelled=1, shutting_down=3)


def test_idle_means_that_the_worker_is_done_too() -> None:
    queue: FrameQueue[str] = FrameQueue(1)
    assert queue.wait_until_idle(0.0)
    queue.put(0, "frame")
    assert not queue.wait_until_idle(0.0)
    queue.take(8)
    queue.settle(0, Fate.LABELLED)
    assert not queue.wait_until_idle(0.0), "the worker may still be publishing"
    queue.close()
    queue.take(8)
    assert queue.wait_until_idle(0.0)


@pytest.mark.parametrize("fate", list(Fate))
def test_every_fate_has_its_counter(fate: Fate) -> None:
    queue: FrameQueue[str] = FrameQueue(1)
    queue.put(0, "frame")
    queue.take(8)
    queue.settle(0, fate)
    counts = queue.counts(0)
    assert asdict(counts) == asdict(Counts()) | {"received": 1, fate.value: 1}
    assert counts.dropped == (fate in DROPS)
    assert decided(counts) == 1


def test_counts_of_cameras_add_up() -> None:
    assert FrameQueue.total([Counts(3, labelled=2, invalid=1), Counts(1, waiting=1)]) == Counts(
        4, 1, labelled=2, invalid=1
    )


def test_counts_in_words() -> None:
    assert str(Counts(5, labelled=3, replaced=2)) == "5 received, 3 labelled, 2 replaced"


def test_the_counts_add_up_at_every_moment_with_many_threads() -> None:
    queue: FrameQueue[int] = FrameQueue(3, depth=2)
    stop, wrong = threading.Event(), []

    def camera(number: int) -> None:
        for frame in range(400):
            queue.put(number, frame)

    def work() -> None:
        chance = random.Random(1)
        while batch := queue.take(2):
            for number, _frame in batch:
                queue.settle(number, chance.choice([Fate.LABELLED, Fate.TOO_OLD, Fate.INVALID]))

    def watch() -> None:
        while not stop.is_set():
            for number in range(3):
                counts = queue.counts(number)
                if counts.received != decided(counts) + counts.waiting or counts.waiting < 0:
                    wrong.append(counts)

    worker, watcher = threading.Thread(target=work), threading.Thread(target=watch)
    cameras = [threading.Thread(target=camera, args=(number,)) for number in range(3)]
    for thread in (worker, watcher, *cameras):
        thread.start()
    for thread in cameras:
        thread.join()
    queue.close()
    worker.join(30)
    stop.set()
    watcher.join(30)
    assert not wrong
    for number in range(3):
        counts = queue.counts(number)
        assert counts.received == 400 == decided(counts)
        assert counts.waiting == 0
