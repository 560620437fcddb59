"""A network that takes no time, or only waits: for what is measured and tested around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from squeeze_segnet_ros.classes import CAMVID, LabelClass
from squeeze_segnet_ros.engine import Request, Segmentation


class NullEngine:
    """Gives every pixel class 0. In place of a Segmenter.

    Args:
        seconds: how long each pass takes, without using the processor, as on a GPU: passes that are given to
            it at the same time run one after another, without a pause between them.
    """

    model, device, precision = "null", "cpu", "fp32"
    input_size: tuple[int, int] | None = None
    weights, weights_sha256 = Path("/dev/null"), ""
    gives_scores = True

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        # As on a GPU, where the next batch is ready when this one ends.
        self.passes = 2 if seconds else 1
        self._free_at = 0.0
        self._turn = threading.Lock()
        self._made: dict[tuple[int, int], Segmentation] = {}

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        """The classes in the order of their ids."""
        return CAMVID.classes

    def check(self, ask: Request) -> None:
        """Take whatever is asked."""

    def segment(
        self, images: Sequence[np.ndarray], ask: Request, encodings: Sequence[str]
    ) -> list[Segmentation]:
        """Return the same labels for every image of a size."""
        if self.seconds:
            with self._turn:
                self._free_at = max(self._free_at, time.monotonic()) + self.seconds
                ends = self._free_at
            time.sleep(ends - time.monotonic())
        return [self._made_for(image.shape[0], image.shape[1], ask) for image in images]

    def _made_for(self, height: int, width: int, ask: Request) -> Segmentation:
        if (height, width) not in self._made:
            labels = np.zeros((height, width), np.uint8)
            stages = dict.fromkeys(("upload", "network", "download"), 0.0)
            self._made[height, width] = Segmentation(
                labels, labels, np.zeros((height, width, 3), np.uint8), stages
            )
        made = self._made[height, width]
        return Segmentation(
            made.labels,
            made.confidence if ask.confidence else None,
            made.overlay if ask.overlay else None,
            made.seconds,
        )
