"""Whatever a message claims, it becomes pixels of the size it claims, or an InvalidImageError of one line."""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("vision_msgs", reason="needs vision_msgs")
pytest.importorskip("hypothesis", reason="needs hypothesis")

from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from squeeze_segnet_ros.errors import InvalidImageError
from squeeze_segnet_ros.images.encodings import CHANNELS
from squeeze_segnet_ros.images.health import CameraHealth
from squeeze_segnet_ros.ros.messages import pixels_of

SIZES = st.one_of(st.integers(0, 80), st.sampled_from([2**16, 2**31, 2**32 - 1]))
ENCODINGS = st.one_of(
    st.sampled_from([*CHANNELS, "mono16", "16UC1", "32FC1", "bayer_rggb8", "bayer_gbrg16", "yuv422", "8UC3"]),
    st.text(max_size=12),
)
PICTURES = [
    bytes(cv2.imencode(suffix, np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8))[1])
    for suffix in (".png", ".jpg")
]


def seen(message: Any) -> np.ndarray | None:
    """Return the pixels, or None after a proper refusal; anything else fails the test."""
    try:
        pixels, encoding = pixels_of(message)[:2]
    except InvalidImageError as error:
        assert str(error)
        assert "\n" not in str(error)
        return None
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (() if CHANNELS[encoding] == 1 else (CHANNELS[encoding],))
    CameraHealth().check(pixels)
    return pixels


@settings(max_examples=400, deadline=None)
@given(
    width=SIZES,
    height=SIZES,
    step=SIZES,
    encoding=ENCODINGS,
    data=st.binary(max_size=4096),
    big=st.integers(0, 1),
)
def test_raw_messages(width: int, height: int, step: int, encoding: str, data: bytes, big: int) -> None:
    message = Image(width=width, height=height, step=step, encoding=encoding, is_bigendian=big)
    message.data = array.array("B", data)
    pixels = seen(message)
    assert pixels is None or pixels.shape[:2] == (height, width)


@settings(max_examples=400, deadline=None)
@given(encoding=st.sampled_from(list(CHANNELS)), padding=st.integers(0, 9), error=st.integers(-3, 3))
def test_raw_messages_that_are_nearly_right(encoding: str, padding: int, error: int) -> None:
    step = 33 * CHANNELS[encoding] + padding
    message = Image(width=33, height=32, step=step, encoding=encoding)
    message.data = array.array("B", bytes(step * 32 + error))
    assert (seen(message) is None) == (error != 0)


@settings(max_examples=400, deadline=None)
@given(picture=st.sampled_from(PICTURES), data=st.data())
def test_compressed_messages_with_damage(picture: bytes, data: st.DataObject) -> None:
    damaged = bytearray(picture)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, min(len(damaged) - 1, 300)))] = data.draw(st.integers(0, 255))
    message = CompressedImage()
    message.data = array.array("B", bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    seen(message)
