"""A Rerun recording of labelled frames: picture, labels, confidence, class shares, times, counts, findings.

The one place that says what a frame looks like in Rerun, for the live view, for files and for notebooks.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from squeeze_segnet_ros.classes import UNLABELLED, LabelClass
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.images.health import Level
from squeeze_segnet_ros.view.layout import TIMELINE, blueprint, library, paths

APPLICATION = "squeeze_segnet_ros"
MAX_WIDTH = 960
"""Wider pictures are shown at this width in pixels, with their labels."""
_JPEG_QUALITY = 85
_LABELS_OPACITY = 0.5
_GRAY = (160, 160, 160)
_STAGE_COLORS = (
    (120, 144, 156),
    (77, 182, 172),
    (149, 117, 205),
    (255, 167, 38),
    (100, 181, 246),
    (240, 98, 146),
    (60, 60, 60),
)
_STAGES = ("wait", "decode", "upload", "network", "download", "publish")
_DROPS = ("dropped_replaced", "dropped_too_old", "dropped_invalid", "dropped_failed", "dropped_shutting_down")
_LEVELS = {Level.OK: "INFO", Level.WARN: "WARN", Level.ERROR: "ERROR"}


class Timeline(Enum):
    """What a frame's time is: nanoseconds since 1970 or since the beginning, or the number of a picture."""

    STAMP = "timestamp"
    TIME = "duration"
    PICTURE = "sequence"


@dataclass(frozen=True)
class Figures:
    """What was counted and measured about a frame.

    Attributes:
        class_pixels: pixels of each class, by id; unlabelled: pixels of none.
        seconds: time of each stage, by name; the last is the whole.
        counts: frames of its camera so far, by what became of them.
        findings: what is wrong with the picture, each with its level, as ``kind: text``.
    """

    class_pixels: Sequence[int]
    unlabelled: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    findings: Sequence[tuple[Level, str]] = ()


def figures_of(stats: Any) -> Figures:
    """Return what a SegmentationStats says, be it rclpy's or of a bag."""
    drops = {name.removeprefix("dropped_").replace("_", " "): getattr(stats, name) for name in _DROPS}
    seconds = {stage: float(getattr(stats, f"{stage}_time")) for stage in _STAGES} | {"in all": stats.latency}
    return Figures(
        class_pixels=[int(pixels) for pixels in stats.class_pixels],
        unlabelled=int(stats.unlabelled_pixels),
        # Labels that were made without a graph have none: they would say nothing about a vehicle.
        seconds=seconds if any(seconds.values()) else {},
        counts={"in": stats.frames_received, "labelled": stats.frames_labelled, **drops},
        findings=[(Level(stats.health), text) for text in stats.health_findings],
    )


class Recording:
    """Frames of cameras on one timeline, with our layout. A context manager.

    Args:
        cameras: what to call each camera, in the order in which they are shown.
        classes: what the ids in its labels mean.
        timeline: what the times of its frames are.
        live: whether the page follows what comes.

    Raises:
        ConfigError: Rerun is not installed.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        classes: Sequence[LabelClass],
        timeline: Timeline = Timeline.STAMP,
        live: bool = False,
    ) -> None:
        self._rerun = library()
        self._cameras, self._classes = tuple(cameras), tuple(classes)
        self._timeline, self._live = timeline, live
        self._stream = self._rerun.RecordingStream(APPLICATION, recording_id=uuid.uuid4())
        # One timeline is enough to look at, and each further one costs memory.
        self._stream.set_log_tick_enabled(False)
        self._stream.set_log_time_enabled(False)
        self._drawn: set[str] = set()
        self._found: dict[str, set[str]] = {}

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def save(self, path: Path) -> None:
        """Write into a file from now on.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            with path.open("wb"):
                pass
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
        self._stream.save(path, default_blueprint=self._layout())
        self._begin()

    def connect(self, url: str) -> None:
        """Send to a server, as ``view.web`` starts one, from now on."""
        self._stream.connect_grpc(url)
        self._stream.send_blueprint(self._layout())
        self._begin()

    def log_picture(
        self,
        camera: str,
        time: int,
        picture: np.ndarray | bytes,
        labels: np.ndarray,
        confidence: np.ndarray | None = None,
    ) -> None:
        """Log how a frame looks.

        Args:
            camera: one of the names that were given.
            time: as the timeline says.
            picture: uint8 (H, W, 3) RGB, or the bytes of a JPEG of ``MAX_WIDTH`` at most.
            labels: uint8 (h, w) class ids; another size than the picture's is fitted to it.
            confidence: uint8 (h, w), 0..255.
        """
        rerun, place = self._rerun, paths(camera)
        self._set_time(time)
        if isinstance(picture, bytes):
            size = None if confidence is None else labels.shape
            data = picture
        else:
            picture = shrunk(picture, cv2.INTER_AREA)
            size = picture.shape[:2]
            labels = fitted(labels, size)
            data = jpeg(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self._stream.log(place.picture, rerun.EncodedImage(contents=data, media_type="image/jpeg"))
        self._stream.log(
            place.labels, rerun.SegmentationImage(labels, opacity=_LABELS_OPACITY, draw_order=1.0)
        )
        if confidence is not None:
            gray = jpeg(fitted(confidence, size))
            self._stream.log(place.confidence, rerun.EncodedImage(contents=gray, media_type="image/jpeg"))

    def log_figures(self, camera: str, time: int, figures: Figures) -> None:
        """Log what is known of a frame in figures; findings become lines when they come and when they go."""
        place = paths(camera)
        self._set_time(time)
        total = max(1, sum(figures.class_pixels) + figures.unlabelled)
        shares = [100 * pixels / total for pixels in (*figures.class_pixels, figures.unlabelled)]
        colors = {label.name: label.rgb for label in self._classes}
        self._log_lines(place.shares, {**colors, "unlabelled": _GRAY}, shares)
        if figures.seconds:
            styles = dict(zip(figures.seconds, _colors(len(figures.seconds)), strict=True))
            self._log_lines(place.times, styles, [1e3 * seconds for seconds in figures.seconds.values()])
        if figures.counts:
            styles = dict(zip(figures.counts, _colors(len(figures.counts)), strict=True))
            self._log_lines(place.counts, styles, list(figures.counts.values()))
        self._log_findings(camera, figures.findings)

    def log_text(self, camera: str, time: int, level: Level, text: str) -> None:
        """Log a line."""
        self._set_time(time)
        self._log_line(camera, level, text)

    def flush(self, seconds: float | None = None) -> bool:
        """Wait until all has been handed over; return whether it was within so many seconds."""
        try:
            if seconds is None:
                self._stream.flush()
            else:
                self._stream.flush(timeout_sec=seconds)
        # Its own errors are of several types, all for the same: not yet.
        except Exception:
            return False
        return True

    def close(self) -> None:
        """Hand over what is left, and end it."""
        self.flush(5.0)
        self._stream.disconnect()

    # -- details ----------------------------------------------------------------------------------------

    def _layout(self) -> Any:
        return blueprint(self._cameras, self._live)

    def _begin(self) -> None:
        """Log what holds for all frames."""
        named = [(label.id, label.name, label.rgb) for label in self._classes]
        context = self._rerun.AnnotationContext([*named, (UNLABELLED, "unlabelled", (0, 0, 0, 0))])
        self._stream.log("/", context, static=True)
        self._drawn.clear()

    def _set_time(self, time: int) -> None:
        value: Any = time
        if self._timeline is Timeline.STAMP:
            value = np.datetime64(time, "ns")
        elif self._timeline is Timeline.TIME:
            value = np.timedelta64(time, "ns")
        self._stream.set_time(TIMELINE, **{self._timeline.value: value})

    def _log_lines(
        self, path: str, styles: Mapping[str, tuple[int, int, int]], values: Sequence[float]
    ) -> None:
        if path not in self._drawn:
            self._drawn.add(path)
            style = self._rerun.SeriesLines(
                names=list(styles),
                colors=[list(color) for color in styles.values()],
                widths=[1.5] * len(styles),
            )
            self._stream.log(path, style, static=True)
        self._stream.log(path, self._rerun.Scalars(values))

    def _log_findings(self, camera: str, findings: Sequence[tuple[Level, str]]) -> None:
        # Their figures change from frame to frame, such as how many equal frames there were.
        kinds = {text.partition(":")[0]: (level, text) for level, text in findings}
        before = self._found.get(camera, set())
        for kind, (level, text) in kinds.items():
            if kind not in before:
                self._log_line(camera, level, text)
        for kind in sorted(before - kinds.keys()):
            self._log_line(camera, Level.OK, f"{kind}: over")
        self._found[camera] = set(kinds)

    def _log_line(self, camera: str, level: Level, text: str) -> None:
        line = self._rerun.TextLog(f"{camera}: {text}", level=_LEVELS[level])
        self._stream.log(paths(camera).log, line)


def shrunk(pixels: np.ndarray, way: int = cv2.INTER_NEAREST) -> np.ndarray:
    """Return pixels at ``MAX_WIDTH`` at most."""
    height, width = pixels.shape[:2]
    if width <= MAX_WIDTH:
        return pixels
    size = (MAX_WIDTH, max(1, round(height * MAX_WIDTH / width)))
    return np.asarray(cv2.resize(pixels, size, interpolation=way))


def fitted(pixels: np.ndarray, size: Sequence[int] | None) -> np.ndarray:
    """Return pixels at a height and width, each the nearest one."""
    if size is None or pixels.shape[:2] == tuple(size):
        return pixels
    return np.asarray(cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST))


def jpeg(pixels: np.ndarray) -> bytes:
    """Return the JPEG of uint8 (H, W, 3) BGR or (H, W)."""
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()


def _colors(count: int) -> list[tuple[int, int, int]]:
    return [_STAGE_COLORS[i % len(_STAGE_COLORS)] for i in range(count)]
