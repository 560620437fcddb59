"""Samples of 10, 12 or 14 bits that come in 16: what is white is learned from the stream."""

from __future__ import annotations

import cv2
import numpy as np

_BITS = (10, 12, 14, 16)


class SampleBits:
    """How many of 16 bits a camera uses, learned from its frames.

    A frame with a larger value raises it for all that follow; nothing lowers it, so the brightness of a
    stream changes three times at most, however dark it begins.
    """

    def __init__(self) -> None:
        self._bits = _BITS[0]

    def __str__(self) -> str:
        return f"{self._bits} bits"

    def to_8_bits(self, samples: np.ndarray) -> np.ndarray:
        """Return uint16 samples as uint8 of the same shape; the largest that fits the bits becomes 255."""
        samples = np.ascontiguousarray(samples)
        largest = int(samples.max(initial=0))
        self._bits = next(bits for bits in _BITS if bits >= self._bits and largest < 1 << bits)
        # Rounds, and is several times as fast as NumPy.
        scaled = cv2.convertScaleAbs(samples.reshape(len(samples), -1), alpha=255 / ((1 << self._bits) - 1))
        return np.asarray(scaled).reshape(samples.shape)
