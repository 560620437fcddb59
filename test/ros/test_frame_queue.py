"""The queue of waiting frames: the latest wins, no camera starves, no frame is missing in the counts."""

from __future__ import annotations

import random
import threading
from dataclasses import asdict

import pytest

from squeeze_segnet_ros.ros.frame_queue import DROPS, Counts, Fate, FrameQueue, Slot


def decided(counts: Counts) -> int:
    return counts.labelled + counts.unwatched + counts.dropped


def queue_for(cameras: int, depth: int = 1) -> tuple[FrameQueue, list[Slot]]:
    queue: FrameQueue = FrameQueue(depth)
    return queue, [queue.add_slot() for _ in range(cameras)]


def test_a_newer_frame_replaces_the_one_that_waits() -> None:
    queue, (slot,) = queue_for(1)
    for frame in ("first", "second", "third"):
        slot.put(frame)
    assert queue.take(8) == ["third"]
    assert slot.counts() == Counts(received=3, waiting=1, replaced=2)


def test_as_many_frames_wait_as_allowed_and_leave_in_their_order() -> None:
    queue, (slot,) = queue_for(1, depth=3)
    for frame in range(5):
        slot.put(frame)
    assert [queue.take(8) for _ in range(3)] == [[2], [3], [4]]
    assert slot.counts().replaced == 2


def test_a_batch_holds_one_frame_of_each_camera() -> None:
    queue, slots = queue_for(3)
    slots[2].put("c")
    slots[0].put("a")
    assert queue.take(8) == ["a", "c"]


def test_every_camera_gets_its_turn_when_a_batch_is_smaller_than_their_number() -> None:
    queue, slots = queue_for(4)
    served = [0] * 4
    for _ in range(30):
        for camera, slot in enumerate(slots):
            slot.put(camera)
        for camera in queue.take(3):
            served[camera] += 1
            slots[camera].settle(Fate.LABELLED)
    assert max(served) - min(served) <= 1


def test_a_closed_queue_counts_what_still_comes_and_gives_out_what_waits() -> None:
    queue, (slot,) = queue_for(1)
    slot.put("before")
    queue.close()
    slot.put("after")
    assert queue.take(8) == ["before"]
    slot.settle(Fate.LABELLED)
    assert queue.take(8) == []
    assert slot.counts() == Counts(received=2, labelled=1, shutting_down=1)
    queue.open()
    slot.put("again")
    assert queue.take(8) == ["again"]


def test_discarded_frames_are_counted() -> None:
    queue, slots = queue_for(2, depth=5)
    for camera in (0, 0, 1):
        slots[camera].put(camera)
    queue.discard()
    assert slots[0].counts() == Counts(received=2, shutting_down=2)
    assert slots[1].counts() == Counts(received=1, shutting_down=1)
    assert queue.wait_until_idle(0.0)


def test_a_frame_that_was_discarded_while_being_worked_on_is_counted_once() -> None:
    queue, (slot,) = queue_for(1, depth=5)
    for frame in range(3):
        slot.put(frame)
    queue.take(8)
    queue.discard()
    assert slot.counts() == Counts(received=3, shutting_down=3)
    slot.settle(Fate.LABELLED)
    assert slot.counts() == Counts(received=3, shutting_down=3)
    slot.put(3)
    queue.take(8)
    slot.settle(Fate.LABELLED)
    assert slot.counts() == Counts(received=4, labelled=1, shutting_down=3)


def test_idle_means_that_the_worker_is_done_too() -> None:
    queue, (slot,) = queue_for(1)
    assert queue.wait_until_idle(0.0)
    slot.put("frame")
    assert not queue.wait_until_idle(0.0)
    queue.take(8)
    slot.settle(Fate.LABELLED)
    assert not queue.wait_until_idle(0.0), "the worker may still be publishing"
    queue.done(1)
    assert queue.wait_until_idle(0.0)


@pytest.mark.parametrize("fate", list(Fate))
def test_every_fate_has_its_counter(fate: Fate) -> None:
    queue, (slot,) = queue_for(1)
    slot.put("frame")
    queue.take(8)
    slot.settle(fate)
    counts = slot.counts()
    assert asdict(counts) == asdict(Counts()) | {"received": 1, fate.value: 1}
    assert counts.dropped == (fate in DROPS)
    assert decided(counts) == 1


def test_counts_in_words() -> None:
    assert str(Counts(5, labelled=3, replaced=2)) == "5 received, 3 labelled, 2 replaced"
    assert str(Counts(1, lost=4)) == "1 received, 0 labelled, 4 lost"


def test_the_counts_add_up_at_every_moment_with_many_threads() -> None:
    queue, slots = queue_for(3, depth=2)
    stop, wrong = threading.Event(), []

    def camera(number: int) -> None:
        for _ in range(400):
            slots[number].put(number)

    def work() -> None:
        chance = random.Random(1)
        while batch := queue.take(2):
            for number in batch:
                slots[number].settle(chance.choice([Fate.LABELLED, Fate.TOO_OLD, Fate.INVALID]))

    def watch() -> None:
        while not stop.is_set():
            for slot in slots:
                counts = slot.counts()
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
    for slot in slots:
        counts = slot.counts()
        assert counts.received == 400 == decided(counts)
        assert counts.waiting == 0
