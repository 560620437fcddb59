"""Label sets: which class ids exist, what they are called, and the color that each is drawn in.

This module is the only home of class lists and colors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

UNLABELLED = 255
"""Class id of a pixel without a class, as Nav2 and vision_msgs/LabelInfo use it."""


class LabelClass(NamedTuple):
    """One class of a label set.

    ``id`` is the pixel value in a label image (0..254), ``rgb`` the color in 0..255.
    """

    id: int
    name: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of at most 255 classes whose ids run from 0 without gaps.

    Raises:
        ValueError: they do not.
    """

    name: str
    classes: tuple[LabelClass, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.classes) <= UNLABELLED:
            raise ValueError(f"there are {len(self.classes)} classes: expected 1 to {UNLABELLED}")
        if [label.id for label in self.classes] != list(range(len(self.classes))):
            raise ValueError("the class ids do not run from 0 without gaps")
        if any(len(label.rgb) != 3 or not all(0 <= c <= 255 for c in label.rgb) for label in self.classes):
            raise ValueError("a class has a color that is not three values in 0..255")

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of their ids."""
        return tuple(label.name for label in self.classes)

    @property
    def palette(self) -> np.ndarray:
        """Color of every possible label value: uint8 (256, 3) RGB; values without a class are black."""
        palette = np.zeros((256, 3), np.uint8)
        for label in self.classes:
            palette[label.id] = label.rgb
        return palette


def _label_set(name: str, *classes: tuple[str, tuple[int, int, int]]) -> LabelSet:
    return LabelSet(name, tuple(LabelClass(i, label, rgb) for i, (label, rgb) in enumerate(classes)))


CAMVID = _label_set(
    "camvid",
    ("sky", (128, 128, 128)),
    ("building", (128, 0, 0)),
    ("pole", (192, 192, 128)),
    ("road", (128, 64, 128)),
    ("sidewalk", (60, 40, 222)),
    ("tree", (128, 128, 0)),
    ("sign", (192, 128, 128)),
    ("fence", (64, 64, 128)),
    ("car", (64, 0, 128)),
    ("pedestrian", (64, 64, 0)),
    ("bicyclist", (0, 128, 192)),
)
"""CamVid's 11 classes with the ids and colors of the SegNet release of the data (1511.00561)."""
