"""Films: frames out of one, and overlays into one that plays in a browser (H.264 in mp4)."""

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
    """Writes overlays with a legend and the time; a context manager. Frames keep their times."""

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

    def write(self, time_ns: int, overlay: np.ndarray, text: str) -> None:
        """Write uint8 (H, W, 3) RGB; other sizes than the first one's are fitted to it."""
        av = _library()
        if self._film is None:
            self._open(av, time_ns, overlay)
        height, width = self._size
        if overlay.shape[:2] != self._size:
            overlay = np.asarray(cv2.resize(overlay, (width, height)))
        picture = np.concatenate([overlay, _legend(self._classes, height)], 1)
        # Half the pixels have no color of their own, so width and height are even.
        picture = np.pad(picture, ((0, height % 2), (0, picture.shape[1] % 2), (0, 0)), "edge")
        scale = _scale(height)
        for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(picture, text, (6, height - 8), _FONT, scale, color, thickness, cv2.LINE_AA)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        # Two frames of one time would be one too many.
        self._last = max((time_ns - self._start_ns) * _TICKS // 10**9, self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        for packet in self._stream.encode(frame):
            self._film.mux(packet)

    def _open(self, av: Any, time_ns: int, overlay: np.ndarray) -> None:
        self._size = (overlay.shape[0], overlay.shape[1])
        width = overlay.shape[1] + _legend(self._classes, overlay.shape[0]).shape[1]
        self._film = av.open(str(self._path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._film.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "20"})
        self._stream.width, self._stream.height = width + width % 2, self._size[0] + self._size[0] % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._start_ns, self._last = time_ns, -1


def _scale(height: int) -> float:
    return max(0.35, height / 1000)


@cache
def _legend(classes: tuple[LabelClass, ...], height: int) -> np.ndarray:
    """Return the names of the classes beside their colors, as high as the picture: uint8 (height, W, 3)."""
    scale = min(_scale(height), height / (len(classes) + 1) / 28)
    row = int(28 * scale)
    longest = max((cv2.getTextSize(label.name, _FONT, scale, 1)[0][0] for label in classes), default=0)
    legend = np.full((height, longest + 3 * row, 3), 32, np.uint8)
    for number, label in enumerate(classes):
        top = row // 2 + number * row
        legend[top : top + max(2, row - 3), row // 2 : 3 * row // 2] = label.rgb
        at = (2 * row, top + int(row * 0.75))
        cv2.putText(legend, label.name, at, _FONT, scale, (235, 235, 235), 1, cv2.LINE_AA)
    return legend


def _library() -> Any:
    try:
        import av
    except ImportError:
        raise ConfigError('films need PyAV: pip install "squeeze_segnet_ros[films]"') from None
    return av
