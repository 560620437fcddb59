"""Films: frames out of one, and labelled frames into one that plays in a browser (H.264 in mp4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from squeeze_segnet_ros.classes import LabelClass
from squeeze_segnet_ros.errors import BagError, ConfigError, InvalidImageError, one_line
from squeeze_segnet_ros.images import MAX_PIXELS
from squeeze_segnet_ros.images.encodings import check_size

_TICKS = 90_000
"""In a second, of a film's time."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MAX_WIDTH = 960
"""Wider pictures are shown at this width in pixels: two beside each other are a screen's."""
_GAP, _DARK, _ROW = 4, 32, 38


def read(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield time since the beginning in ns, and uint8 (H, W, 3) RGB, upright, of each frame.

    Raises:
        BagError: it cannot be read, or is damaged further on.
    """
    av = _library()
    count = 0
    try:
        with av.open(str(path)) as film:
            if not film.streams.video:
                raise BagError(f"{path}: a film without pictures, or cut short")
            stream = film.streams.video[0]
            check_size("the film is", stream.codec_context.width, stream.codec_context.height, MAX_PIXELS)
            stream.thread_type = "AUTO"
            period = 1 / float(stream.average_rate or 25)
            for frame in film.decode(stream):
                seconds = count * period if frame.time is None else frame.time
                turns = round(getattr(frame, "rotation", 0) / 90) % 4
                yield max(0, round(seconds * 1e9)), np.rot90(frame.to_ndarray(format="rgb24"), turns).copy()
                count += 1
    except (InvalidImageError, av.error.FFmpegError) as error:
        raise BagError(
            f"{path}: damaged after {count} frames ({one_line(error)}): not a film, or cut short"
        ) from None
    if not count:
        raise BagError(f"{path}: a film without frames")


class FilmWriter:
    """Writes labelled frames, each at its time, as :func:`compose` shows them; a context manager."""

    def __init__(self, path: Path, classes: Sequence[LabelClass]) -> None:
        self._path, self._classes = path, tuple(classes)
        self._film: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._start_ns = self._last = 0

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._film is not None:
            for packet in self._stream.encode():
                self._film.mux(packet)
            self._film.close()

    def write(self, time_ns: int, picture: np.ndarray, overlay: np.ndarray, text: str) -> None:
        """Write uint8 (H, W, 3) RGB, both; other sizes than the first one's are fitted to it."""
        av = _library()
        if self._film is None:
            self._size = _fitting(picture.shape[0], picture.shape[1])
        composed = compose(picture, overlay, self._classes, text, self._size)
        # Half the pixels have no color of their own, so width and height are even.
        composed = np.pad(composed, ((0, composed.shape[0] % 2), (0, composed.shape[1] % 2), (0, 0)), "edge")
        if self._film is None:
            self._open(av, time_ns, composed)
        frame = av.VideoFrame.from_ndarray(composed, format="rgb24")
        # Two frames of one time would be one too many.
        self._last = max((time_ns - self._start_ns) * _TICKS // 10**9, self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        for packet in self._stream.encode(frame):
            self._film.mux(packet)

    def _open(self, av: Any, time_ns: int, composed: np.ndarray) -> None:
        self._film = av.open(str(self._path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._film.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "20"})
        self._stream.height, self._stream.width = composed.shape[:2]
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._start_ns, self._last = time_ns, -1


def compose(
    picture: np.ndarray,
    overlay: np.ndarray,
    classes: Sequence[LabelClass],
    text: str,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Return a picture beside its overlay and a legend, with a line in its corner: uint8 (H, W, 3) RGB.

    Args:
        picture: uint8 (h, w, 3) RGB.
        overlay: the same with the class colors blended in.
        classes: what the legend names.
        text: the line.
        size: height and width of each of the two; None for the picture's own, at most 960 wide.
    """
    height, width = size or _fitting(picture.shape[0], picture.shape[1])
    fitted = [
        each
        if each.shape[:2] == (height, width)
        else np.asarray(cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA))
        for each in (picture, overlay)
    ]
    gap = np.full((height, _GAP, 3), _DARK, np.uint8)
    composed = np.concatenate([fitted[0], gap, fitted[1], _legend(tuple(classes), height)], 1)
    scale = _scale(height)
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(composed, text, (8, height - 10), _FONT, scale, color, thickness, cv2.LINE_AA)
    return composed


def _fitting(height: int, width: int) -> tuple[int, int]:
    """Return the height and width at which a picture of a size is shown."""
    if width <= _MAX_WIDTH:
        return height, width
    return max(2, round(height * _MAX_WIDTH / width)), _MAX_WIDTH


def _scale(height: int) -> float:
    return max(0.4, height / 720)


@cache
def _legend(classes: tuple[LabelClass, ...], height: int) -> np.ndarray:
    """Return the names of the classes beside their colors, as high as the picture: uint8 (height, W, 3)."""
    scale = min(_scale(height), height / (len(classes) + 1) / _ROW)
    row = int(_ROW * scale)
    longest = max((cv2.getTextSize(label.name, _FONT, scale, 1)[0][0] for label in classes), default=0)
    legend = np.full((height, longest + 3 * row, 3), _DARK, np.uint8)
    for number, label in enumerate(classes):
        top = row // 2 + number * row
        legend[top : top + max(2, row * 3 // 4), row // 2 : 3 * row // 2] = label.rgb
        at = (2 * row, top + int(row * 0.6))
        cv2.putText(legend, label.name, at, _FONT, scale, (235, 235, 235), 1, cv2.LINE_AA)
    return legend


def _library() -> Any:
    try:
        import av
    except ImportError:
        raise ConfigError('films need PyAV: pip install "squeeze_segnet_ros[films]"') from None
    return av
