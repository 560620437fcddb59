"""What the node publishes is recorded, and the bag is whole however the recording ends."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from reliability.graph import Graph
from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.ros import messages as conversions
from support.processes import Running

CAMERA, BASE = "/camera/front/image_raw", "/camera/front/segmentation"
pytestmark = pytest.mark.graph

START = 1_700_000_000 * 10**9


def label(index: int) -> np.ndarray:
    return np.full((48, 64), index % 11, np.uint8)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recording_is_whole_after_a_signal(graph: Graph, tmp_path: Path, number: signal.Signals) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    info = graph.publish(LabelInfo, f"{BASE}/label_info", latched)
    info.publish(LabelInfo(class_map=[VisionClass(class_id=3, class_name="road")]))
    labels = graph.publish(CompressedImage, f"{BASE}/label/compressed", 100)
    command = [
        sys.executable,
        "-m",
        "squeeze_segnet_ros.ros.recorder",
        str(tmp_path / "bag"),
        "--cameras",
        CAMERA,
    ]
    with Running(command) as recorder:
        graph.wait_for(
            lambda: labels.get_subscription_count() and info.get_subscription_count(), "a subscriber"
        )
        for index in range(20):
            labels.publish(conversions.serialized_png(Header(frame_id=str(index)), label(index)))
        time.sleep(1.0)  # what is latched comes when it comes
        os.kill(recorder.pid, number)
        assert recorder.wait(30.0) == 0, recorder.text
    with open_bag(tmp_path / "bag") as bag:
        assert bag.note is None
        assert bag.info[f"{BASE}/label_info"].latched
        found = [messages.image_message(m.data, m.type) for m in bag.messages([f"{BASE}/label/compressed"])]
    assert [message.header.frame_id for message in found] == [str(index) for index in range(20)]


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    for arguments, words in (
        ([str(tmp_path / "bag"), "--cameras", CAMERA], "exists already"),
        ([str(tmp_path / "new"), "--cameras", "/not a/topic"], "topic name"),
    ):
        with Running([sys.executable, "-m", "squeeze_segnet_ros.ros.recorder", *arguments]) as recorder:
            assert recorder.wait(30.0) == 2
        lines = [line for line in recorder.text.splitlines() if line]
        assert len(lines) == 1, recorder.text
        assert words in lines[0]
    assert not (tmp_path / "new").exists()


def test_the_launch_file_records(graph: Graph, tmp_path: Path) -> None:
    if not shutil.which("ros2"):
        pytest.skip("there is no ros2 command")
    with BagWriter(tmp_path / "drive") as bag:
        for index in range(5):
            image = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
            bag.write_image(CAMERA, START + index * 10**8, "cam", image)
    command = [
        "ros2", "launch", "squeeze_segnet_ros", "segnet.launch.py", f"bag:={tmp_path / 'drive'}",
        "device:=cpu", f"record:={tmp_path / 'out'}",
    ]  # fmt: skip
    with Running(command) as launched:
        assert launched.wait(120.0) == 0, launched.text
    with open_bag(tmp_path / "out") as bag:
        assert bag.info[f"{BASE}/label/compressed"].count == 5
        assert {f"{BASE}/stats", f"{BASE}/label_info"} < set(bag.topics)
