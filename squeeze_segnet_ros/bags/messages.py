"""Image messages as serialized bytes (CDR) and as arrays, through the message types of ``rosbags``."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from squeeze_segnet_ros.errors import InvalidImageError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
COMPRESSED_SUFFIX = "/compressed"


@cache
def typestore() -> Typestore:
    """Return the message definitions; sensor_msgs' are the same in every distribution since Humble."""
    return get_typestore(Stores.ROS2_HUMBLE)


def make(name: str, **fields: Any) -> Any:
    """Return a message of type ``name`` (such as ``sensor_msgs/msg/Image``) with these fields."""
    return typestore().types[name](**fields)


def make_header(stamp_ns: int, frame_id: str) -> Any:
    """Return a std_msgs/Header."""
    sec, nanosec = divmod(stamp_ns, 10**9)
    stamp = make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def serialize(message: Any) -> bytes:
    """Return the CDR bytes of a rosbags message."""
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


def stamp_ns(data: bytes) -> int:
    """Return the header's stamp, in ns, of a serialized message whose first field is a header."""
    sec, nanosec = struct.unpack_from(_stamp_format(data), data, 4)
    return int(sec) * 10**9 + int(nanosec)


def with_stamp(data: bytes, stamp_ns: int) -> bytes:
    """Return a copy of a serialized message whose first field is a header, with another stamp."""
    changed = bytearray(data)
    struct.pack_into(_stamp_format(data), changed, 4, *divmod(stamp_ns, 10**9))
    return bytes(changed)


def _stamp_format(data: bytes) -> str:
    # Second byte of the four in front of every CDR message: 1 for little endian.
    return "<iI" if data[1] & 1 else ">iI"


def decode_image(data: bytes, message_type: str) -> np.ndarray:
    """Return the pixels of a serialized image message.

    It is uint8 (H, W, 3) RGB for color, (H, W) of uint8 or uint16 for one channel. Raw images may be rgb8,
    bgr8, rgba8, bgra8, mono8, 8UC1, 8UC3, mono16 or 16UC1.

    Raises:
        InvalidImageError: the bytes are no such image.
    """
    if message_type == COMPRESSED_IMAGE:
        return _decode_compressed(typestore().deserialize_cdr(data, message_type))
    return _decode_raw(typestore().deserialize_cdr(data, message_type))


def _decode_compressed(message: Any) -> np.ndarray:
    try:
        image = cv2.imdecode(message.data, cv2.IMREAD_UNCHANGED) if message.data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise InvalidImageError(f"{message.data.size} bytes of '{message.format}' that cannot be decoded")
    if image.ndim == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return image


_RAW = {
    "rgb8": 3,
    "bgr8": 3,
    "8UC3": 3,
    "rgba8": 4,
    "bgra8": 4,
    "mono8": 1,
    "8UC1": 1,
    "mono16": 1,
    "16UC1": 1,
}
_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "8UC3": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
}


def _decode_raw(message: Any) -> np.ndarray:
    channels = _RAW.get(message.encoding)
    if channels is None:
        raise InvalidImageError(f"encoding '{message.encoding}' is not one of {', '.join(_RAW)}")
    dtype = np.dtype(np.uint16 if "16" in message.encoding else np.uint8)
    if message.is_bigendian:
        dtype = dtype.newbyteorder(">")
    row = message.width * channels * dtype.itemsize
    if message.step < row or message.data.size < message.height * message.step:
        raise InvalidImageError(
            f"{message.data.size} bytes, step {message.step}: not a {message.width}x{message.height} image"
        )
    rows = message.data[: message.height * message.step].reshape(message.height, message.step)[:, :row]
    image = np.ascontiguousarray(rows).view(dtype).reshape(message.height, message.width, channels)
    if message.encoding in _TO_RGB:
        return cv2.cvtColor(image, _TO_RGB[message.encoding])
    return image if channels == 3 else image[..., 0]


def raw_message(image: np.ndarray, header: Any) -> Any:
    """Return a sensor_msgs/Image: uint8 (H, W, 3) as rgb8, uint8 (H, W) as mono8, uint16 (H, W) as mono16."""
    encoding = "rgb8" if image.ndim == 3 else "mono16" if image.dtype == np.uint16 else "mono8"
    height, width = image.shape[:2]
    pixels = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
    return make(
        IMAGE,
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.size // max(1, height),
        data=pixels,
    )


def compressed_message(image: np.ndarray, header: Any, format: str, quality: int) -> Any:
    """Return a sensor_msgs/CompressedImage of uint8 (H, W, 3) RGB or (H, W); ``format`` is jpeg or png."""
    color = image.ndim == 3
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if color else image
    if format == "jpeg":
        ok, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    else:
        ok, data = cv2.imencode(".png", pixels)
    if not ok:
        raise InvalidImageError(f"an array of shape {image.shape} cannot be written as {format}")
    # The format string of compressed_image_transport: source encoding; codec compressed stored encoding.
    source, stored = ("rgb8", "bgr8") if color else ("mono8", "mono8")
    return make(
        COMPRESSED_IMAGE,
        header=header,
        format=f"{source}; {format} compressed {stored}",
        data=data.reshape(-1),
    )


def decompress(data: bytes) -> bytes:
    """Return a serialized sensor_msgs/CompressedImage as a serialized sensor_msgs/Image with the same header.

    Color becomes rgb8, one channel mono8 or mono16.

    Raises:
        InvalidImageError: it cannot be decoded.
    """
    message: Any = typestore().deserialize_cdr(data, COMPRESSED_IMAGE)
    return serialize(raw_message(_decode_compressed(message), message.header))
