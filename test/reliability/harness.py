"""The real node in a process of its own, a camera or more of ours, and what comes out, frame by frame."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Container, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from squeeze_segnet_ros.msg import SegmentationStats

from reliability.graph import Graph, stamp_of
from squeeze_segnet_ros.ros.config import NodeConfig
from squeeze_segnet_ros.topics import output_base
from support.processes import PATIENCE, Running, TooLate

FRONT = NodeConfig().cameras[0]
EVERYTHING = QoSProfile(depth=1000)
SMALL: Mapping[str, object] = {"input_size": [64, 96], "device": "cpu"}
"""Parameters with which a frame takes next to no time, where the network is not what is looked at."""


class Label(NamedTuple):
    """A label image that came: when (time.monotonic()), and its height and width."""

    arrived: float
    size: tuple[int, int]


class Published:
    """What the node publishes for one camera: labels by stamp, and every stats message."""

    def __init__(self, graph: Graph, camera: str = FRONT) -> None:
        self._graph = graph
        self._base = output_base(camera)
        self.labels: dict[int, Label] = {}
        self._heard = graph.listen(Image, f"{self._base}/label", EVERYTHING, self._on_label)
        self.stats: list[SegmentationStats] = graph.listen(
            SegmentationStats, f"{self._base}/stats", EVERYTHING
        )

    def _on_label(self, message: Image) -> None:
        self.labels[stamp_of(message)] = Label(time.monotonic(), (message.height, message.width))

    def close(self) -> None:
        """Listen no longer."""
        self._graph.stop_listening(self._heard)
        self._graph.stop_listening(self.stats)


def parameters(values: Mapping[str, object]) -> list[str]:
    """Return ROS arguments for parameters by dotted name."""

    def text(value: object) -> str:
        # YAML reads a Python list of texts and numbers as it is written, but not True and False.
        return str(value).lower() if isinstance(value, bool) else str(value)

    return [
        "--ros-args",
        *(part for name, value in values.items() for part in ("-p", f"{name}:={text(value)}")),
    ]


def node_command(values: Mapping[str, object], name: str = "segnet") -> list[str]:
    """Return what starts the node with parameters."""
    command = [sys.executable, "-m", "squeeze_segnet_ros.ros.segnet_node", *parameters(values)]
    return [*command, "-r", f"__node:={name}"]


def start_node(values: Mapping[str, object], name: str = "segnet", **environment: str) -> Running:
    """Start the node with parameters in a process of its own; :class:`Running` ends it."""
    return Running(node_command(values, name), **environment)


def start_launch(arguments: Mapping[str, object], **environment: str) -> Running:
    """Run ``ros2 launch`` with launch arguments, as a vehicle starts it."""
    command = ["ros2", "launch", "squeeze_segnet_ros", "segnet.launch.py"]
    return Running(command + [f"{name}:={value}" for name, value in arguments.items()], **environment)


class Bench(NamedTuple):
    """A running node with our observer beside it."""

    node: Running
    graph: Graph

    def wait_until_active(self, seconds: float = PATIENCE) -> None:
        """Wait until it takes frames.

        Raises:
            TooLate: it does not, with what it printed.
        """
        deadline = time.monotonic() + seconds
        while True:
            # A node that loads a large network does not answer meanwhile.
            with suppress(TooLate):
                if self.graph.state() == "active":
                    return
            if not self.node.is_running() or time.monotonic() > deadline:
                ended = "ended" if not self.node.is_running() else f"not become active within {seconds:g} s"
                raise TooLate(f"the node has {ended}; it printed:\n{self.node.text}")
            time.sleep(0.01)


@contextmanager
def active_node(values: Mapping[str, object], **environment: str) -> Iterator[Bench]:
    """Yield the node, active, and an observer; both are gone afterwards, whatever happens."""
    with ExitStack() as stack:
        graph = stack.enter_context(Graph())
        node = stack.enter_context(start_node(values, **environment))
        bench = Bench(node, graph)
        bench.wait_until_active()
        yield bench


def until_labelled(
    bench: Bench, send: Callable[[], Hashable], labels: Container[Hashable], seconds: float = PATIENCE
) -> int:
    """Call ``send`` until what it gave for one of its frames is in ``labels``; return how often.

    The first frame may go out before the node knows that somebody listens.

    Raises:
        TooLate: none came.
    """
    deadline, sent = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        sent.append(send())
        patience = time.monotonic() + 1.0
        while time.monotonic() < patience:
            if any(frame in labels for frame in sent):
                return len(sent)
            time.sleep(0.005)
    raise TooLate(f"no label within {seconds:g} s; the node printed:\n{bench.node.text}")
