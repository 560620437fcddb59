"""The frames and labels of a data set as a bag of the same shape as the sample bag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from squeeze_segnet_ros.bags.writer import BagWriter
from squeeze_segnet_ros.data.dataset import Dataset
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX

CAMERA = "/camera/front"
IMAGE_TOPIC = f"{CAMERA}/image_raw/compressed"
CAMERA_INFO_TOPIC = f"{CAMERA}/camera_info"
FRAME_ID = "camera_front_optical_frame"
START_NS = 1_600_000_000 * 10**9
"""Stamp of the first frame; a data set has none, and a fixed one makes equal bags of equal data sets."""


def truth_topic(camera: str) -> str:
    """Return where a bag has the true labels of a camera: ``/camera/front/label_truth``."""
    return camera.removesuffix(COMPRESSED_SUFFIX).rpartition("/")[0] + "/label_truth"


TRUTH_TOPIC = truth_topic(IMAGE_TOPIC)


def write_bag(
    dataset: Dataset,
    output: str | Path,
    split: str = "test",
    *,
    rate_hz: float = 10.0,
    format: str = "png",
    quality: int = 95,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write one split as a bag and return the number of frames.

    Args:
        dataset: images, and labels that become the topic ``label_truth``: class ids, 255 for void.
        output: bag folder to create.
        split: which images.
        rate_hz: frames per second; the frames follow each other in the order of the data set.
        format: png (lossless) or jpeg.
        quality: of jpeg, 1..100.
        limit: at most so many frames.
        progress: called with the number of frames written and their total.

    Raises:
        DatasetError, InvalidImageError: as :meth:`Dataset.pairs` and :meth:`Dataset.read`.
        BagError: ``output`` exists or cannot be written.
    """
    pairs = dataset.pairs(split)[:limit]
    with BagWriter(output) as bag:
        for index, pair in enumerate(pairs):
            image, truth = dataset.read(pair)
            stamp = START_NS + round(index * 1e9 / rate_hz)
            height, width = truth.shape
            # A data set does not say the camera's geometry: an uncalibrated camera.
            bag.write_camera_info(CAMERA_INFO_TOPIC, stamp, FRAME_ID, width, height)
            bag.write_image(IMAGE_TOPIC, stamp, FRAME_ID, image, format=format, quality=quality)
            bag.write_image(TRUTH_TOPIC, stamp, FRAME_ID, truth, format="png")
            if progress:
                progress(index + 1, len(pairs))
    return len(pairs)
