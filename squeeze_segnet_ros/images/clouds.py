"""Organized point clouds, whose points lie in rows and columns as pixels do, colored by their labels."""

from __future__ import annotations

import numpy as np

from squeeze_segnet_ros.errors import InvalidCloudError

ADDED_BYTES = 8
"""What a point gets: ``rgb`` (float32) and ``label`` (uint32), at its end, as PCL's PointXYZRGBL has them."""


def with_labels(
    points: np.ndarray, labels: np.ndarray, palette: np.ndarray, big_endian: bool = False
) -> np.ndarray:
    """Return points with color and label of their class behind what they have.

    Args:
        points: uint8 (H, W, S), the bytes of each point.
        labels: uint8 (H, W), the class ids of the image that the cloud is aligned with.
        palette: uint8 (256, 3) RGB, the color of each label.
        big_endian: byte order of the points.

    Returns:
        uint8 (H, W, S + 8).

    Raises:
        InvalidCloudError: the sizes differ.
    """
    height, width, size = points.shape
    if labels.shape != (height, width):
        hint = "its points are not in rows and columns" if height == 1 else "set the node's label_size to it"
        raise InvalidCloudError(
            f"the cloud is {width}x{height}, the label image {labels.shape[1]}x{labels.shape[0]}: they must "
            f"have one size ({hint})"
        )
    red, green, blue = palette.astype(np.uint32).T
    # By PCL's convention the bytes 0, R, G, B are those of a float.
    added = np.stack([red << 16 | green << 8 | blue, np.arange(len(palette), dtype=np.uint32)], 1)  # (256, 2)
    table = added.astype(">u4" if big_endian else "<u4").view(np.uint8)  # (256, 8)
    colored = np.empty((height, width, size + ADDED_BYTES), np.uint8)
    colored[:, :, :size] = points
    colored[:, :, size:] = table[labels]
    return colored
