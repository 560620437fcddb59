"""Raw images: the one table of sensor_msgs' encodings, and the way from a message's bytes to pixels.

The messages may be those of rclpy or of ``rosbags``: their fields are the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np

from squeeze_segnet_ros.errors import InvalidImageError, one_line
from squeeze_segnet_ros.images import MAX_PIXELS
from squeeze_segnet_ros.images.sample_bits import SampleBits

CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
"""Channels, one byte each, of the encodings that the engine takes as they are."""


class Pixels(NamedTuple):
    """The pixels of a camera image.

    Attributes:
        array: uint8 (H, W, C), or (H, W) for mono8; a view of the message's own buffer where the encoding
            allows it.
        encoding: one of ``CHANNELS``.
        damage: what is wrong with a picture that could be decoded all the same, or nothing.
        note: what had to be assumed about it, worth saying once of a camera, or nothing.
    """

    array: np.ndarray
    encoding: str
    damage: str = ""
    note: str = ""


class _Encoding(NamedTuple):
    """How pixels lie in a row.

    Attributes:
        values: values of each pixel; bits: of each value, 8 or 16.
        pixels: encoding of the pixels that come out, one of ``CHANNELS``.
        to_rgb: OpenCV's conversion, where the values are not channels.
        chroma: of how many pixels, across and down, the colors lie together in a plane of their own behind
            that of the brightness; 0 where there is none.
    """

    values: int
    bits: int
    pixels: str
    to_rgb: int | None = None
    chroma: int = 0


_UYVY, _YUY2 = cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2
_TABLE = {
    **{name: _Encoding(channels, 8, name) for name, channels in CHANNELS.items()},
    # What cv_bridge's cv2_to_imgmsg writes unless it is told better: OpenCV's order of colors.
    "8UC1": _Encoding(1, 8, "mono8"),
    "8UC3": _Encoding(3, 8, "bgr8"),
    "8UC4": _Encoding(4, 8, "bgra8"),
    "16UC3": _Encoding(3, 16, "bgr8"),
    "16UC4": _Encoding(4, 16, "bgra8"),
    **{f"{name[:-1]}16": _Encoding(channels, 16, name) for name, channels in CHANNELS.items()},
    **{
        f"bayer_{pattern.lower()}{bits}": _Encoding(
            1, bits, "rgb8", getattr(cv2, f"COLOR_Bayer{pattern}2RGB")
        )
        for pattern in ("RGGB", "BGGR", "GBRG", "GRBG")
        for bits in (8, 16)
    },
    "yuv422": _Encoding(2, 8, "rgb8", _UYVY),
    "uyvy": _Encoding(2, 8, "rgb8", _UYVY),
    "yuv422_yuy2": _Encoding(2, 8, "rgb8", _YUY2),
    "yuyv": _Encoding(2, 8, "rgb8", _YUY2),
    "nv12": _Encoding(1, 8, "rgb8", cv2.COLOR_YUV2RGB_NV12, 2),
    "nv21": _Encoding(1, 8, "rgb8", cv2.COLOR_YUV2RGB_NV21, 2),
    "nv24": _Encoding(1, 8, "rgb8", cv2.COLOR_YUV2RGB_NV12, 1),
}
ENCODINGS = tuple(_TABLE)
"""Every encoding of a raw image that is converted here."""
DEEP = frozenset(name for name, encoding in _TABLE.items() if encoding.bits == 16)
"""Those of 16 bits, whose white is learned from frame to frame."""
MOSAICS = frozenset(name for name in _TABLE if name.startswith("bayer_"))
"""Those in which each pixel has one of the colors."""
NO_CAMERA = {"16UC1": "a depth image", "32FC1": "a depth image"}
"""Encodings of images that show no scene's colors, and what such an image is."""
_AMBIGUOUS = {"8UC1", "8UC3", "8UC4", "16UC3", "16UC4"}


def raw_pixels(message: Any, max_pixels: int = MAX_PIXELS, bits: SampleBits | None = None) -> Pixels:
    """Return the pixels of a raw image message whose encoding is one of ``ENCODINGS``.

    Args:
        message: a sensor_msgs/Image.
        max_pixels: how many there may be.
        bits: what was learned of the camera so far; 16 bits become 8 by it.

    Raises:
        InvalidImageError: the message contradicts itself; says what would be right.
    """
    name = message.encoding
    encoding = _TABLE[name]
    values = raw_values(message, max_pixels)
    notes = []
    if encoding.to_rgb is not None:
        values = _as_rgb(message, encoding, values)
    if name in _AMBIGUOUS:
        notes.append(f"does not name its colors: taken as {encoding.pixels}, as OpenCV has them")
    if encoding.bits == 16:
        bits = SampleBits() if bits is None else bits
        values = bits.to_8_bits(values)
        notes.append(f"has values of {bits}: scaled to 8")
    return Pixels(values, encoding.pixels, note=f"{name} {'; it '.join(notes)}" if notes else "")


def demosaiced(values: np.ndarray, name: str) -> np.ndarray:
    """Return the colors, (H, W, 3) RGB, of uint8 or uint16 (H, W) with an encoding of ``MOSAICS``.

    Raises:
        InvalidImageError: OpenCV cannot tell the colors of so few pixels.
    """
    encoding = _TABLE[name]
    assert encoding.to_rgb is not None
    try:
        return np.asarray(cv2.cvtColor(values, encoding.to_rgb))
    except cv2.error as error:
        raise InvalidImageError(
            f"{values.shape[1]}x{values.shape[0]} {name} picture cannot be converted: {one_line(error)}"
        ) from None


def raw_values(message: Any, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return what is stored in a raw image message, in the byte order of this machine.

    16UC1 is taken too. The brightness alone of an encoding with planes of color.

    Returns:
        uint8 or uint16, (H, W, C) or (H, W) for one value a pixel; uint8 is a view of the message's buffer.

    Raises:
        InvalidImageError: the message contradicts itself, or has another encoding.
    """
    encoding = _Encoding(1, 16, "") if message.encoding == "16UC1" else _TABLE.get(message.encoding)
    if encoding is None:
        raise InvalidImageError(refusal(message))
    check_size("the image is", message.width, message.height, max_pixels)
    rows = message.height + _chroma_rows(message, encoding)
    size, item = encoding.bits // 8, encoding.values * encoding.bits // 8
    what = f"{message.width}x{message.height} {message.encoding} image"
    if message.step < message.width * item:
        raise InvalidImageError(
            f"{what} has a step of {message.step} bytes: expected at least {message.width * item}"
        )
    if len(message.data) != message.step * rows:
        height = "height" if rows == message.height else f"{rows} rows"
        raise InvalidImageError(
            f"{what} has {len(message.data)} bytes of data: expected step * {height} = "
            f"{message.step} * {rows} = {message.step * rows}"
        )
    dtype = np.dtype(np.uint8 if size == 1 else ">u2" if message.is_bigendian else "<u2")
    shape = (message.height, message.width, encoding.values)
    values = np.ndarray(shape, dtype, memoryview(message.data), strides=(message.step, item, size))
    if size > 1:
        values = values.astype(np.uint16)
    return values[..., 0] if encoding.values == 1 else values


def to_rgb(pixels: Pixels) -> np.ndarray:
    """Return the pixels as uint8 (H, W, 3) RGB."""
    code = {
        "bgr8": cv2.COLOR_BGR2RGB,
        "rgba8": cv2.COLOR_RGBA2RGB,
        "bgra8": cv2.COLOR_BGRA2RGB,
        "mono8": cv2.COLOR_GRAY2RGB,
    }.get(pixels.encoding)
    array = np.ascontiguousarray(pixels.array)
    return array if code is None else cv2.cvtColor(array, code)


def check_size(what: str, width: int, height: int, max_pixels: int) -> None:
    """Raise InvalidImageError, which begins with ``what``, for an image without pixels or with too many."""
    if not width * height:
        raise InvalidImageError(f"{what} {width}x{height}: there are no pixels")
    if width * height > max_pixels:
        raise InvalidImageError(
            f"{what} {width}x{height}: expected at most {max_pixels} pixels (parameter max_pixels)"
        )


def refusal(message: Any) -> str:
    """Return why an image with another encoding than ``ENCODINGS`` is not taken."""
    if message.encoding in NO_CAMERA:
        return f"{described(message)}: {not_a_camera(message.encoding)}"
    return f"{described(message)}: expected one of {', '.join(ENCODINGS)}"


def not_a_camera(encoding: str) -> str:
    """Return why an image with an encoding of ``NO_CAMERA`` is not taken."""
    return f"that is {NO_CAMERA[encoding]}, not a camera's"


def described(message: Any) -> str:
    """Return what to call a raw image in an error."""
    # As Python writes it: a name with line breaks would make lines of its own in a log.
    return f"{message.width}x{message.height} image with encoding {message.encoding[:32]!r}"


def _as_rgb(message: Any, encoding: _Encoding, values: np.ndarray) -> np.ndarray:
    if encoding.chroma:
        values = _planes(message, encoding, values)
    elif encoding.values == 2 and message.width % 2:
        # Two pixels share their colors: the last one's other half is that of the pair before.
        values = np.concatenate([values, values[:, -2:-1]], 1)
    assert encoding.to_rgb is not None
    try:
        rgb = np.asarray(cv2.cvtColor(np.ascontiguousarray(values), encoding.to_rgb))
    except cv2.error as error:
        raise InvalidImageError(f"{described(message)} cannot be converted: {one_line(error)}") from None
    if encoding.chroma == 1:
        rgb = rgb[::2, ::2]
    return np.ascontiguousarray(rgb[: message.height, : message.width])


def _chroma_rows(message: Any, encoding: _Encoding) -> int:
    """Return the rows, of the message's step, that the plane of colors fills."""
    if not encoding.chroma:
        return 0
    return -(-message.height // encoding.chroma) * (2 // encoding.chroma)


def _planes(message: Any, encoding: _Encoding, brightness: np.ndarray) -> np.ndarray:
    """Return both planes as OpenCV wants them: without padding, even in size, a color for 2 x 2 pixels."""
    pairs = -(-message.width // encoding.chroma)
    stride = message.step * 2 // encoding.chroma
    if stride < 2 * pairs:
        raise InvalidImageError(
            f"{message.width}x{message.height} {message.encoding} image has a step of {message.step} bytes: "
            f"its colors need at least {pairs * encoding.chroma}"
        )
    rows = -(-message.height // encoding.chroma)
    start = message.step * message.height
    colors = np.ndarray((rows, 2 * pairs), np.uint8, memoryview(message.data), start, strides=(stride, 1))
    if encoding.chroma == 1:
        brightness = brightness.repeat(2, 0).repeat(2, 1)
    odd = (2 * rows - brightness.shape[0], 2 * pairs - brightness.shape[1])
    brightness = np.pad(brightness, ((0, odd[0]), (0, odd[1])), "edge")
    return np.concatenate([brightness, colors])
