"""The main job as a user runs it, looked at from outside: ``make demo``.

Plays a bag through ``ros2 launch squeeze_segnet_ros segnet.launch.py bag:=...``, receives the label images as
any other node would, compares them with the true labels in the bag, and leaves ``summary.json`` and
``overlay.png``. The exit code is 0 only if every frame that was played got its label image.
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from demo.command import LAUNCH_ARGUMENTS
from squeeze_segnet_ros.bags import messages, open_bag
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.data.dataset import open_dataset
from squeeze_segnet_ros.data.to_bag import truth_topic, write_bag
from squeeze_segnet_ros.errors import ConfigError, SegmentationError
from squeeze_segnet_ros.images.decoding import pixels_of
from squeeze_segnet_ros.images.encodings import to_rgb
from squeeze_segnet_ros.offline.running import Teller
from squeeze_segnet_ros.offline.sources import bag_frames, choose_cameras
from squeeze_segnet_ros.ros.launching import plan_bag, use_own_graph
from squeeze_segnet_ros.scoring.metrics import confusion_matrix, scores
from squeeze_segnet_ros.stamps import nanoseconds
from squeeze_segnet_ros.topics import output_base
from squeeze_segnet_ros.view import contact_sheet
from support.processes import Running, TooLate

SAMPLE_BAG = Path("rosbags", "street_camvid")
_SHOWN_FRAMES = 6
_TRIES = 2
_TOLD_S = 5.0  # between two lines about the progress, where there is no terminal
_TIMED_FRAMES, _TIMED_S = 8, 8.0
_BUSY = 2.0  # the player, the middleware and this program want their share of the computer beside the network
_OVERHEAD_S = 0.02
_START_S = 180.0  # for the launch to load the network on a slow computer
_END_S = 3.0  # how long a launch may take to end after SIGINT, so that everything is gone within five seconds


class Frame(NamedTuple):
    """A camera frame by the topic of its camera (without ``/compressed``) and its header's stamp."""

    camera: str
    stamp_ns: int


class Played(NamedTuple):
    """What is in the bag: all frames in the order of the recording, and their period for each camera."""

    cameras: tuple[str, ...]
    frames: tuple[Frame, ...]
    period_s: float
    duration_s: float


@dataclass
class Seen:
    """What came from the graph. Wall times are in ns since the epoch, as the middleware took them down."""

    labels: dict[Frame, np.ndarray] = field(default_factory=dict)
    published_ns: dict[Frame, int] = field(default_factory=dict)
    overlays: dict[Frame, np.ndarray] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)
    clock: list[tuple[int, int]] = field(default_factory=list)

    @property
    def moving_clock(self) -> list[tuple[int, int]]:
        """What /clock said once the player played: while that waits, its time stands still.

        Which time that is, of the recording or of a simulation, is the bag's affair.
        """
        return [tick for tick in self.clock if tick[0] > self.clock[0][0]]


class Stopped(Exception):
    """Ctrl-C, or a request to terminate."""


class LaunchFailed(SegmentationError):
    """The launch ended by itself with an error; the text is its reason."""


# -- before playing -------------------------------------------------------------------------------------


def read_frames(bag_path: Path, topics: Sequence[str] = ()) -> Played:
    """Return the frames that playing the bag publishes, of these cameras or of all."""
    with open_bag(bag_path) as bag:
        cameras = choose_cameras(bag, topics)
        frames = [Frame(frame.name, frame.stamp_ns) for frame in bag_frames(bag, cameras)]
        most = max(bag.info[topic].count for topic in cameras.values())
        seconds = bag.duration_ns / 1e9
        return Played(tuple(cameras), tuple(dict.fromkeys(frames)), seconds / max(1, most - 1), seconds)


def choose_rate(bag_path: Path, played: Played, network: dict[str, str]) -> float:
    """Return the speed, at most 1, at which this computer labels every frame; print one line about it.

    The node drops frames that it cannot keep up with, as it should on a vehicle; here all are wanted.
    """
    import squeeze_segnet_ros as ssr

    net = ssr.load(**network)  # type: ignore[arg-type]
    with open_bag(bag_path) as bag:
        first = next(bag_frames(bag, choose_cameras(bag, ())))
    ask = ssr.Request(overlay=True)
    net.segment(to_rgb(first.decode()), ask)  # warms up
    times: list[float] = []
    while len(times) < _TIMED_FRAMES and sum(times) < _TIMED_S:
        started = time.perf_counter()
        net.segment(to_rgb(first.decode()), ask)
        times.append(time.perf_counter() - started)
    seconds = min(times)  # the others tell what else this computer was doing
    needed = (_BUSY * seconds + _OVERHEAD_S) * len(played.cameras)
    rate = 1.0 if needed <= played.period_s else round(max(0.01, played.period_s / needed), 2)
    print(
        f"{net.model} on {net.device} in {net.precision}: {1000 * seconds:.0f} ms per frame here, "
        f"the bag has {1 / played.period_s:.0f} Hz: playing at rate {rate:g}"
    )
    return rate


# -- the launch -----------------------------------------------------------------------------------------


class Launch(Running):
    """``ros2 launch``; what it prints goes to a log file too. Leaving its context stops it as Ctrl-C does."""

    def __init__(self, arguments: dict[str, str], log: Path) -> None:
        command = ["ros2", "launch", "squeeze_segnet_ros", "segnet.launch.py"]
        command += [f"{name}:={value}" for name, value in arguments.items()]
        print("$", shlex.join(command))
        try:
            super().__init__(command, log)
        except FileNotFoundError:
            raise ConfigError(
                "there is no command ros2 here: run `source install/setup.bash` or `make demo`"
            ) from None
        self._log_file = log

    def ended(self) -> bool:
        """Return whether it has ended.

        Raises:
            LaunchFailed: it ended in an error, with the reason.
        """
        if self.is_running():
            return False
        if code := self.wait():
            raise LaunchFailed(
                f"the launch ended with exit code {code}: {self.reason()} (everything: {self._log_file})"
            )
        return True

    def reason(self) -> str:
        """Return the line of its output that tells best what went wrong."""
        for words in (("[FATAL]",), ("[ERROR]", "Error", "error:"), ("[WARN]",)):
            found = [line for line in self.lines if any(word in line for word in words)]
            if found:
                # Of several, the first is the cause and the others follow from it.
                return " ".join(found[0].split())
        return next((line for line in reversed(self.lines) if line.strip()), "it printed nothing")

    def __exit__(self, *exception: Any) -> None:
        if self.is_running():
            with suppress(ProcessLookupError):
                self.send(signal.SIGINT)
            with suppress(TooLate):
                self.wait(_END_S)
        super().__exit__(*exception)


# -- looking at it from outside -------------------------------------------------------------------------


@contextmanager
def observer(cameras: tuple[str, ...], shown: frozenset[Frame]) -> Iterator[Seen]:
    """Yield what a node receives that the launch publishes for these cameras; overlays only of ``shown``."""
    from rclpy.qos import QoSProfile
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import Image
    from squeeze_segnet_ros.msg import SegmentationStats

    from reliability.graph import Graph

    seen = Seen()
    everything = QoSProfile(depth=1000)

    def on_clock(message: Clock, info: Any) -> None:
        seen.clock.append((nanoseconds(message.clock), info["source_timestamp"]))

    def listen(camera: str) -> None:
        def frame(message: Any) -> Frame:
            return Frame(camera, nanoseconds(message.header.stamp))

        def on_label(message: Image, info: Any) -> None:
            seen.published_ns.setdefault(frame(message), info["source_timestamp"])
            seen.labels[frame(message)] = pixels_of(message).array.copy()

        def on_overlay(message: Image) -> None:
            if frame(message) in shown:
                seen.overlays[frame(message)] = pixels_of(message).array.copy()

        def on_stats(message: SegmentationStats) -> None:
            seen.stats[camera] = message

        base = output_base(camera)
        subscribe(Image, f"{base}/label", on_label, everything)
        subscribe(Image, f"{base}/overlay", on_overlay, everything)
        subscribe(SegmentationStats, f"{base}/stats", on_stats, everything)

    with Graph() as graph:
        # The annotation of Jazzy's rclpy knows of no second argument.
        subscribe: Any = graph.node.create_subscription
        subscribe(Clock, "/clock", on_clock, everything)
        for camera in cameras:
            listen(camera)
        yield seen


def run_launch(bag: Path, rate: float, played: Played, network: dict[str, str], log: Path) -> Seen:
    """Play the bag once and return what was seen.

    Raises:
        LaunchFailed: the launch ended with an error.
    """
    shown = contact_frames(played)
    arguments = {"bag": str(bag), "rate": f"{rate:g}", **network}
    if log.stat().st_size if log.exists() else 0:
        log.unlink()
    limit = time.monotonic() + _START_S + 2 * played.duration_s / rate
    total = len(played.frames)
    with observer(played.cameras, frozenset(shown)) as seen:
        with Launch(arguments, log) as launch:
            teller: Teller | None = None
            while not launch.ended():
                if seen.moving_clock:
                    teller = teller or Teller(total, quiet=False, period_s=_TOLD_S)
                    teller.tell(len(seen.labels), "labelled by the node")
                if time.monotonic() > limit:
                    raise LaunchFailed(f"the launch did not end by itself; its output is in {log}")
                time.sleep(0.1)
        # The last messages may still be on their way to this process.
        patience = time.monotonic() + 2.0
        while len(seen.labels) < total and time.monotonic() < patience:
            time.sleep(0.02)
        if teller:
            teller.end()
    return seen


def contact_frames(played: Played) -> tuple[Frame, ...]:
    """Return frames for the picture, spread over the bag."""
    places = np.linspace(0, len(played.frames) - 1, _SHOWN_FRAMES + 2).round().astype(int)[1:-1]
    return tuple(dict.fromkeys(played.frames[place] for place in places))


# -- what came out --------------------------------------------------------------------------------------


def latencies_ms(seen: Seen) -> np.ndarray:
    """Return the milliseconds from each frame's stamp to its label being published.

    Simulated time runs slower than wall time when the bag does, so a difference of two simulated times would
    flatter. The /clock messages tell which wall time belongs to each recorded time; the middleware takes down
    the wall time at which a message was published, on either side, so the way to this process is no part.
    """
    moving = np.array(seen.moving_clock, np.int64).reshape(-1, 2)
    stamps = [(frame.stamp_ns, published) for frame, published in seen.published_ns.items()]
    if len(moving) < 2 or not stamps:
        return np.zeros(0)
    origin = moving[0]
    recorded, wall = (moving - origin).T.astype(np.float64)
    slope, offset = np.polyfit(recorded, wall, 1)
    frames = (np.array(stamps, np.int64) - origin).astype(np.float64)
    return (frames[:, 1] - (slope * frames[:, 0] + offset)) / 1e6


def compare_with_truth(bag_path: Path, seen: Seen) -> np.ndarray | None:
    """Return the confusion matrix of labelled frames whose true labels are in the bag; None without any."""
    topics = {truth_topic(camera): camera for camera in {frame.camera for frame in seen.labels}}
    counts = None
    with open_bag(bag_path) as bag:
        for message in bag.messages([topic for topic in topics if topic in bag.topics]):
            label = seen.labels.get(Frame(topics[message.topic], messages.stamp_ns(message.data)))
            if label is not None:
                truth = messages.decode_image(message.data, message.type)
                found = confusion_matrix(label, truth, len(CAMVID))
                counts = found if counts is None else counts + found
    return counts


def summarize(bag_path: Path, played: Played, seen: Seen) -> dict[str, Any]:
    """Return what goes into summary.json; scores are null for a bag without true labels."""
    labelled = sum(frame in seen.labels for frame in played.frames)
    times = latencies_ms(seen)
    counts = compare_with_truth(bag_path, seen) if seen.labels else None
    result = None if counts is None or not counts.sum() else scores(counts)
    stats = next(iter(seen.stats.values()), None)
    percentiles = {
        f"p{p}": round(float(np.percentile(times, p)), 2) if times.size else None for p in (50, 95, 99)
    }
    return {
        "frames_in": len(played.frames),
        "frames_labelled": labelled,
        "frames_dropped": len(played.frames) - labelled,
        "latency_ms": percentiles,
        "class_accuracy": None if result is None else round(result.class_average_accuracy, 4),
        "mean_iou": None if result is None else round(result.mean_iou, 4),
        "device": stats.device if stats else None,
        "precision": stats.precision if stats else None,
    }


def missing_frames(played: Played, seen: Seen) -> str:
    """Return which frames have no label, and what the node says about it."""
    missing = [frame for frame in played.frames if frame not in seen.labels]
    stamps = ", ".join(f"{f.stamp_ns // 10**9}.{f.stamp_ns % 10**9:09d}" for f in missing[:10])
    counters = []
    for camera, stats in seen.stats.items():
        drops = {
            name.removeprefix("dropped_"): getattr(stats, name)
            for name in stats.get_fields_and_field_types()
            if name.startswith("dropped_") or name == "frames_unwatched"
        }
        said = ", ".join(f"{name} {count}" for name, count in drops.items() if count) or "no drops"
        counters.append(
            f"{camera}: received {stats.frames_received}, labelled {stats.frames_labelled}, {said}"
        )
    more = ", ..." if len(missing) > 10 else ""
    return (
        f"{len(missing)} frames have no label, with the stamps {stamps}{more}; "
        f"the node's last counters: {'; '.join(counters) or 'none came'}"
    )


def draw(bag_path: Path, played: Played, seen: Seen, title: str, output: Path) -> None:
    """Write the picture: camera frames above what the node made of them, and the legend."""
    wanted = [frame for frame in contact_frames(played) if frame in seen.overlays]
    pictures: dict[Frame, np.ndarray] = {}
    with open_bag(bag_path) as bag:
        for recorded in bag_frames(bag, choose_cameras(bag, ())):
            frame = Frame(recorded.name, recorded.stamp_ns)
            if frame in wanted:
                pictures[frame] = to_rgb(recorded.decode())
    start = played.frames[0].stamp_ns
    cells = [
        contact_sheet.Cell(pictures[f], seen.overlays[f], f"{(f.stamp_ns - start) / 1e9:.1f} s")
        for f in wanted
    ]
    contact_sheet.write(output, title, cells, CAMVID.classes)


def table(summary: dict[str, Any]) -> str:
    """Return the summary as lines for people."""

    def number(value: float | None, unit: str = "") -> str:
        return "-" if value is None else f"{value:g}{unit}"

    latency = summary["latency_ms"]
    rows = [
        ("frames played", str(summary["frames_in"])),
        ("frames labelled", str(summary["frames_labelled"])),
        ("frames dropped", str(summary["frames_dropped"])),
        ("latency", ", ".join(f"{name} {number(value, ' ms')}" for name, value in latency.items())),
        ("class accuracy", number(summary["class_accuracy"])),
        ("mean IoU", number(summary["mean_iou"])),
        ("device", f"{summary['device']}, {summary['precision']}"),
    ]
    return "\n".join(f"{name:<16} {value}" for name, value in rows)


# -- one run --------------------------------------------------------------------------------------------


def play_and_compare(bag: Path, output: Path, network: dict[str, str], rate: float | None) -> int:
    """Play, look, compare, write; 0 only when every frame got its label."""
    played = read_frames(bag)
    rate = rate or choose_rate(bag, played, network)
    for attempt in range(1, _TRIES + 1):
        seen = run_launch(bag, rate, played, network, output / "launch.log")
        complete = all(frame in seen.labels for frame in played.frames)
        if complete or attempt == _TRIES:
            break
        rate = round(rate / 2, 3)
        print(f"{missing_frames(played, seen)}\nthis computer was busy; once more at rate {rate:g}")
    summary = summarize(bag, played, seen)
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    stats = next(iter(seen.stats.values()), None)
    if seen.overlays:
        title = f"{stats.model if stats else 'segnet'} on {bag.name}"
        draw(bag, played, seen, title, output / "overlay.png")
    print()
    print(table(summary))
    print(f"written: {output / 'summary.json'}" + (f", {output / 'overlay.png'}" if seen.overlays else ""))
    if not complete:
        print(f"demo: {missing_frames(played, seen)}", file=sys.stderr)
    return 0 if complete else 1


def sample_bag() -> Path:
    """Return the package's own bag: in the working folder, else where the package is installed."""
    if SAMPLE_BAG.exists():
        return SAMPLE_BAG
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory("squeeze_segnet_ros")) / SAMPLE_BAG
    except PackageNotFoundError:
        return SAMPLE_BAG


def run(parsed: argparse.Namespace) -> int:
    """Run the demo; 1 when frames are missing or the launch failed, 130 after Ctrl-C.

    Raises:
        SegmentationError: bad input.
    """
    use_own_graph()
    network = {name: value for name in LAUNCH_ARGUMENTS if (value := getattr(parsed, name))}
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        if parsed.rate is not None and not 0 < parsed.rate < float("inf"):
            raise ConfigError(f"--rate {parsed.rate:g} makes no sense: give a number above 0")
        if parsed.limit is not None and parsed.limit < 1:
            raise ConfigError(f"--limit {parsed.limit} makes no sense: at least 1 frame")
        try:
            parsed.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--output {parsed.output} cannot be made: {error.strerror}") from None
        for old in ("summary.json", "overlay.png"):
            (parsed.output / old).unlink(missing_ok=True)
        if parsed.camvid is None:
            return _play(parsed.bag or sample_bag(), parsed, network)
        with tempfile.TemporaryDirectory(prefix="demo_") as folder:
            bag = Path(folder, f"camvid_{parsed.split}")
            count = write_bag(open_dataset(parsed.camvid), bag, parsed.split, limit=parsed.limit)
            print(f"{count} frames of {parsed.camvid}, {parsed.split}")
            return _play(bag, parsed, network)
    except LaunchFailed as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except Stopped:
        print("\ndemo: stopped", file=sys.stderr)
        return 130


def _play(bag: Path, parsed: argparse.Namespace, network: dict[str, str]) -> int:
    """Play a bag; with ``--view`` it can be watched meanwhile, and looked at afterwards until Ctrl-C."""
    if not parsed.view:
        return play_and_compare(bag, parsed.output, network, parsed.rate)
    plan = plan_bag(str(bag))
    command = [sys.executable, "-m", "squeeze_segnet_ros.ros.viewer", "--transport", plan.transport]
    with Running([*command, "--cameras", *plan.cameras]) as viewer:
        try:
            viewer.wait_for_line("look at it: ")
        except TooLate:
            raise ConfigError(viewer.text or "the view did not start") from None
        address = viewer.lines[-1].rpartition(" ")[2]
        print(f"watch it in a browser: {address}", flush=True)
        code = play_and_compare(bag, parsed.output, network, parsed.rate)
        print(f"look around in it until Ctrl-C: {address}", flush=True)
        with suppress(Stopped):
            while viewer.is_running():
                time.sleep(0.2)
    return code


def _stop(number: int, frame: FrameType | None) -> None:
    # Once is enough: what ends now must not be interrupted again.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Stopped
