"""Label pictures as they are stored: class values, palette indices, or colors."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from squeeze_segnet_ros.errors import InvalidImageError, one_line
from squeeze_segnet_ros.images import MAX_PIXELS
from squeeze_segnet_ros.images.encodings import check_size

# OpenCV always turns a palette into colors, which is why this is Pillow's work.
_VALUES = {"1": "L", "L": "L", "P": "P", "LA": "L", "PA": "P", "I;16": "I;16", "I;16B": "I", "I": "I"}
"""How a picture of one channel is read, by Pillow's mode; alpha says nothing about classes."""


def read_label_values(path: Path) -> np.ndarray:
    """Return the values of a label picture: uint8, uint16 or int32 (H, W), or uint8 (H, W, 3) RGB colors.

    A picture with a palette gives its indices.

    Raises:
        InvalidImageError: it cannot be read or is cut off; names the file.
    """
    return _read(path, colors=False)


def read_label_colors(path: Path) -> np.ndarray:
    """Return the colors of a label picture, those of its palette where it has one: uint8 (H, W, 3) RGB.

    Raises:
        InvalidImageError: it cannot be read or is cut off; names the file.
    """
    return _read(path, colors=True)


def _read(path: Path, colors: bool) -> np.ndarray:
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            check_size("it declares", *picture.size, MAX_PIXELS)
            mode = "RGB" if colors else _VALUES.get(picture.mode, "RGB")
            return np.asarray(picture if picture.mode == mode else picture.convert(mode))
    except FileNotFoundError:
        raise InvalidImageError(f"{path} is missing") from None
    except InvalidImageError as error:
        raise InvalidImageError(f"{path}: {error}") from None
    except (
        OSError, SyntaxError, ValueError, struct.error, zlib.error, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        reason = one_line(error).replace(str(path), "it")
        raise InvalidImageError(f"{path} cannot be read as a picture: {reason}") from None
