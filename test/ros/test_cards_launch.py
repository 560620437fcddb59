"""Networks from outside in the live node: their labels, the way there and back, and what is refused."""

# ruff: noqa: E402 (what needs ROS comes after it was looked for)
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
launch_pytest = pytest.importorskip("launch_pytest", reason="needs launch_pytest")

from launch import LaunchDescription
from launch_pytest.actions import ReadyToTest
from launch_ros.actions import Node
from sensor_msgs.msg import Image
from squeeze_segnet_ros.msg import SegmentationStats
from vision_msgs.msg import LabelInfo

import squeeze_segnet_ros as ssr
from reliability.graph import LATCHED, Camera, Graph, picture
from squeeze_segnet_ros.bags import messages, open_bag
from support import foreign

CAMERA = "/camera/front/image_raw"
OUTPUT = "/camera/front/segmentation"
Networks = dict[str, foreign.Foreign]
BAG = Path(__file__).resolve().parents[2] / "rosbags" / "street_camvid"


@launch_pytest.fixture(scope="module")
def running_node(foreign_networks: Networks) -> LaunchDescription:
    parameters = {"cameras": [CAMERA], "model": str(foreign_networks["raspp"].card), "device": "cpu"}
    node = Node(
        package="squeeze_segnet_ros", executable="segnet_node", name="segnet", parameters=[parameters],
        output="screen",
    )  # fmt: skip
    return LaunchDescription([node, ReadyToTest()])


pytestmark = [pytest.mark.graph, pytest.mark.launch(fixture=running_node)]


@pytest.fixture(scope="module")
def camera(running_node: LaunchDescription, observer: Graph) -> Camera:
    observer.wait_until("active")
    return observer.camera(CAMERA)


@pytest.fixture
def labels(graph: Graph) -> list[Image]:
    return graph.listen(Image, f"{OUTPUT}/label")


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    """Return the sample bag's first frame, uint8 (H, W, 3) RGB."""
    with open_bag(BAG) as bag:
        message = next(iter(bag.messages([f"{CAMERA}/compressed"])))
        return messages.decode_image(message.data, message.type)


def label_of(camera: Camera, heard: list[Image], pixels: np.ndarray) -> np.ndarray:
    message = camera.until_heard(heard, pixels)
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)


@pytest.mark.parametrize("name", foreign.NAMES)
def test_the_node_gives_the_labels_of_the_card(
    foreign_networks: Networks, graph: Graph, camera: Camera, labels: list[Image],
    frame: np.ndarray, name: str,
) -> None:  # fmt: skip
    assert graph.set(model=str(foreign_networks[name].card)) == ""
    net = ssr.load(foreign_networks[name].card, device="cpu")
    stats = graph.listen(SegmentationStats, f"{OUTPUT}/stats")
    info = graph.listen(LabelInfo, f"{OUTPUT}/label_info", LATCHED)
    found = label_of(camera, labels, frame)
    assert (found == net(frame)).mean() > 0.999
    graph.wait_for(lambda: stats and info, "stats and label info")
    assert (stats[-1].model, stats[-1].weights_sha256) == (name, net.weights_sha256)
    graph.wait_for(
        lambda: (
            [each.class_name for each in info[-1].class_map][: len(net.classes)]
            == [each.name for each in net.classes]
        ),
        "the names of the classes",
    )


def test_there_and_back_without_a_lost_frame(
    foreign_networks: Networks, graph: Graph, camera: Camera, labels: list[Image]
) -> None:
    label_of(camera, labels, picture())
    for model in (
        "squeeze_segnet",
        str(foreign_networks["raspp"].card),
        "squeeze_segnet",
        str(foreign_networks["unet"].card),
    ):
        labels.clear()
        answer, sent = graph.start_set(model=model), []
        while not (answer.done() and len(labels) == len(sent)) or len(sent) < 5:
            sent.append(camera.send(picture()))
            graph.wait_for(lambda sent=sent: len(labels) == len(sent), "a label while the network changes")
        assert answer.result().result.reason == ""
        assert [message.header for message in labels] == sent, "a frame was lost"


def test_labels_alone_have_no_confidence(
    foreign_networks: Networks, graph: Graph, camera: Camera, labels: list[Image]
) -> None:
    assert graph.set(model=str(foreign_networks["labels"].card)) == ""
    confidence = graph.listen(Image, f"{OUTPUT}/confidence")
    graph.wait_for(lambda: graph.subscribers(f"{OUTPUT}/confidence"), "the subscription")
    for _ in range(3):
        label_of(camera, labels, picture())
    assert not confidence
    reason = graph.set(min_confidence=0.5)
    assert (
        "labels gives labels without scores: min_confidence 0.5 takes a network that gives logits" in reason
    )
    assert graph.get("min_confidence") == 0.0


def test_a_card_that_does_not_fit_is_refused_and_the_network_stays(
    foreign_networks: Networks,
    graph: Graph,
    camera: Camera,
    labels: list[Image],
    tmp_path: Path,
) -> None:
    assert graph.set(model=str(foreign_networks["unet"].card)) == ""
    wanted = label_of(camera, labels, picture())
    broken = tmp_path / "broken.yaml"
    text = (
        foreign_networks["unet"]
        .card.read_text()
        .replace("file: ", f"file: {foreign_networks['unet'].card.parent}/")
    )
    for content, reason in (
        (text.replace("96", "128"), "line 6, input.size"),
        ("name: x\n", "the key 'file' is missing"),
    ):
        broken.write_text(content)
        answer = graph.set(model=str(broken))
        assert reason in answer and "\n" not in answer
        assert np.array_equal(label_of(camera, labels, picture()), wanted)
    assert graph.get("model") == str(foreign_networks["unet"].card)
