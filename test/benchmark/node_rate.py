"""How many frames the node labels a second around a network that takes no time, or only waits.

Cameras, each with frames in flight, send the next frame when a label is there, or when the last is lost.
Cameras, node and listener share the computer. The node's time on the processor is read by the names of its
threads.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from support.processes import Running

GIVEN_UP_AFTER = 0.25
"""Seconds after which a frame without a label is taken for lost, and the next one is sent."""
_TICK = 1 / os.sysconf("SC_CLK_TCK")
STAGES = {
    "receive": ("segnet_node", "python3", "python"),
    "decode": ("prepare", "decode"),
    "network": ("network",),
    "publish": ("publish",),
}
"""Stages by the names of their threads; all others are the middleware's."""
NODE = """
import sys
from squeeze_segnet_ros.ros import loading, segnet_node
from support.null_engine import NullEngine
loading.load_network = lambda config: loading.Loaded(NullEngine({seconds}))
sys.exit(segnet_node.main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Case:
    """What is sent and listened to; ``engine_ms`` is how long each pass of the network waits."""

    width: int
    height: int
    encoding: str = "rgb8"
    overlay: bool = False
    cameras: int = 4
    in_flight: int = 8
    engine_ms: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.cameras} cameras {self.width}x{self.height} {self.encoding}"
            + (" + overlay" if self.overlay else "")
            + (f", network waits {self.engine_ms:g} ms" if self.engine_ms else "")
        )


CASES = (
    Case(480, 360),
    Case(1280, 720),
    Case(1280, 720, overlay=True),
    Case(1280, 720, "jpeg"),
    Case(1920, 1080),
    Case(480, 360, cameras=8, in_flight=32, engine_ms=5.0),
)


@dataclass(frozen=True)
class Rate:
    """What came of a case: labels a second, latency in ms, how many frames got no label, and the node's
    processor time for each label, in ms.
    """

    case: str
    labels_per_second: float
    latency_p50_ms: float
    latency_p95_ms: float
    lost: int
    cpu_ms: dict[str, float]


def measure(
    case: Case,
    seconds: float,
    node: Sequence[str] | None = None,
    beside: Sequence[str] = (),
    **environment: str,
) -> Rate:
    """Run the node and everything around it for some seconds.

    Args:
        case: what to send.
        seconds: how long, after a second of warming up.
        node: the node's command without parameters; ours with a network that does nothing, if None.
        beside: a command that runs beside it, with the topics of the cameras at its end.
        environment: variables of the node beside those of this process.

    Raises:
        TooLate: the node or the cameras do not get ready.
    """
    command = node or [sys.executable, "-c", NODE.format(seconds=case.engine_ms / 1e3)]
    own_graph = {
        "ROS_DOMAIN_ID": str(random.randint(1, 101)),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    topics = [f"/camera{i}/image" for i in range(case.cameras)]
    transport = "compressed" if case.encoding in ("jpeg", "png") else "raw"
    cameras_given = f"cameras:=[{','.join(topics)}]"
    parameters = [cameras_given, f"transport:={transport}", f"max_waiting:={case.in_flight}"]
    given = [part for parameter in parameters for part in ("-p", parameter)]
    with Running([*command, "--ros-args", *given], **(own_graph | environment)) as running:
        running.wait_for_line("listening to " + topics[-1])
        around = [sys.executable, "-m", __name__, json.dumps(asdict(case)), str(seconds), str(running.pid)]
        with ExitStack() as stack:
            if beside:
                stack.enter_context(Running([*beside, *topics], **own_graph)).wait_for_line("look at it: ")
            cameras = stack.enter_context(Running(around, **own_graph))
            if cameras.wait(seconds + 60.0):
                raise RuntimeError(cameras.text)
        running.send(signal.SIGINT)
        running.wait()
    return Rate(str(case), **json.loads(cameras.lines[-1]))


def cpu_by_stage(pid: int) -> dict[str, float]:
    """Return the seconds that a process has spent on the processor, by stage."""
    by_name = {name: stage for stage, names in STAGES.items() for name in names}
    spent: defaultdict[str, float] = defaultdict(float)
    for task in Path("/proc", str(pid), "task").iterdir():
        try:
            name, facts = (task / "comm").read_text().strip(), (task / "stat").read_text().rpartition(") ")[2]
        except OSError:  # ended meanwhile
            continue
        fields = facts.split()
        stage = by_name.get(name.partition("_")[0] if name.startswith("decode") else name, "middleware")
        # Threads of libraries have the name of the process.
        if stage == "receive" and task.name != str(pid):
            stage = "middleware"
        spent[stage] += (int(fields[11]) + int(fields[12])) * _TICK
    return spent


def table(rates: Sequence[Rate]) -> str:
    """Return the results in Markdown."""
    stages = [*STAGES, "middleware"]
    heads = [
        "case",
        "labels/s",
        "lost",
        "latency p50, p95 (ms)",
        *(f"{stage} (ms)" for stage in stages),
        "node (ms)",
    ]
    rows = [heads, ["---"] * len(heads)]
    for rate in rates:
        times = [rate.cpu_ms.get(stage, 0.0) for stage in stages]
        latency = f"{rate.latency_p50_ms:.1f}, {rate.latency_p95_ms:.1f}"
        figures = [f"{each:.2f}" for each in (*times, sum(times))]
        rows.append([rate.case, f"{rate.labels_per_second:.1f}", str(rate.lost), latency, *figures])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def compare(seconds: float, output: Path) -> None:
    """Measure every case, print the table and write ``node.json`` and ``node.md``."""
    rates = []
    for case in CASES:
        rates.append(measure(case, seconds))
        print(f"{case}: {rates[-1].labels_per_second:.0f} labels/s", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    (output / "node.json").write_text(json.dumps([asdict(rate) for rate in rates], indent=1) + "\n")
    (output / "node.md").write_text(table(rates) + "\n")
    print(table(rates))


def main() -> None:
    """Be the cameras and the listener of a case, in a process of their own; print what came."""
    import rclpy
    from rclpy.qos import QoSProfile
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage, Image

    from reliability.sender import encoded

    case, seconds, pid = Case(**json.loads(sys.argv[1])), float(sys.argv[2]), int(sys.argv[3])
    rclpy.init(args=[])
    node = rclpy.create_node("cameras", enable_rosout=False, start_parameter_services=False)
    kind = CompressedImage if case.encoding in ("jpeg", "png") else Image
    suffix = "/compressed" if kind is CompressedImage else ""
    # Serialized once: what sending costs beside that is the middleware's.
    y, x = np.mgrid[: case.height, : case.width]
    street = np.stack([127 + 100 * np.sin((x * (k + 1) + 2 * y) / 37) for k in range(3)], -1)
    noise = np.random.default_rng(0).integers(-6, 7, street.shape)
    frame = bytearray(serialize_message(encoded((street + noise).astype(np.uint8), case.encoding)))
    publishers: list[Any] = []
    in_flight: list[dict[int, float]] = [{} for _ in range(case.cameras)]
    latencies: list[float] = []

    def send(camera: int) -> None:
        now = time.time_ns()
        # The stamp stands behind the four bytes of the encapsulation.
        frame[4:12] = (now // 10**9).to_bytes(4, sys.byteorder) + (now % 10**9).to_bytes(4, sys.byteorder)
        in_flight[camera][now] = time.monotonic()
        publishers[camera].publish(bytes(frame))

    def on_label(camera: int) -> Any:
        def received(label: bytes) -> None:
            stamp = int.from_bytes(label[4:8], sys.byteorder) * 10**9
            stamp += int.from_bytes(label[8:12], sys.byteorder)
            latencies.append((time.time_ns() - stamp) / 1e6)
            if in_flight[camera].pop(stamp, None) is not None:
                send(camera)

        return received

    for i in range(case.cameras):
        publishers.append(node.create_publisher(kind, f"/camera{i}/image{suffix}", QoSProfile(depth=20)))
        outputs = [("label", on_label(i))] + ([("overlay", lambda _: None)] if case.overlay else [])
        for name, callback in outputs:
            node.create_subscription(
                Image, f"/camera{i}/segmentation/{name}", callback, QoSProfile(depth=20), raw=True
            )
    while not all(publisher.get_subscription_count() for publisher in publishers):
        rclpy.spin_once(node, timeout_sec=0.05)
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        rclpy.spin_once(node, timeout_sec=0.05)
    for turn in range(case.in_flight):
        send(turn % case.cameras)

    lost = 0

    def send_anew() -> None:
        # Without it a frame that was lost would leave fewer in flight for good.
        nonlocal lost
        for camera, stamps in enumerate(in_flight):
            for stamp in [each for each, at in stamps.items() if time.monotonic() - at > GIVEN_UP_AFTER]:
                del stamps[stamp]
                lost += 1
                send(camera)

    def spin(seconds: float) -> float:
        begin = looked = time.monotonic()
        while (now := time.monotonic()) - begin < seconds:
            rclpy.spin_once(node, timeout_sec=0.05)
            if now - looked > GIVEN_UP_AFTER / 2:
                looked = now
                send_anew()
        return time.monotonic() - begin

    spin(1.0)
    latencies.clear()
    lost = 0
    before, took = cpu_by_stage(pid), spin(seconds)
    after, labels = cpu_by_stage(pid), len(latencies)
    p50, p95 = np.percentile(latencies, (50, 95)) if labels else (0.0, 0.0)
    found = {
        "labels_per_second": labels / took,
        "latency_p50_ms": float(p50),
        "latency_p95_ms": float(p95),
        "lost": lost,
        "cpu_ms": {stage: (after[stage] - before.get(stage, 0.0)) * 1e3 / max(1, labels) for stage in after},
    }
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
