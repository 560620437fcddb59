"""JPEG, PNG and other pictures: their headers are judged before anything is decoded.

The only place that decodes pictures, whether they come from a network, a bag or a file.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from squeeze_segnet_ros.errors import InvalidImageError, one_line
from squeeze_segnet_ros.images import MAX_PIXELS, overheard
from squeeze_segnet_ros.images.encodings import (
    ENCODINGS,
    MOSAICS,
    NO_CAMERA,
    Pixels,
    check_size,
    demosaiced,
    not_a_camera,
    raw_pixels,
    refusal,
)
from squeeze_segnet_ros.images.sample_bits import SampleBits

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = 12
"""Bytes of a chunk's length, type and checksum, around its data."""
_JPEG_START = b"\xff\xd8\xff"
# Start-of-frame markers carry the size. C4, C8 and CC among them mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"
_OTHERS = {
    name: re.compile(pattern, re.DOTALL)
    for name, pattern in {
        "TIFF": rb"II\*\0|MM\0\*",
        "AVIF or HEIF": rb".{4}ftyp",
        "JPEG 2000": rb"\0\0\0\x0cjP|\xff\x4f\xff\x51",
        "a GIF": rb"GIF8",
        "zstd": rb"\x28\xb5\x2f\xfd",
        "a piece of a film (H.264 or H.265)": rb"\0\0\0?\x01",
        "depth with a header of image_transport's (compressedDepth)": rb".{12}\x89PNG",
    }.items()
}
"""What drivers and other transports put into a CompressedImage, to be named where it is refused."""
# A rotation in the EXIF data of a camera's picture would break the match with its calibration.
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION


def pixels_of(message: Any, max_pixels: int = MAX_PIXELS, bits: SampleBits | None = None) -> Pixels:
    """Return the pixels of a camera message.

    Args:
        message: a sensor_msgs/Image or CompressedImage, of rclpy or of ``rosbags``.
        max_pixels: how many there may be.
        bits: what was learned of the camera so far; 16 bits become 8 by it.

    Raises:
        InvalidImageError: the message contradicts itself or cannot be decoded; says what would be right.
    """
    if not hasattr(message, "encoding"):
        source = source_encoding(message)
        if source in NO_CAMERA:
            raise InvalidImageError(f"picture of the format {message.format[:64]!r}: {not_a_camera(source)}")
        if source in MOSAICS and "mono" not in message.format:
            return _mosaic(message, source, max_pixels, bits)
        return decode(np.frombuffer(message.data, np.uint8), max_pixels, bits)
    if message.encoding not in ENCODINGS:
        check_size("the image is", message.width, message.height, max_pixels)
        raise InvalidImageError(refusal(message))
    return raw_pixels(message, max_pixels, bits)


def source_encoding(message: Any) -> str:
    """Return the encoding that a CompressedImage was made of, where image_transport made it."""
    return str(message.format.partition(";")[0].strip())


def _mosaic(message: Any, encoding: str, max_pixels: int, bits: SampleBits | None) -> Pixels:
    """Return the colors of a sensor's mosaic that image_transport compressed without a loss, as it was."""
    values, damage = _decode(bytes(message.data), cv2.IMREAD_UNCHANGED | _AS_STORED, max_pixels)
    if values.ndim == 3:  # whoever compressed it had seen to the colors
        return decode(bytes(message.data), max_pixels, bits)
    values = demosaiced(values, encoding)
    if values.dtype == np.uint8:
        return Pixels(values, "rgb8", damage)
    bits = SampleBits() if bits is None else bits
    values = bits.to_8_bits(values)
    return Pixels(values, "rgb8", damage, f"the picture's 16 bits have values of {bits}: scaled to 8")


def decode(data: np.ndarray | bytes, max_pixels: int = MAX_PIXELS, bits: SampleBits | None = None) -> Pixels:
    """Return the pixels, as bgr8, of a complete picture of at most ``max_pixels`` pixels; 16 bits become 8.

    Raises:
        InvalidImageError: it is none, is cut off, or declares a size that is absurd or not the one it has.
    """
    values, damage = _decode(bytes(data), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | _AS_STORED, max_pixels)
    if values.dtype == np.uint8:
        return Pixels(values, "bgr8", damage)
    bits = SampleBits() if bits is None else bits
    values = bits.to_8_bits(values)
    return Pixels(values, "bgr8", damage, f"the picture's 16 bits have values of {bits}: scaled to 8")


def decode_unchanged(data: np.ndarray | bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the values of a picture as they are stored: one channel or RGB, 8 or 16 bits; without alpha.

    Raises:
        InvalidImageError: as :func:`decode`.
    """
    return _rgb(_decode(bytes(data), cv2.IMREAD_UNCHANGED | _AS_STORED, max_pixels)[0])


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a picture file as uint8 (H, W, 3) RGB, upright, whatever it holds: gray, alpha, 16 bits.

    Raises:
        InvalidImageError: it cannot be read, or as :func:`decode`; names the file.
    """
    return _read(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, max_pixels, to_8_bits=True)


def read_unchanged(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the values of a picture file, such as labels, as :func:`decode_unchanged`.

    Raises:
        InvalidImageError: it cannot be read, or as :func:`decode`; names the file.
    """
    return _read(path, cv2.IMREAD_UNCHANGED | _AS_STORED, max_pixels, to_8_bits=False)


def _read(path: str | Path, flags: int, max_pixels: int, to_8_bits: bool) -> np.ndarray:
    try:
        values = _rgb(_decode(Path(path).read_bytes(), flags, max_pixels)[0])
    except OSError as error:
        raise InvalidImageError(f"{path}: cannot be read: {error.strerror}") from None
    except InvalidImageError as error:
        raise InvalidImageError(f"{path}: {error}") from None
    return SampleBits().to_8_bits(values) if to_8_bits and values.dtype == np.uint16 else values


def _rgb(values: np.ndarray) -> np.ndarray:
    """Return one channel as it is, BGR and BGRA as RGB."""
    if values.ndim == 2:
        return values
    code = {1: None, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}[values.shape[2]]
    return values[..., 0] if code is None else np.asarray(cv2.cvtColor(values, code))


def _decode(raw: bytes, flags: int, max_pixels: int) -> tuple[np.ndarray, str]:
    """Return a picture's values, uint8 or uint16, and what the decoder found wrong with it, or nothing."""
    width, height = declared_size(raw, max_pixels)
    data = np.frombuffer(raw, np.uint8)
    try:
        with overheard.picture_libraries() as heard:
            values = cv2.imdecode(data, flags)
        if heard.ambiguous:
            with overheard.picture_libraries(alone=True) as heard:
                values = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise InvalidImageError(f"{width}x{height} picture cannot be decoded: {one_line(error)}") from None
    if values is None:
        raise InvalidImageError(
            f"{width}x{height} picture of {len(raw)} bytes cannot be decoded: its data is damaged"
            + (f" ({heard[0]})" if heard else "")
        )
    size = values.shape[:2]
    if size != (height, width) and (flags & _AS_STORED or size != (width, height)):
        raise InvalidImageError(
            f"the picture declares {width}x{height} and holds {size[1]}x{size[0]}: damaged"
        )
    if values.dtype not in (np.uint8, np.uint16):
        raise InvalidImageError(f"the picture holds {values.dtype} values: expected 8 or 16 bits")
    return np.asarray(values), heard[0] if heard else ""


def declared_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return width and height that a picture declares, once its frame was found sound.

    Raises:
        InvalidImageError: as :func:`decode`, as far as it shows without decoding.
    """
    complete = True
    if data.startswith(_PNG_START):
        kind, (width, height), complete = "PNG", _png_size(data), b"IEND" in data[-64:]
    elif data.startswith(_JPEG_START):
        kind, ((width, height), scan) = "JPEG", _jpeg_size(data)
        complete = data.rfind(_JPEG_END, scan) >= 0
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        kind, (width, height) = "WebP", _webp_size(data)
        complete = len(data) >= 8 + int.from_bytes(data[4:8], "little")
    elif data.startswith(b"BM") and len(data) >= 26:
        kind, (width, height) = "BMP", struct.unpack_from("<ii", data, 18)
        width, height = abs(width), abs(height)  # from the top where the height is negative
    else:
        start = data[:4].hex(" ") or "nothing"
        found = next((name for name, pattern in _OTHERS.items() if pattern.match(data)), "")
        raise InvalidImageError(
            f"the picture {f'is {found}' if found else f'starts with {start}'}: expected JPEG (ff d8 ff), "
            "PNG (89 50 4e 47), WebP or BMP"
        )
    check_size(f"{kind} declares", width, height, max_pixels)
    if not complete:
        raise InvalidImageError(
            f"{width}x{height} {kind} of {len(data)} bytes is cut off: its end marker is missing"
        )
    return width, height


def _png_size(data: bytes) -> tuple[int, int]:
    """Return width and height, once no chunk was found that declares more bytes than there are.

    OpenCV allocates what a chunk declares, up to gigabytes, before it reads the chunk.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise InvalidImageError(f"PNG of {len(data)} bytes has no header")
    width, height = struct.unpack_from(">II", data, 16)
    at = len(_PNG_START)
    while at + _PNG_CHUNK <= len(data) and data[at + 4 : at + 8] != b"IEND":
        length, left = struct.unpack_from(">I", data, at)[0], len(data) - at - _PNG_CHUNK
        if length > left:
            raise InvalidImageError(
                f"{width}x{height} PNG is cut off or damaged: "
                f"a chunk declares {length} bytes, {left} are left"
            )
        at += _PNG_CHUNK + length
    return width, height


def _jpeg_size(data: bytes) -> tuple[tuple[int, int], int]:
    """Return width and height, and where the first scan starts."""
    size = None
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _JPEG_ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _JPEG_SCAN and size:
            return size, at
        if marker in _JPEG_FRAMES and at + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 5)
            size = (width, height)
        at += 2 + max(2, struct.unpack_from(">H", data, at + 2)[0])
    raise InvalidImageError(f"JPEG of {len(data)} bytes is cut off or damaged: no picture after its header")


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise InvalidImageError(f"WebP of {len(data)} bytes is cut off or damaged: no picture after its header")
