"""Image messages as serialized bytes (CDR) and as arrays, through the message types of ``rosbags``."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from squeeze_segnet_ros.errors import InvalidImageError, one_line
from squeeze_segnet_ros.images.decoding import decode_unchanged, pixels_of, source_encoding
from squeeze_segnet_ros.images.encodings import DEEP, MOSAICS, NO_CAMERA, raw_values, to_rgb
from squeeze_segnet_ros.images.sample_bits import SampleBits
from squeeze_segnet_ros.shipped import shipped
from squeeze_segnet_ros.topics import LABEL_INFO, STATS

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
# Fields of vision_msgs, of which there is no wheel.
_VISION_MSGS = {
    "vision_msgs/msg/VisionClass": "uint16 class_id\nstring class_name\n",
    LABEL_INFO.type: "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
}
_STATS_FILE = "SegmentationStats.msg"
_ONE_CHANNEL = ("mono8", "8UC1", "mono16", "16UC1")


@cache
def typestore() -> Typestore:
    """Return the message definitions; sensor_msgs' are the same in every distribution since Humble."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    definitions = {**_VISION_MSGS, STATS.type: _stats_definition()}
    for name, text in definitions.items():
        store.register(get_types_from_msg(text, name))
    return store


def _stats_definition() -> str:
    inside = shipped("msg_definitions", _STATS_FILE)
    # In a clone it lies where ROS's message generator wants it.
    return (inside if inside.is_file() else shipped("msg", _STATS_FILE)).read_text()


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
    """Return the header's stamp, in ns, of a serialized message whose first field is a header.

    Raises:
        InvalidImageError: the message is too short to have one.
    """
    if len(data) < 12:
        raise InvalidImageError(f"a message of {len(data)} bytes has no header")
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


def image_message(data: bytes, message_type: str) -> Any:
    """Return the deserialized message of a topic of images.

    Raises:
        InvalidImageError: it is damaged.
    """
    try:
        return typestore().deserialize_cdr(data, message_type)
    # rosbags lets errors of many types through where lengths make no sense.
    except Exception as error:
        raise InvalidImageError(f"{len(data)} bytes that are no {message_type}: {one_line(error)}") from None


def decode_image(data: bytes, message_type: str) -> np.ndarray:
    """Return the pixels of a serialized image message.

    It is uint8 (H, W, 3) RGB for color; one channel, such as labels or depth, as it is stored: (H, W) of
    uint8 or uint16.

    Raises:
        InvalidImageError: the bytes are no such image.
    """
    message = image_message(data, message_type)
    if message_type == COMPRESSED_IMAGE and source_encoding(message) in MOSAICS:
        return to_rgb(pixels_of(message))
    if message_type == COMPRESSED_IMAGE:
        values = decode_unchanged(message.data)
        return SampleBits().to_8_bits(values) if values.ndim == 3 and values.dtype == np.uint16 else values
    if message.encoding in _ONE_CHANNEL:
        return raw_values(message)
    return to_rgb(pixels_of(message))


def raw_message(image: np.ndarray, header: Any) -> Any:
    """Return a sensor_msgs/Image: (H, W, 3) as rgb8 or rgb16, (H, W) as mono8 or mono16, by its dtype."""
    encoding = f"{'rgb' if image.ndim == 3 else 'mono'}{image.dtype.itemsize * 8}"
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

    Color becomes rgb8 or rgb16, one channel what it was before it was compressed, or mono8 or mono16.

    Raises:
        InvalidImageError: it cannot be decoded.
    """
    message = image_message(data, COMPRESSED_IMAGE)
    image = raw_message(decode_unchanged(message.data), message.header)
    source = source_encoding(message)
    if image.encoding == ("mono16" if source in DEEP or source == "16UC1" else "mono8") and (
        source in (*MOSAICS, *NO_CAMERA) and "mono" not in message.format
    ):
        image.encoding = source
    return serialize(image)
