"""What a run is trained and validated on: each process's share of the images, read and checked once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch.distributed as dist
from tqdm import tqdm

from squeeze_segnet_ros.data import cache
from squeeze_segnet_ros.data.dataset import Dataset
from squeeze_segnet_ros.data.loading import Images, Loader, checked, sources_of
from squeeze_segnet_ros.errors import DatasetError

VALIDATION = "val"
"""The split that a run is validated on."""


@dataclass(frozen=True)
class Part:
    """This process's share of some images, and the pixels of each class id of all of them, int64 (N, 256)."""

    images: Images
    pixels: np.ndarray


@dataclass(frozen=True)
class TrainingImages:
    """The images of a run; ``val`` is None in every process but the first.

    ``trained_on`` names the splits that the network sees, as a weights file does.
    """

    dataset: Dataset
    train: Part
    extra: Part | None
    val: Images | None
    trained_on: tuple[str, ...]

    def __str__(self) -> str:
        """Return what there is, for the first lines of a run."""
        parts = [_described("train", self.train.images, len(self.train.pixels))]
        if self.extra:
            parts.append(_described("extra", self.extra.images, len(self.extra.pixels)))
        if self.val:
            parts.append(_described(VALIDATION, self.val, len(self.val)))
        return f"{self.dataset.name}, {len(self.dataset.label_set)} classes: " + "; ".join(parts)


@contextmanager
def training_images(
    dataset: Dataset,
    splits: tuple[str, ...],
    extra: Dataset | None = None,
    *,
    with_teacher: bool = False,
    cache_bytes: int,
    workers: int | None = None,
    skip_broken: bool = False,
) -> Iterator[TrainingImages]:
    """Give the images of a run, each of which was read and checked.

    Args:
        dataset: what is trained on.
        splits: the splits of it that are.
        extra: whose train split is mixed in.
        with_teacher: whether a trained network labels the images too: those of ``extra`` may be all void.
        cache_bytes: memory for decoded images, of all processes on this machine.
        workers: processes that decode, for each that trains; None for what suits the number of files.
        skip_broken: whether to go on without files that cannot be read.

    Raises:
        DatasetError, InvalidImageError, ConfigError: see the message.
    """
    grouped = dist.is_initialized()
    rank, processes = (dist.get_rank(), dist.get_world_size()) if grouped else (0, 1)
    if extra and extra.label_set.names != dataset.label_set.names:
        raise DatasetError(
            f"--extra-data has the classes of {extra.label_set.name}, --data those of "
            f"{dataset.label_set.name}: both need the same"
        )
    # Each process has files of its own, so that its cache need not hold the others'.
    shares = [
        sources_of(dataset, splits)[rank::processes],
        sources_of(extra, ("train",))[rank::processes] if extra else [],
        sources_of(dataset, (VALIDATION,)) if rank == 0 else [],
    ]
    if not shares[0] or (extra and not shares[1]):
        raise DatasetError(f"{processes} processes share the images: some would have none")
    on_this_machine = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if grouped else 1
    with (
        Loader(
            [source for share in shares for source in share], cache_bytes // on_this_machine, workers
        ) as loader,
        tqdm(
            total=sum(map(len, shares)),
            desc="reading images",
            unit="image",
            disable=rank != 0,
            delay=1,
            mininterval=1 if sys.stderr.isatty() else 60,
        ) as bar,
    ):
        found: list[Images | None] = []
        start = 0
        names = (f"{dataset.name}/{'+'.join(splits)}", "extra data", f"{dataset.name}/{VALIDATION}")
        for what, share in zip(names, shares, strict=True):
            places = range(start, start + len(share))
            unlabelled = with_teacher and share is shares[1]
            found.append(
                checked(loader, places, what, skip_broken, bar.update, may_be_void=unlabelled)
                if share
                else None
            )
            start += len(share)
        bar.close()
        train, extra_images, val = found
        for images in found:
            if images and images.broken and rank == 0:
                print(f"left out {len(images.broken)} files that cannot be read, first {images.broken[0]}")
        assert train
        trained_on = [f"{dataset.name}/{split}" for split in splits]
        if extra:
            # A folder in CamVid's layout that is not the data set is known by what it is called.
            own = extra.name if extra.name != dataset.name else extra.root.name
            trained_on.append(f"{own}/train")
        yield TrainingImages(
            dataset, _part(train), _part(extra_images) if extra_images else None, val, tuple(trained_on)
        )


def _part(images: Images) -> Part:
    if not dist.is_initialized():
        return Part(images, images.pixels)
    gathered: list[np.ndarray] = [images.pixels] * dist.get_world_size()
    dist.all_gather_object(gathered, images.pixels)
    return Part(images, np.concatenate(gathered))


def _described(what: str, images: Images, total: int) -> str:
    sizes = {(int(height), int(width)) for height, width in images.sizes}
    few = ", ".join(f"{width}x{height}" for height, width in sorted(sizes)[:3])
    shown = few if len(sizes) <= 3 else f"{len(sizes)} sizes"
    held = sum(images.loader.cache.get(place) is not None for place in images.places)
    kept = "all" if held == len(images) else f"{held}"
    memory = f"{kept} decoded in memory, {cache.shown(images.most_bytes)} in all"
    return f"{total} images for {what} ({shown}; {memory})"
