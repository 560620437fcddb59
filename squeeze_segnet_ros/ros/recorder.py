"""Record the node's outputs into a bag: ``ros2 run squeeze_segnet_ros recorder FOLDER --cameras TOPIC ...``.

The bag is an mcap file with the labels (PNG), what their ids mean, calibration and stats of every camera. It
is whole when this process ends, by Ctrl-C or SIGTERM; after SIGKILL ``bag recover`` saves all but its end.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args

from squeeze_segnet_ros.bags import BagWriter
from squeeze_segnet_ros.errors import SegmentationError, one_line
from squeeze_segnet_ros.ros.companion import companion
from squeeze_segnet_ros.ros.message_types import message_class
from squeeze_segnet_ros.topics import CAMERA_INFO, LABEL_INFO, LABEL_PNG, STATS, Output, output_bases

RECORDED = (LABEL_PNG, LABEL_INFO, CAMERA_INFO, STATS)
_DEPTH = 1000
_QUIET_S = 0.5
"""After the signal, what is on its way is taken until nothing has come for so long."""
_MOST_S = 3.0


class Recorder:
    """Subscribes to the outputs of cameras and writes what comes, at the node's time."""

    def __init__(self, node: Node, bag: BagWriter, cameras: Sequence[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.error: Exception | None = None
        """Why it cannot go on, such as a full disk."""
        self._node, self._bag = node, bag
        self._came = time.monotonic()
        for base in output_bases(cameras):
            for output in RECORDED:
                self._listen(f"{base}/{output.name}", output)

    @property
    def quiet_s(self) -> float:
        """For how long nothing has come."""
        return time.monotonic() - self._came

    def _listen(self, topic: str, output: Output) -> None:
        qos = QoSProfile(
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if output.latched else DurabilityPolicy.VOLATILE,
        )
        write = partial(self._write, self._node.resolve_topic_name(topic), output)
        self._node.create_subscription(message_class(output.type), topic, write, qos, raw=True)

    def _write(self, topic: str, output: Output, data: Any) -> None:
        self._came = time.monotonic()
        if self.error is not None:
            return
        now = self._node.get_clock().now().nanoseconds
        try:
            self._bag.write(topic, output.type, now, bytes(data), latched=output.latched, depth=output.depth)
            self.counts[topic] += 1
        except (OSError, SegmentationError) as error:
            self.error = error


def main(arguments: Sequence[str] | None = None) -> int:
    """Record until a signal comes; the exit code is 0 then, 1 where writing failed, 2 for bad input."""
    arguments = list(sys.argv if arguments is None else ["recorder", *arguments])
    parser = argparse.ArgumentParser(prog="recorder", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", help="bag to write; must not exist")
    parser.add_argument(
        "--cameras", nargs="+", required=True, metavar="TOPIC", help="as the node's parameter"
    )
    try:
        parsed = parser.parse_args(remove_ros_args(arguments)[1:])
        with BagWriter(parsed.folder) as bag:
            recorder = _record(bag, parsed.cameras, arguments)
        # In the block's end the bag gets its index; only then it is whole.
    except SegmentationError as error:
        print(f"recorder: {error}", file=sys.stderr)
        return 2
    if not recorder.counts:
        shutil.rmtree(bag.path, ignore_errors=True)
        print("recorder: nothing came to be recorded", file=sys.stderr)
    else:
        print(f"recorder: {sum(recorder.counts.values())} messages in {bag.path}", flush=True)
    if recorder.error is not None:
        print(f"recorder: stopped early: {one_line(recorder.error)}", file=sys.stderr)
        return 1
    return 0


def _record(bag: BagWriter, cameras: Sequence[str], arguments: list[str]) -> Recorder:
    with companion("recorder", arguments, lambda node: Recorder(node, bag, cameras)) as (
        recorder,
        executor,
        stop,
    ):
        while not stop.is_set() and recorder.error is None:
            executor.spin_once(timeout_sec=0.1)
        deadline = time.monotonic() + _MOST_S
        while recorder.quiet_s < _QUIET_S and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.05)
    return recorder


if __name__ == "__main__":
    sys.exit(main())
