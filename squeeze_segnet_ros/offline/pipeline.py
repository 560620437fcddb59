"""The way of frames without a graph: decoded ahead in threads, full batches for the engine, written behind.

At most ``AHEAD`` decoded frames wait for the engine and ``BEHIND`` results for the writer, so that memory
does not grow with the length of a recording.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from squeeze_segnet_ros.engine import Request, Segmentation, Segmenter
from squeeze_segnet_ros.engine.segmenter import MIN_SIZE
from squeeze_segnet_ros.errors import InvalidImageError
from squeeze_segnet_ros.images.encodings import Pixels
from squeeze_segnet_ros.offline import BATCH

AHEAD, BEHIND = 24, 24
"""Frames that are decoded and wait, and that are labelled and wait to be written."""
_DECODERS = max(1, min(8, (os.cpu_count() or 1) - 1))


class Frame(NamedTuple):
    """A frame that is to be labelled.

    Attributes:
        camera: number of its camera.
        name: what to call it in a report.
        stamp_ns: of its header; frame_id: likewise.
        recorded_ns: when it was recorded.
        decode: gives its pixels, in any thread; raises InvalidImageError.
        info: the camera's CameraInfo, where it is asked for and there is one.
    """

    camera: int
    name: str
    stamp_ns: int
    frame_id: str
    recorded_ns: int
    decode: Callable[[], Pixels]
    info: Any = None


class Labelled(NamedTuple):
    """A frame with what the network says; ``order`` counts the labelled ones of its camera from 1."""

    frame: Frame
    pixels: Pixels
    result: Segmentation
    batch_size: int
    order: int
    refused: int
    """Frames of this camera that were refused before."""


class Sink(Protocol):
    """Takes labels. ``encode`` may run in several threads; ``write`` gets what it returned, in order."""

    def encode(self, labelled: Labelled) -> Any:
        """Return what there is to write."""

    def write(self, labelled: Labelled, encoded: Any) -> None:
        """Write it."""


class Refused(NamedTuple):
    """A frame without a label, and why."""

    frame: str
    recorded_ns: int
    reason: str


@dataclass
class Outcome:
    """What became of the frames: each was labelled or refused. ``seconds`` are sums over the threads."""

    labelled: int = 0
    refused: list[Refused] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def frames(self) -> int:
        """How many came in."""
        return self.labelled + len(self.refused)


def label_frames(
    frames: Iterable[Frame],
    segmenter: Segmenter,
    ask: Request,
    sink: Sink,
    batch: int = BATCH,
    progress: Callable[[int], None] = lambda frames: None,
) -> Outcome:
    """Label every frame and hand the labels to ``sink``.

    Frames of one size make a batch, over cameras and time, so that batches are full.

    Args:
        frames: in the order in which they are to be written, as far as batches allow.
        segmenter: the network.
        ask: what to ask of it.
        sink: takes the labels.
        batch: frames that go through the network together.
        progress: is told how many frames are done, from the thread that writes.

    Raises:
        SegmentationError: reading, the network or writing failed; what was refused is no error.
    """
    outcome = Outcome()
    waiting: dict[tuple[int, ...], list[tuple[Frame, Pixels, int]]] = {}
    labelled, refused = Counter[int](), Counter[int]()
    with (
        ThreadPoolExecutor(_DECODERS, "decode") as pool,
        _Writer(sink, pool, outcome, progress) as writer,
        closing(_decoded_ahead(frames, pool, outcome)) as decoded,
    ):

        def pass_through(group: list[tuple[Frame, Pixels, int]]) -> None:
            started = time.perf_counter()
            results = segmenter.segment(
                [pixels.array for _, pixels, _ in group],
                ask,
                encodings=[pixels.encoding for _, pixels, _ in group],
            )
            outcome.seconds["network"] += time.perf_counter() - started
            for (frame, pixels, before), result in zip(group, results, strict=True):
                labelled[frame.camera] += 1
                order = labelled[frame.camera]
                writer.put(Labelled(frame, pixels, result, len(group), order, before))

        for frame, future in decoded:
            try:
                pixels = future.result()
                _check_size(pixels.array)
            except InvalidImageError as error:
                refused[frame.camera] += 1
                outcome.refused.append(Refused(frame.name, frame.recorded_ns, str(error)))
                continue
            group = waiting.setdefault(pixels.array.shape[:2], [])
            group.append((frame, pixels, refused[frame.camera]))
            if len(group) == batch:
                pass_through(waiting.pop(pixels.array.shape[:2]))
            elif sum(map(len, waiting.values())) >= 2 * batch:  # many sizes
                pass_through(waiting.pop(next(iter(waiting))))
        for group in waiting.values():
            pass_through(group)
    return outcome


def _check_size(image: np.ndarray) -> None:
    if min(image.shape[:2]) < MIN_SIZE:
        raise InvalidImageError(
            f"the image is {image.shape[1]}x{image.shape[0]}: at least {MIN_SIZE}x{MIN_SIZE} is needed"
        )


def _decoded_ahead(
    frames: Iterable[Frame], pool: ThreadPoolExecutor, outcome: Outcome
) -> Generator[tuple[Frame, Future[Pixels]], None, None]:
    """Yield frames with their decoding underway; they are read in a thread of its own."""
    ahead: queue.Queue[tuple[Frame, Future[Pixels]] | Exception | None] = queue.Queue(AHEAD)
    closed = threading.Event()

    def put(item: tuple[Frame, Future[Pixels]] | Exception | None) -> None:
        while not closed.is_set():
            try:
                ahead.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def read() -> None:
        try:
            started = time.perf_counter()
            for frame in frames:
                outcome.seconds["read"] += time.perf_counter() - started
                put((frame, pool.submit(_timed, outcome, "decode", frame.decode)))
                if closed.is_set():
                    return
                started = time.perf_counter()
            put(None)
        except Exception as error:
            put(error)

    thread = threading.Thread(target=read, name="read", daemon=True)
    thread.start()
    try:
        while (item := ahead.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        closed.set()
        thread.join()


_adding = threading.Lock()


def _timed(outcome: Outcome, stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
    started = time.perf_counter()
    try:
        return work(*arguments)
    finally:
        with _adding:
            outcome.seconds[stage] += time.perf_counter() - started


class _Writer:
    """Encodes in a pool and writes in a thread, in order; an error there ends the run at the next frame."""

    def __init__(
        self, sink: Sink, pool: ThreadPoolExecutor, outcome: Outcome, progress: Callable[[int], None]
    ) -> None:
        self._sink, self._pool, self._outcome, self._progress = sink, pool, outcome, progress
        self._behind: queue.Queue[tuple[Labelled, Future[Any]] | None] = queue.Queue(BEHIND)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)

    def __enter__(self) -> _Writer:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._behind.put(None)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def put(self, labelled: Labelled) -> None:
        """Hand one over; waits while too many are behind."""
        if self._error is not None:
            raise self._error
        future = self._pool.submit(_timed, self._outcome, "encode", self._sink.encode, labelled)
        self._behind.put((labelled, future))

    def _run(self) -> None:
        while (item := self._behind.get()) is not None:
            if self._error is not None:
                continue  # so that nobody waits for room
            try:
                labelled, future = item
                _timed(self._outcome, "write", self._sink.write, labelled, future.result())
                self._outcome.labelled += 1
                self._progress(self._outcome.frames)
            except Exception as error:
                self._error = error
