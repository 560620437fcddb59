"""Cameras of which nothing comes: the node says what is missing; what was published once is received."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

from reliability.graph import LATCHED, Graph, picture
from reliability.sender import encoded
from support.processes import Running

pytestmark = pytest.mark.graph

NOTHING, ONLY_COMPRESSED, TEXT, SILENT = "/none/image", "/jpeg/image", "/text/image", "/silent/image"
LATCHED_BEFORE, LATCHED_AFTER = "/before/image", "/after/image"
CAMERAS = (NOTHING, ONLY_COMPRESSED, TEXT, SILENT, LATCHED_BEFORE, LATCHED_AFTER)
WITH_A_NETWORK_OF_ONE_CLASS = """
import sys
from squeeze_segnet_ros.ros import loading, segnet_node
from support.null_engine import NullEngine
loading.load_network = lambda config: loading.Loaded(NullEngine())
sys.exit(segnet_node.main(sys.argv[1:]))
"""


def latched(graph: Graph, topic: str) -> None:
    """Publish an image and its CameraInfo, once."""
    image = encoded(picture(), "rgb8")
    image.header.frame_id = topic
    graph.publish(Image, topic, LATCHED).publish(image)
    graph.publish(CameraInfo, topic.replace("image", "camera_info"), LATCHED).publish(
        CameraInfo(height=64, width=96, header=image.header)
    )


@pytest.fixture(scope="module")
def node(observer: Graph) -> Iterator[Running]:
    observer.publish(CompressedImage, f"{ONLY_COMPRESSED}/compressed")
    observer.publish(String, TEXT)
    observer.publish(Image, SILENT)
    latched(observer, LATCHED_BEFORE)
    cameras = f"cameras:=[{','.join(CAMERAS)}]"
    command = [sys.executable, "-c", WITH_A_NETWORK_OF_ONE_CLASS, "--ros-args", "-p", cameras]
    with Running(command) as node:
        node.wait_for_line(f"listening to {LATCHED_AFTER}")
        yield node
        node.send(signal.SIGINT)
        assert node.wait(5.0) == 0, node.text
        assert "Traceback" not in node.text


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (NOTHING, f"{NOTHING} has no publisher; image topics with one are "),
        (ONLY_COMPRESSED, f"there is {ONLY_COMPRESSED}/compressed: set transport to compressed"),
        (TEXT, f"{TEXT} is published as std_msgs/msg/String, not as sensor_msgs/msg/Image"),
        (SILENT, f"{SILENT} has 1 publisher, and nothing is received"),
    ],
)
def test_after_five_seconds_it_says_what_is_missing_and_what_there_is(
    node: Running, graph: Graph, camera: str, words: str
) -> None:
    node.wait_for_line(words)
    (line,) = [line for line in node.lines if words in line]
    assert "no frames for 5 s: " in line
    status = graph.status(camera)
    assert status.level == DiagnosticStatus.WARN
    assert f"no frames arrive: {line.partition('no frames for 5 s: ')[2]}" in status.message


@pytest.mark.parametrize("camera", [LATCHED_BEFORE, LATCHED_AFTER])
def test_what_is_published_once_is_received(node: Running, graph: Graph, camera: str) -> None:
    before = 0
    if camera == LATCHED_AFTER:
        before = graph.counts(camera)["received"]
        latched(graph, camera)
    graph.wait_for(lambda: graph.counts(camera)["received"] == before + 1, "the image")
    time.sleep(1.0)
    assert graph.counts(camera)["received"] == before + 1


@pytest.fixture
def other(graph: Graph) -> Iterator[Node]:
    """Yield another node of the node's name."""
    node = Node("segnet", context=graph.context)
    yield node
    node.destroy_node()


def test_another_node_of_its_name_is_noticed(node: Running, graph: Graph, other: Node) -> None:
    def warned() -> bool:
        return graph.status("network").level == DiagnosticStatus.WARN

    graph.wait_for(warned, "a warning")
    node.wait_for_line("another node is called /segnet: commands for one may reach the other")
    assert "another node is called /segnet" in graph.status("network").message
    other.destroy_node()
    graph.wait_for(lambda: not warned(), "the end of the warning")


def test_the_time_is_missed_where_frames_come_and_none_is_on_clock(ros_domain_id: int) -> None:
    options = ["-r", "__ns:=/car", "-p", "use_sim_time:=true", "-p", "cameras:=['~/image']"]
    with (
        Graph("/car/segnet") as graph,
        Running([sys.executable, "-c", WITH_A_NETWORK_OF_ONE_CLASS, "--ros-args", *options]) as node,
    ):
        node.wait_for_line("listening to /car/segnet/image")
        camera = graph.publish(Image, "/car/segnet/image")
        labels = graph.listen(Image, "/car/segnet/segmentation/label")
        while not any("no time comes on /clock, it has no publisher" in line for line in node.lines):
            camera.publish(encoded(picture(), "rgb8"))
            time.sleep(0.1)
        assert labels
        node.send(signal.SIGINT)
        assert node.wait(5.0) == 0, node.text
