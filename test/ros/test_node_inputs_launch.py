"""A node in a namespace that reads compressed, best-effort cameras by the time of /clock."""

# ruff: noqa: E402 (what needs ROS comes after it was looked for)
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
launch_pytest = pytest.importorskip("launch_pytest", reason="needs launch_pytest")

from launch import LaunchDescription
from launch_pytest.actions import ReadyToTest
from launch_ros.actions import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from squeeze_segnet_ros.msg import SegmentationStats

from reliability.graph import Graph, picture, stamp_of
from support.policy import allowed

CAMERA = "/car/front/image_raw"
INPUT = f"{CAMERA}/compressed"
LONG_AGO = 1_000_000_000
"""Seconds: the time on /clock, far from that of this computer."""


@pytest.fixture(scope="module")
def weights(untrained: Callable[..., Path]) -> Path:
    return untrained()


@launch_pytest.fixture(scope="module")
def running_node() -> LaunchDescription:
    node = Node(
        package="squeeze_segnet_ros",
        executable="segnet_node",
        name="segnet",
        namespace="car",
        parameters=[
            {
                "cameras": ["front/image_raw"],
                "transport": "compressed",
                "device": "cpu",
                "input_size": [64, 96],
                "max_age": 5.0,
                "use_sim_time": True,
            }
        ],
        output="screen",
    )
    return LaunchDescription([node, ReadyToTest()])


@pytest.fixture(scope="module")
def observer(ros_domain_id: int) -> Iterator[Graph]:
    with Graph("/car/segnet") as observer:
        yield observer


@pytest.fixture(scope="module")
def set_clock(observer: Graph) -> Callable[[float], None]:
    publisher = observer.publish(Clock, "/clock")

    def set_clock(seconds: float) -> None:
        observer.wait_for(publisher.get_subscription_count, "a subscriber of /clock")
        message = Clock()
        message.clock.sec, message.clock.nanosec = int(seconds), round(seconds % 1 * 1e9)
        publisher.publish(message)

    return set_clock


@pytest.fixture(scope="module")
def send(observer: Graph) -> Callable[..., int]:
    """Publish bytes, or a picture as jpeg, as a best-effort camera does."""
    qos = QoSProfile(depth=10, reliability=QoSReliabilityPolicy.BEST_EFFORT)
    publisher = observer.publish(CompressedImage, INPUT, qos)

    def send(seconds: float, data: bytes | None = None) -> int:
        message = CompressedImage(format="jpeg")
        message.header.frame_id = "front"
        message.header.stamp.sec, message.header.stamp.nanosec = int(seconds), round(seconds % 1 * 1e9)
        message.data.frombytes(data or bytes(cv2.imencode(".jpg", picture())[1]))
        publisher.publish(message)
        return stamp_of(message)

    observer.wait_until("active")
    observer.wait_for(publisher.get_subscription_count, "the node's best-effort subscription")
    return send


@pytest.fixture
def labels(graph: Graph) -> list[Image]:
    return graph.listen(Image, "/car/front/segmentation/label")


def label_at(
    graph: Graph, labels: list[Image], send: Any, seconds: float, data: bytes | None = None
) -> Image:
    """Send frames, a little later each, until a label comes: best effort may lose some."""
    for i in range(50):
        sent = send(seconds + i / 1000, data)
        time.sleep(0.1)
        found = [message for message in list(labels) if stamp_of(message) == sent]
        if found:
            return found[0]
    raise AssertionError(f"no label for a frame at {seconds}")


pytestmark = [pytest.mark.graph, pytest.mark.launch(fixture=running_node)]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_best_effort_camera_is_labelled_by_the_played_time(
    graph: Graph, labels: list[Image], send: Any, set_clock: Any, suffix: str
) -> None:
    set_clock(LONG_AGO)
    label = label_at(graph, labels, send, LONG_AGO - 0.1, bytes(cv2.imencode(suffix, picture(1, 80, 112))[1]))
    assert (label.header.frame_id, label.width, label.height, label.encoding) == ("front", 112, 80, "mono8")


def test_old_is_what_is_old_on_the_clock(
    graph: Graph, labels: list[Image], send: Any, set_clock: Any
) -> None:
    set_clock(LONG_AGO + 100)
    label_at(graph, labels, send, LONG_AGO + 99)
    before = graph.counts(INPUT)["too_old"]
    send(LONG_AGO + 1)
    graph.wait_for(lambda: graph.counts(INPUT)["too_old"] > before, "a frame dropped as too old")


def test_a_bag_that_starts_again_is_labelled_again(
    graph: Graph, labels: list[Image], send: Any, set_clock: Any
) -> None:
    set_clock(LONG_AGO + 1000)
    label_at(graph, labels, send, LONG_AGO + 999)
    set_clock(LONG_AGO)
    label_at(graph, labels, send, LONG_AGO - 0.5)


def test_ages_and_latencies_follow_the_clock_while_another_network_is_loaded(
    graph: Graph, labels: list[Image], send: Any, set_clock: Any, weights: Path
) -> None:
    stats = graph.listen(SegmentationStats, "/car/front/segmentation/stats")
    set_clock(LONG_AGO)
    label_at(graph, labels, send, LONG_AGO - 1)
    answer = graph.start_set(weights=str(weights))
    now, frames = LONG_AGO, 0
    while not answer.done() or frames < 3:
        now, frames = now + 2, frames + 1
        set_clock(now)
        time.sleep(0.1)
        label = label_at(graph, labels, send, now - 1)
        age = now - stamp_of(label) / 1e9
        graph.wait_for(lambda label=label: stamp_of(label) in map(stamp_of, list(stats)), "its stats")
        (found,) = (message for message in list(stats) if stamp_of(message) == stamp_of(label))
        assert found.latency == pytest.approx(age, abs=1e-6)
    assert answer.result().result.reason == ""


def test_it_needs_the_topics_of_the_policy_in_its_namespace(graph: Graph, send: Any) -> None:
    _, subscribed, offered = graph.endpoints()
    listed = allowed("topics", "subscribe", "/car/segnet", ["/car/front"])
    assert subscribed == listed - {CAMERA}
    assert offered == allowed("services", "reply", "/car/segnet", ["/car/front"])


def test_damaged_pictures_are_counted_and_the_good_one_after_them_labelled(
    graph: Graph, labels: list[Image], send: Any, set_clock: Any
) -> None:
    set_clock(LONG_AGO)
    label_at(graph, labels, send, LONG_AGO)
    before = graph.counts(INPUT)["invalid"]
    good = bytes(cv2.imencode(".jpg", picture())[1])
    bomb = bytearray(good)
    frame = next(i for i in range(len(bomb)) if bomb[i] == 0xFF and bomb[i + 1] == 0xC0)
    bomb[frame + 5 : frame + 9] = b"\xea\x60\xea\x60"
    for data in (bytes(bomb), good[: len(good) // 2], b"not a picture", np.zeros(1000, np.uint8).tobytes()):
        send(LONG_AGO, data)
        time.sleep(0.1)
    label_at(graph, labels, send, LONG_AGO + 1)
    graph.wait_for(lambda: graph.counts(INPUT)["invalid"] >= before + 4, "four invalid frames")
