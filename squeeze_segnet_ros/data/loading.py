"""Images and labels of a data set's splits: checked once, then from memory or from worker processes.

This module, and what it imports, does without PyTorch: a worker process takes a quarter of a second to start.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from squeeze_segnet_ros.data.cache import Cache
from squeeze_segnet_ros.data.dataset import Dataset, Labelled, Pair
from squeeze_segnet_ros.errors import DatasetError, InvalidImageError, SegmentationError

_Result = TypeVar("_Result")
_FEW_BYTES = 2**28
"""Files of fewer bytes altogether are read before processes would be ready."""
_MOST_WORKERS = 16
_AHEAD = 2
"""How many tasks each process has waiting."""


class Facts(NamedTuple):
    """What a check of one pair found: height, width and pixels of each class id, int64 (256,)."""

    height: int
    width: int
    pixels: np.ndarray


class Source(NamedTuple):
    """A data set and one of its pairs."""

    dataset: Dataset
    pair: Pair


class Loader:
    """Reads pairs of data sets, in this process or in workers, and keeps what it decoded in a cache.

    A context manager: its workers end with it.
    """

    def __init__(self, sources: Sequence[Source], cache_bytes: int, workers: int | None = None) -> None:
        """Make a loader.

        Args:
            sources: all that will be read, by its place in this list.
            cache_bytes: how much memory decoded images may take.
            workers: how many processes decode; 0 for this one, None for what suits the number of files.

        Raises:
            ConfigError: there is less memory than the cache may take.
        """
        self.sources = tuple(sources)
        self.cache = Cache(cache_bytes, len(self.sources))
        self.workers = _suitable_workers(self.sources) if workers is None else workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Loader:
        if self.workers:
            self._pool = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), _start_worker, (self.sources, self.cache)
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def read(self, place: int) -> Labelled:
        """Return the image and labels at a place of the sources; they are not to be written to.

        Raises:
            InvalidImageError, DatasetError: as :meth:`Dataset.read`.
        """
        return self.cache.get(place) or _decode(self.sources, self.cache, place)

    def submit(self, task: Callable[..., _Result], place: int, *arguments: object) -> Future[_Result]:
        """Return what ``task(labelled, *arguments)`` gives for a place, as soon as it is there.

        What the cache holds is worked on in this process at once, all else in a worker where there are some.
        """
        labelled = self.cache.get(place)
        if labelled is None and self._pool:
            return self._pool.submit(_in_worker, task, place, *arguments)
        done: Future[_Result] = Future()
        try:
            done.set_result(task(labelled or self.read(place), *arguments))
        except SegmentationError as error:
            done.set_exception(error)
        return done

    def stream(self, task: Callable[[Labelled], _Result], places: Iterable[int]) -> Iterator[Future[_Result]]:
        """Yield what the task gives for each place, in their order, while workers are ahead of it."""
        waiting: deque[Future[_Result]] = deque()
        for place in places:
            waiting.append(self.submit(task, place))
            if len(waiting) > _AHEAD * self.workers:
                yield waiting.popleft()
        yield from waiting


@dataclass(frozen=True)
class Images:
    """Images and labels of one split, or of a part of it, each checked.

    Attributes:
        loader: reads them.
        places: where they stand in the loader's sources.
        sizes: int64 (N, 2), height and width.
        pixels: int64 (N, 256), how many pixels each image has of each class id.
        broken: what was said of each file that could not be read and was left out.
    """

    loader: Loader
    places: tuple[int, ...]
    sizes: np.ndarray
    pixels: np.ndarray
    broken: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Labelled:
        return self.loader.read(self.places[index])

    def name(self, index: int) -> str:
        """Return the name of an image."""
        return self.loader.sources[self.places[index]].pair.name

    def __iter__(self) -> Iterator[Labelled]:
        return (future.result() for future in self.loader.stream(_whole, self.places))

    @property
    def most_bytes(self) -> int:
        """Return the bytes of all images and labels, decoded."""
        return int(4 * self.sizes.prod(1).sum())


def sources_of(dataset: Dataset, splits: Iterable[str]) -> list[Source]:
    """Return the pairs of several splits.

    Raises:
        DatasetError: as :meth:`Dataset.pairs`.
    """
    return [Source(dataset, pair) for split in splits for pair in dataset.pairs(split)]


def checked(
    loader: Loader,
    places: Sequence[int],
    what: str,
    skip_broken: bool = False,
    progress: Callable[[], object] | None = None,
    *,
    may_be_void: bool = False,
) -> Images:
    """Read every image and label file once, which fills the loader's cache, and return what can be used.

    Args:
        loader: reads them.
        places: where they stand in its sources.
        what: what they are, for messages.
        skip_broken: whether to leave out pairs with a file that cannot be read.
        progress: called after each pair.
        may_be_void: whether they are of use without a pixel that has a class.

    Raises:
        InvalidImageError: a file cannot be read.
        DatasetError: an image and its labels do not fit each other, or no pixel at all has a class.
    """
    good: list[int] = []
    facts: list[Facts] = []
    broken: list[str] = []
    for place, result in zip(places, facts_of(loader, places, progress), strict=True):
        if isinstance(result, Facts):
            good.append(place)
            facts.append(result)
        elif skip_broken and isinstance(result, InvalidImageError):
            broken.append(str(result))
        else:
            hint = " (--skip-broken goes on without it)" if isinstance(result, InvalidImageError) else ""
            raise type(result)(f"{result}{hint}")
    if not good:
        raise DatasetError(f"{what}: none of the {len(places)} images can be read: {broken[0]}")
    pixels = np.stack([fact.pixels for fact in facts])
    classes = len(loader.sources[places[0]].dataset.label_set)
    if not may_be_void and not pixels[:, :classes].any():
        raise DatasetError(
            f"{what}: all void: no pixel of the {len(good)} label files has a class; check 'values' and "
            f"'unlabelled' of {loader.sources[places[0]].dataset.description}"
        )
    sizes = np.array([(fact.height, fact.width) for fact in facts], np.int64)
    return Images(loader, tuple(good), sizes, pixels, tuple(broken))


def facts_of(
    loader: Loader, places: Sequence[int], progress: Callable[[], object] | None = None
) -> Iterator[Facts | SegmentationError]:
    """Yield the facts of each pair, or what is wrong with it, in the order of the places."""
    for future in loader.stream(_facts, places):
        try:
            result: Facts | SegmentationError = future.result()
        except (DatasetError, InvalidImageError) as error:
            result = error
        except BrokenProcessPool:
            raise DatasetError(
                "a worker process has ended: is there enough memory? --workers 0 does without"
            ) from None
        if progress:
            progress()
        yield result


def _suitable_workers(sources: Sequence[Source]) -> int:
    total = 0
    for source in sources:
        for path in source.pair[1:]:
            total += path.stat().st_size if path.exists() else 0
        if total > _FEW_BYTES:
            return min(len(os.sched_getaffinity(0)), _MOST_WORKERS)
    return 0


def _decode(sources: Sequence[Source], cache: Cache, place: int) -> Labelled:
    source = sources[place]
    labelled = source.dataset.read(source.pair)
    cache.put(place, labelled)
    return labelled


def _whole(labelled: Labelled) -> Labelled:
    return labelled


def _facts(labelled: Labelled) -> Facts:
    height, width = labelled.labels.shape
    return Facts(height, width, np.bincount(labelled.labels.reshape(-1), minlength=256))


class _Worker:
    """What a worker process reads from; the main process has none."""

    sources: Sequence[Source] = ()
    cache: Cache


def _start_worker(sources: Sequence[Source], cache: Cache) -> None:
    # Ctrl-C reaches every process of the terminal: the main one ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Worker.sources, _Worker.cache = sources, cache


def _in_worker(task: Callable[..., _Result], place: int, *arguments: object) -> _Result:
    labelled = _Worker.cache.get(place) or _decode(_Worker.sources, _Worker.cache, place)
    return task(labelled, *arguments)
