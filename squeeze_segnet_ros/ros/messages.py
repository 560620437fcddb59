"""ROS messages to arrays and back. Pixels are copied at most once, and not at all on the way in."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from squeeze_segnet_ros.classes import LabelClass
from squeeze_segnet_ros.engine.request import Segmentation
from squeeze_segnet_ros.errors import InvalidImageError, one_line
from squeeze_segnet_ros.images import MAX_PIXELS, decoding
from squeeze_segnet_ros.images.encodings import ENCODINGS, NO_CAMERA, Pixels, check_size, described
from squeeze_segnet_ros.images.label_images import png_of
from squeeze_segnet_ros.images.sample_bits import SampleBits

_LENGTH = struct.Struct("=I")
"""What stands before a sequence in CDR, in the byte order of this computer."""


def pixels_of(
    message: Image | CompressedImage, max_pixels: int = MAX_PIXELS, bits: SampleBits | None = None
) -> Pixels:
    """Return the pixels of a camera message; what we do not convert ourselves goes through cv_bridge.

    Raises:
        InvalidImageError: as :func:`squeeze_segnet_ros.images.decoding.pixels_of`.
    """
    known = isinstance(message, CompressedImage) or message.encoding in (*ENCODINGS, *NO_CAMERA)
    if known:
        return decoding.pixels_of(message, max_pixels, bits)
    check_size("the image is", message.width, message.height, max_pixels)
    return Pixels(_converted(message), "rgb8")


def _converted(message: Image) -> np.ndarray:
    what = described(message)
    try:
        from cv_bridge import CvBridge  # not everywhere installed, and only these encodings need it
    # One that was built for another NumPy fails in ways of its own.
    except Exception as error:
        raise InvalidImageError(
            f"{what} needs cv_bridge ({one_line(error)}): expected {', '.join(ENCODINGS)}"
        ) from None
    try:
        pixels = np.asarray(CvBridge().imgmsg_to_cv2(message, "rgb8"))
    # cv_bridge lets NumPy's and OpenCV's own errors through, of many types, when the data does not fit.
    except Exception as error:
        raise InvalidImageError(
            f"{what} cannot be converted to rgb8 by cv_bridge: {one_line(error)}"
        ) from None
    if pixels.shape != (message.height, message.width, 3) or pixels.dtype != np.uint8:
        raise InvalidImageError(
            f"{what} became {pixels.dtype} {pixels.shape} in cv_bridge: its data does not fit its size"
        )
    return pixels


def serialized_image(header: Header, pixels: np.ndarray, encoding: str) -> bytes:
    """Return uint8 (H, W) or (H, W, C) as a serialized Image, which a publisher takes as it is."""
    message = Image(header=header, height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.step = pixels.nbytes // pixels.shape[0]
    return _serialized(message, pixels)


def serialized_png(header: Header, labels: np.ndarray) -> bytes:
    """Return uint8 (H, W) as a lossless, serialized CompressedImage that image_transport can show."""
    message = CompressedImage(header=header, format="mono8; png compressed mono8")
    return _serialized(message, png_of(labels))


def _serialized(message: Image | CompressedImage, data: np.ndarray) -> bytes:
    """Serialize a message whose last field, ``data``, is this."""
    # As a field it would be copied twice more, into the message and out of it, and what a field takes as an
    # array differs between distributions.
    message.data = [0]
    head = serialize_message(message)[: -_LENGTH.size - 1]
    return b"".join((head, _LENGTH.pack(data.nbytes), np.ascontiguousarray(data).data.cast("B")))


def label_info_message(stamp: Time, classes: Iterable[LabelClass], min_confidence: float) -> LabelInfo:
    """Return the names of the ids in the label images."""
    message = LabelInfo(threshold=float(min_confidence))
    message.header.stamp = stamp
    message.class_map = [VisionClass(class_id=label.id, class_name=label.name) for label in classes]
    return message


def at_size(result: Segmentation, size: Sequence[int]) -> Segmentation:
    """Return labels and confidence at another height and width, each pixel the nearest; the overlay stays."""

    def nearest(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT))

    confidence = None if result.confidence is None else nearest(result.confidence)
    return replace(result, labels=nearest(result.labels), confidence=confidence)
