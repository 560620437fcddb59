"""CamVid in the folder layout of the SegNet release, and anything else laid out like it.

``<root>/<split>/NAME.png`` (or ``.webp``) holds an image, ``<root>/<split>annot/NAME.png`` its label image
with class ids 0..10 and 11 or 255 for void.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from squeeze_segnet_ros.classes import CAMVID, UNLABELLED
from squeeze_segnet_ros.errors import DatasetError

SIZE = (360, 480)
"""Height and width of the release's images."""
_IMAGE_SUFFIXES = (".png", ".webp")


@dataclass(frozen=True)
class LabelledImages:
    """A split in memory: names, images uint8 (N, 3, H, W) RGB, labels uint8 (N, H, W) with 255 for void."""

    names: tuple[str, ...]
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device) -> LabelledImages:
        """Return the same data on another device."""
        return LabelledImages(self.names, self.images.to(device), self.labels.to(device))


def joined(parts: list[LabelledImages]) -> LabelledImages:
    """Return several parts as one; their images must have one size.

    Raises:
        DatasetError: sizes differ.
    """
    sizes = {tuple(part.labels.shape[1:]) for part in parts}
    if len(sizes) > 1:
        raise DatasetError(f"images of {' and '.join(map(str, sorted(sizes)))} (height, width): one only")
    return LabelledImages(
        tuple(name for part in parts for name in part.names),
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
    )


def load_split(root: Path, split: str) -> LabelledImages:
    """Read one split of CamVid (or of a folder laid out like it) into memory.

    Raises:
        DatasetError: the folder or a label image is missing, an image is unreadable, or sizes differ.
    """
    folder, annotations = root / split, root / f"{split}annot"
    for needed in (folder, annotations):
        if not needed.is_dir():
            raise DatasetError(
                f"no folder {needed}: give the CamVid root that holds {split}/ and {split}annot/"
            )
    paths = sorted(path for path in folder.iterdir() if path.suffix in _IMAGE_SUFFIXES)
    if not paths:
        raise DatasetError(f"{folder} holds no {' or '.join(_IMAGE_SUFFIXES)} images")
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for path in paths:
        image = _read(path, cv2.IMREAD_COLOR)[:, :, ::-1]
        label = _read(annotations / f"{path.stem}.png", cv2.IMREAD_GRAYSCALE)
        if image.shape[:2] != label.shape:
            raise DatasetError(
                f"{path} is {image.shape[:2]} but its label image is {label.shape} (height, width)"
            )
        if images and image.shape != images[0].shape:
            raise DatasetError(
                f"{path} is {image.shape[:2]}, the images before it {images[0].shape[:2]}: one size only"
            )
        images.append(image)
        labels.append(np.where(label < len(CAMVID), label, UNLABELLED).astype(np.uint8))
    return LabelledImages(
        tuple(path.stem for path in paths),
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(np.stack(labels)),
    )


def _read(path: Path, mode: int) -> np.ndarray:
    image = cv2.imread(str(path), mode) if path.is_file() else None
    if image is None:
        raise DatasetError(f"{path} is missing or not a readable image")
    return image
