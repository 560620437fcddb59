"""JPEG and PNG pictures as they come from a network: their headers are judged before anything is decoded."""

from __future__ import annotations

import struct
from typing import NamedTuple

import cv2
import numpy as np

from squeeze_segnet_ros.errors import InvalidImageError
from squeeze_segnet_ros.images import overheard
from squeeze_segnet_ros.ros.config import MAX_PIXELS

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = 12
"""Bytes of a chunk's length, type and checksum, around its data."""
_JPEG_START = b"\xff\xd8\xff"
# Start-of-frame markers carry the size. C4, C8 and CC among them mean something else.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN, _JPEG_END = 0xDA, b"\xff\xd9"


class Picture(NamedTuple):
    """Pixels, uint8 (H, W, 3) BGR, and what the decoder found wrong with them, or nothing."""

    pixels: np.ndarray
    damage: str


def decode(data: np.ndarray | bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a complete JPEG or PNG picture of at most ``max_pixels`` pixels.

    Raises:
        InvalidImageError: it is neither, is cut off, or declares a size that is absurd or not the one it has.
    """
    raw = bytes(data)
    width, height = declared_size(raw, max_pixels)
    try:
        # A rotation in the EXIF data would break the match with the camera's calibration.
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        with overheard.picture_libraries() as heard:
            pixels = cv2.imdecode(np.frombuffer(raw, np.uint8), flags)
    except cv2.error as error:
        raise InvalidImageError(
            f"{width}x{height} picture cannot be decoded: {' '.join(str(error).split())}"
        ) from None
    if pixels is None:
        raise InvalidImageError(
            f"{width}x{height} picture of {len(raw)} bytes cannot be decoded: its data is damaged"
            + (f" ({heard[0]})" if heard else "")
        )
    if pixels.shape[:2] != (height, width):
        raise InvalidImageError(
            f"the picture declares {width}x{height} and holds {pixels.shape[1]}x{pixels.shape[0]}: damaged"
        )
    return Picture(np.asarray(pixels), heard[0] if heard else "")


def declared_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return the width and height that a JPEG or PNG picture declares, once its frame was found sound.

    Raises:
        InvalidImageError: as :func:`decode`, as far as it shows without decoding.
    """
    if data.startswith(_PNG_START):
        kind, (width, height), complete = "PNG", _png_size(data), b"IEND" in data[-64:]
    elif data.startswith(_JPEG_START):
        kind, ((width, height), scan) = "JPEG", _jpeg_size(data)
        complete = data.rfind(_JPEG_END, scan) >= 0
    else:
        start = data[:4].hex(" ") or "nothing"
        raise InvalidImageError(
            f"compressed picture starts with {start}: expected JPEG (ff d8 ff) or PNG (89 50 4e 47)"
        )
    check_size(f"{kind} declares", width, height, max_pixels)
    if not complete:
        raise InvalidImageError(
            f"{width}x{height} {kind} of {len(data)} bytes is cut off: its end marker is missing"
        )
    return width, height


def check_size(what: str, width: int, height: int, max_pixels: int) -> None:
    """Raise InvalidImageError, which begins with ``what``, for a picture without pixels or with too many."""
    if not width * height:
        raise InvalidImageError(f"{what} {width}x{height}: there are no pixels")
    if width * height > max_pixels:
        raise InvalidImageError(
            f"{what} {width}x{height}: expected at most {max_pixels} pixels (parameter max_pixels)"
        )


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
