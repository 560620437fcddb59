"""Show the node's outputs in the browser: ``ros2 run squeeze_segnet_ros viewer --cameras TOPIC ...``.

A process of its own that subscribes like any other. What arrives is only kept, the newest of each camera; a
thread shows it as fast as the slowest page takes it: a slow browser skips pictures, and holds up nobody.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import LabelInfo

from squeeze_segnet_ros.bags.messages import stamp_ns
from squeeze_segnet_ros.classes import LabelClass, with_names
from squeeze_segnet_ros.errors import ConfigError, InvalidImageError, SegmentationError, one_line
from squeeze_segnet_ros.images.encodings import to_rgb
from squeeze_segnet_ros.images.health import Level
from squeeze_segnet_ros.msg import SegmentationStats
from squeeze_segnet_ros.ros import messages as conversions
from squeeze_segnet_ros.ros.companion import companion
from squeeze_segnet_ros.ros.fitting_subscription import FittingSubscription
from squeeze_segnet_ros.stamps import nanoseconds
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, CONFIDENCE, LABEL, LABEL_INFO, STATS, output_bases
from squeeze_segnet_ros.view import web
from squeeze_segnet_ros.view.layout import short_names
from squeeze_segnet_ros.view.recording import Recording, figures_of

RATE = 5.0
"""Pictures a second that are shown of a camera, at most."""
PICTURES_MB = 48
"""Of pictures that wait for their labels, of each camera. Where they are more, every other one is let go."""
_LABELS = 8
_STATS = 300
_FIT_S = 1.0
_BACK_NS = 10**9
"""Stamps that go back by more begin a new recording, as when a bag starts again."""


class _Ready(NamedTuple):
    """A frame that can be shown: serialized messages."""

    stamp: int
    picture: Any
    label: bytes
    confidence: bytes | None


class CameraInbox:
    """Keeps what comes of one camera until it is shown: stats of every frame, the newest labelled picture.

    The node publishes a frame's stats last, so a frame is complete when they are there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: dict[int, Any] = {}
        self._bytes = 0
        self._labels: dict[int, bytes] = {}
        self._confidences: dict[int, bytes] = {}
        self._stats: deque[bytes] = deque(maxlen=_STATS)
        self._ready: _Ready | None = None

    def put_picture(self, data: bytes) -> None:
        """Keep a picture until its labels come."""
        with self._lock:
            self._pictures[stamp_ns(data)] = data
            self._bytes += len(data)
            while self._bytes > PICTURES_MB * 10**6 and len(self._pictures) > 2:
                # Which ones the node takes is not known: those that are left are spread over the time.
                for stamp in list(self._pictures)[:-1:2]:
                    self._bytes -= len(self._pictures.pop(stamp))

    def put_label(self, data: bytes) -> None:
        """Keep a label image."""
        self._keep(self._labels, data)

    def put_confidence(self, data: bytes) -> None:
        """Keep a confidence image."""
        self._keep(self._confidences, data)

    def put_stats(self, data: bytes) -> None:
        """Keep stats, and what they complete in place of what was not shown yet."""
        stamp = stamp_ns(data)
        with self._lock:
            self._stats.append(data)
            label, picture = self._labels.pop(stamp, None), self._pictures.get(stamp)
            if label is None or picture is None:
                return
            self._ready = _Ready(stamp, picture, label, self._confidences.pop(stamp, None))
            # A node labels a camera's frames in their order.
            for older in [each for each in self._pictures if each <= stamp]:
                self._bytes -= len(self._pictures.pop(older))

    def take(self) -> tuple[list[bytes], _Ready | None]:
        """Return the stats that came, and the newest frame, if there is a new one."""
        with self._lock:
            stats, ready = list(self._stats), self._ready
            self._stats.clear()
            self._ready = None
        return stats, ready

    def _keep(self, kept: dict[int, bytes], data: bytes) -> None:
        with self._lock:
            kept[stamp_ns(data)] = data
            while len(kept) > _LABELS:
                del kept[next(iter(kept))]


class Viewer:
    """Subscribes to cameras and outputs, and shows them in a thread of its own until it is closed.

    Args:
        node: subscribes.
        segnet: full name of the node whose diagnostics are shown.
        cameras: topics, as the node's parameter.
        compressed: whether the node takes compressed pictures.
        open_recording: gives a recording for these names and classes, connected.
        rate: pictures a second of each camera, at most.
    """

    def __init__(
        self,
        node: Node,
        segnet: str,
        cameras: Sequence[str],
        compressed: bool,
        open_recording: Callable[[Sequence[str], Sequence[LabelClass]], Recording],
        rate: float = RATE,
    ) -> None:
        self.error: Exception | None = None
        """Why it cannot go on."""
        self._node, self._segnet, self._period = node, segnet, 1 / rate
        self._open_recording = open_recording
        self._names = short_names(cameras)
        self._inboxes = [CameraInbox() for _ in cameras]
        self._classes: tuple[LabelClass, ...] = ()
        self._lines: deque[tuple[str, int, Level, str]] = deque(maxlen=1000)
        self._told: dict[str, str] = {}
        topics = [node.resolve_topic_name(camera) for camera in cameras]
        self._name_of = dict(zip(topics, self._names, strict=True))
        kind, suffix = (CompressedImage, COMPRESSED_SUFFIX) if compressed else (Image, "")
        self._kind: Any = kind
        self._fitting = []
        for camera, base, inbox in zip(cameras, output_bases(cameras), self._inboxes, strict=True):
            for type_, topic, put, depth in (
                (kind, camera + suffix, inbox.put_picture, 5),
                (Image, f"{base}/{LABEL.name}", inbox.put_label, 2),
                (Image, f"{base}/{CONFIDENCE.name}", inbox.put_confidence, 2),
                (SegmentationStats, f"{base}/{STATS.name}", inbox.put_stats, STATS.depth),
            ):
                self._fitting.append(
                    FittingSubscription(node, type_, topic, partial(_put, put), depth, raw=True)
                )
            latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            node.create_subscription(LabelInfo, f"{base}/{LABEL_INFO.name}", self._on_classes, latched)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        node.create_timer(_FIT_S, self._fit)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="show", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; what a slow page has not taken is dropped."""
        self._stop.set()
        self._thread.join(3.0)

    # -- in the executor's thread -----------------------------------------------------------------------

    def _fit(self) -> None:
        for subscription in self._fitting:
            subscription.fit()

    def _on_classes(self, message: LabelInfo) -> None:
        self._classes = with_names([label.class_name for label in message.class_map])

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        """Keep a line for what is new about the node and its cameras."""
        stamp = nanoseconds(message.header.stamp)
        for status in message.status:
            node, _, about = status.name.partition(": ")
            if node != self._segnet:
                continue
            level = Level(min(int.from_bytes(bytes(status.level), "little"), Level.ERROR))
            name = self._name_of.get(about.removesuffix(COMPRESSED_SUFFIX), about)
            # Where all is well its figures change all the time.
            kind = re.sub(r"[\d.]+", "", status.message) if level else ""
            if kind != self._told.get(name, ""):
                self._told[name] = kind
                self._lines.append((name, stamp, level, status.message))

    # -- in its own thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._classes and not self._stop.wait(0.1):
                pass
            classes = self._classes
            while not self._stop.is_set():
                with self._open_recording(self._names, classes) as recording:
                    self._show(recording, classes)
                classes = self._classes
        except Exception as error:
            self.error = error

    def _show(self, recording: Recording, classes: tuple[LabelClass, ...]) -> None:
        """Show until it is to end, or what is shown begins anew: other classes, an earlier time."""
        latest = [0] * len(self._inboxes)
        while not self._stop.is_set() and classes is self._classes:
            started = time.monotonic()
            for number, (name, inbox) in enumerate(zip(self._names, self._inboxes, strict=True)):
                stats, ready = inbox.take()
                for data in stats:
                    message = deserialize_message(data, SegmentationStats)
                    stamp = nanoseconds(message.header.stamp)
                    if stamp < latest[number] - _BACK_NS:
                        return
                    latest[number] = max(latest[number], stamp)
                    recording.log_figures(name, stamp, figures_of(message))
                if ready is not None:
                    self._show_picture(recording, name, ready)
            while self._lines:
                name, stamp, level, text = self._lines.popleft()
                # A clock that has not been heard yet would stretch the timeline back to 1970.
                if any(latest) and stamp >= max(latest) - 60 * _BACK_NS:
                    recording.log_text(name, stamp, level, text)
            # Until it is through to the slowest page, the newest frames replace each other.
            while not recording.flush(0.5) and not self._stop.is_set():
                pass
            self._stop.wait(max(0.0, self._period - (time.monotonic() - started)))

    def _show_picture(self, recording: Recording, name: str, ready: _Ready) -> None:
        try:
            picture = to_rgb(conversions.pixels_of(deserialize_message(ready.picture, self._kind)))
        except InvalidImageError:  # the node has told
            return
        confidence = None if ready.confidence is None else _gray(ready.confidence)
        recording.log_picture(name, ready.stamp, picture, _gray(ready.label), confidence)


def _put(put: Callable[[bytes], None], data: Any, _: Any) -> None:
    put(bytes(data))


def _gray(data: bytes) -> Any:
    return conversions.pixels_of(deserialize_message(data, Image)).array


def main(arguments: Sequence[str] | None = None) -> int:
    """Show until a signal comes; the exit code is 0 then, 1 where it could not go on, 2 for bad input."""
    arguments = list(sys.argv if arguments is None else ["viewer", *arguments])
    parser = argparse.ArgumentParser(prog="viewer", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--cameras", nargs="+", required=True, metavar="TOPIC", help="as the node's parameter"
    )
    parser.add_argument("--transport", choices=("raw", "compressed"), default="raw", help="likewise")
    parser.add_argument("--node", default="/segnet", help="whose diagnostics are shown")
    parser.add_argument("--bind", default=web.LOOPBACK, help="IP address to listen on")
    parser.add_argument("--port", type=int, default=web.PORT, help="port of the page")
    parser.add_argument("--memory", type=int, default=web.MEMORY_MB, help="MB kept for pages that open later")
    parser.add_argument("--rate", type=float, default=RATE, help="pictures a second of each camera, at most")
    parsed = parser.parse_args(remove_ros_args(arguments)[1:])
    try:
        with web.WebViewer(parsed.bind, parsed.port, parsed.memory) as page:
            print(f"viewer: look at it: {page.address}", flush=True)
            error = _serve(page, parsed, arguments)
    except SegmentationError as problem:
        print(f"viewer: {problem}", file=sys.stderr)
        return 2
    if error is not None:
        print(f"viewer: ended: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _serve(page: web.WebViewer, parsed: argparse.Namespace, arguments: list[str]) -> Exception | None:
    def open_recording(names: Sequence[str], classes: Sequence[LabelClass]) -> Recording:
        recording = Recording(names, classes, live=True)
        recording.connect(page.url)
        return recording

    def make(node: Node) -> Viewer:
        compressed = parsed.transport == "compressed"
        return Viewer(node, parsed.node, parsed.cameras, compressed, open_recording, parsed.rate)

    with companion("viewer", arguments, make) as (viewer, executor, stop):
        try:
            while not stop.is_set() and viewer.error is None:
                executor.spin_once(timeout_sec=0.1)
                if not page.is_running:
                    return ConfigError("Rerun's server has ended")
        finally:
            viewer.close()
    return viewer.error


if __name__ == "__main__":
    sys.exit(main())
