"""The frames and labels of a CamVid folder as a bag of the same shape as the sample bag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from squeeze_segnet_ros.bags.writer import BagWriter
from squeeze_segnet_ros.classes import CAMVID, UNLABELLED
from squeeze_segnet_ros.errors import DatasetError

CAMERA = "/camera/front"
IMAGE_TOPIC = f"{CAMERA}/image_raw/compressed"
CAMERA_INFO_TOPIC = f"{CAMERA}/camera_info"
TRUTH_TOPIC = f"{CAMERA}/label_truth"
FRAME_ID = "camera_front_optical_frame"
START_NS = 1_600_000_000 * 10**9
"""Stamp of the first frame; the data set has none, and a fixed one makes equal bags of equal folders."""
_IMAGE_SUFFIXES = (".png", ".webp", ".jpg")


def write_camvid_bag(
    camvid_root: str | Path,
    output: str | Path,
    split: str = "test",
    *,
    rate_hz: float = 10.0,
    format: str = "png",
    quality: int = 95,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write one split of CamVid as a bag and return the number of frames.

    Args:
        camvid_root: folder with ``<split>/NAME.png`` (or ``.webp``, ``.jpg``) and ``<split>annot/NAME.png``,
            class ids 0..10 and anything above for void, which becomes 255.
        output: bag folder to create.
        split: train, val or test.
        rate_hz: frames per second; the frames follow each other in the order of their names.
        format: png (lossless) or jpeg.
        quality: of jpeg, 1..100.
        limit: at most so many frames.
        progress: called with the number of frames written and their total.

    Raises:
        DatasetError: the folder is not there or not complete.
        BagError: ``output`` exists or cannot be written.
    """
    pairs = _pairs(Path(camvid_root).expanduser(), split)[:limit]
    with BagWriter(output) as bag:
        for index, (image_path, label_path) in enumerate(pairs):
            image = _read(image_path, cv2.IMREAD_COLOR)[..., ::-1]
            label = _read(label_path, cv2.IMREAD_GRAYSCALE)
            if image.shape[:2] != label.shape:
                raise DatasetError(
                    f"{label_path} is {label.shape}, its image {image.shape[:2]} (height, width)"
                )
            truth = np.where(label < len(CAMVID), label, UNLABELLED).astype(np.uint8)
            stamp = START_NS + round(index * 1e9 / rate_hz)
            height, width = truth.shape
            # The camera's geometry is not published with the data: an uncalibrated camera.
            bag.write_camera_info(CAMERA_INFO_TOPIC, stamp, FRAME_ID, width, height)
            bag.write_image(IMAGE_TOPIC, stamp, FRAME_ID, image, format=format, quality=quality)
            bag.write_image(TRUTH_TOPIC, stamp, FRAME_ID, truth, format="png")
            if progress:
                progress(index + 1, len(pairs))
    return len(pairs)


def _pairs(root: Path, split: str) -> list[tuple[Path, Path]]:
    images, labels = root / split, root / f"{split}annot"
    for folder in (images, labels):
        if not folder.is_dir():
            raise DatasetError(
                f"no folder {folder}: name the CamVid folder that holds {split}/ and {split}annot/"
            )
    paths = sorted(path for path in images.iterdir() if path.suffix.lower() in _IMAGE_SUFFIXES)
    if not paths:
        raise DatasetError(f"no images in {images}: needs {', '.join(_IMAGE_SUFFIXES)} files")
    return [(path, labels / f"{path.stem}.png") for path in paths]


def _read(path: Path, mode: int) -> np.ndarray:
    image = cv2.imread(str(path), mode) if path.is_file() else None
    if image is None:
        raise DatasetError(f"{path} is missing or not a readable image")
    return image
