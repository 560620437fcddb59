"""Label images: how they are written, and what is in them."""

from __future__ import annotations

import cv2
import numpy as np


def png_of(labels: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W) as the bytes, uint8 (N,), of a lossless PNG."""
    # Label images are long runs of equal bytes: the fastest setting already makes them small.
    _, data = cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return np.asarray(data).reshape(-1)


def class_pixels(labels: np.ndarray) -> np.ndarray:
    """Return how many pixels have each of the 256 label values: int64 (256,)."""
    # Ten times as fast as numpy.bincount, which first widens every pixel to eight bytes.
    return cv2.calcHist([labels], [0], None, [256], [0, 256]).ravel().astype(np.int64)
