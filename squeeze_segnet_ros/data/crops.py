"""Where a crop lies in an image, and the part of the image that it is made of.

Done where the decoded image is, so that a worker process hands on no more than the crop needs. No PyTorch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from squeeze_segnet_ros.data.dataset import Labelled

_KEPT_FROM_EDGE = 0.1
"""How much of half a crop must lie between its edge and a pixel that it must show."""
_MARGIN = 2
"""Pixels around a crop that bilinear sampling may touch."""
_ANYWHERE = -1


class Crop(NamedTuple):
    """A crop of ``size`` (height, width), as far as it is drawn without looking at the image.

    Attributes:
        size: height and width in pixels.
        zoom: pixels of the crop for one of the image.
        angle: radians by which it is turned.
        side: -1 where it is mirrored, else 1.
        place: two numbers in 0..1, where its center lies in the range that there is, downwards and across.
        shows: id of a class that it must show a pixel of; -1 for any crop.
        pixel: a number in 0..1, which of the class's pixels that is.
    """

    size: tuple[int, int]
    zoom: float
    angle: float = 0.0
    side: float = 1.0
    place: tuple[float, float] = (0.5, 0.5)
    shows: int = _ANYWHERE
    pixel: float = 0.0


class Cut(NamedTuple):
    """The part of an image that a crop is made of.

    Attributes:
        image: uint8 (h, w, 3) RGB.
        labels: uint8 (h, w).
        theta: float32 (2, 3), from the crop's coordinates to the part's, x and y in -1..1 from edge to edge.
    """

    image: np.ndarray
    labels: np.ndarray
    theta: np.ndarray


def cut(labelled: Labelled, crop: Crop) -> Cut:
    """Return the part of an image that a crop is made of, as arrays of their own."""
    theta, rows, columns = region(labelled.labels.shape, crop, _pixel(labelled.labels, crop))
    return Cut(labelled.image[rows, columns].copy(), labelled.labels[rows, columns].copy(), theta)


def region(
    shape: tuple[int, ...], crop: Crop, pixel: tuple[int, int] | None
) -> tuple[np.ndarray, slice, slice]:
    """Return the part of an image of ``shape`` (height, width) that a crop is made of.

    Args:
        shape: height and width of the image.
        crop: what was drawn.
        pixel: row and column that it must show, or None.

    Returns:
        ``theta`` as :class:`Cut` has it, and the part's rows and columns.
    """
    extents = [side / 2 / crop.zoom for side in crop.size]
    turned = abs(math.cos(crop.angle)), abs(math.sin(crop.angle))
    reach = (
        turned[0] * extents[0] + turned[1] * extents[1], turned[0] * extents[1] + turned[1] * extents[0],
    )  # fmt: skip
    centers, slices = [], []
    for axis in (0, 1):
        length = shape[axis]
        free = max(length / 2 - extents[axis], 0)
        low, high = -free, free
        if pixel is not None:
            away = (1 - _KEPT_FROM_EDGE) * extents[axis]
            point = pixel[axis] + 0.5 - length / 2
            low, high = (min(max(end, -free), free) for end in (point - away, point + away))
        center = length / 2 + low + crop.place[axis] * (high - low)
        begin = min(max(math.floor(center - reach[axis]) - _MARGIN, 0), length - 1)
        end = max(min(math.ceil(center + reach[axis]) + _MARGIN, length), begin + 1)
        slices.append(slice(begin, end))
        centers.append(center)
    (center_y, center_x), (rows, columns) = centers, slices
    half_h, half_w = (rows.stop - rows.start) / 2, (columns.stop - columns.start) / 2
    cos, sin = math.cos(crop.angle), math.sin(crop.angle)
    theta = np.array(
        [
            [
                crop.side * cos * extents[1] / half_w,
                -sin * extents[0] / half_w,
                (center_x - columns.start) / half_w - 1,
            ],
            [
                crop.side * sin * extents[1] / half_h,
                cos * extents[0] / half_h,
                (center_y - rows.start) / half_h - 1,
            ],
        ],
        np.float32,
    )
    return theta, rows, columns


def _pixel(labels: np.ndarray, crop: Crop) -> tuple[int, int] | None:
    """Return row and column of the pixel that the crop must show; None where any will do."""
    if crop.shows == _ANYWHERE:
        return None
    found = np.flatnonzero(labels == crop.shows)
    if not len(found):
        return None
    row, column = divmod(int(found[int(crop.pixel * len(found))]), labels.shape[1])
    return row, column
