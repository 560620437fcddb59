"""What Nav2's semantic segmentation layer relies on, read as it reads: the node was there first."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import LabelInfo

from reliability.graph import Camera, Graph, picture, stamp_of
from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.stamps import nanoseconds
from support.processes import Running

CAMERA, OUTPUT = "/camera/front/image_raw", "/camera/front/segmentation"
SENSOR_DATA = QoSProfile(depth=50, reliability=QoSReliabilityPolicy.BEST_EFFORT)
# Its message filter drops the durability that it asks for, so what is latched does not reach it.
NOT_LATCHED = QoSProfile(depth=5)
CLOUD = (48, 80)
"""Height and width of the organised cloud, which the label must have."""

pytestmark = pytest.mark.graph


@pytest.fixture(scope="module")
def clouds() -> set[int]:
    """Return the stamps of all frames, of each of which the layer has a cloud."""
    return set()


@pytest.fixture(scope="module")
def camera(observer: Graph, clouds: set[int]) -> Iterator[Camera]:
    """Start a camera of 160x96 and a node, and label a frame for somebody else before the layer comes."""
    values = {"device": "cpu", "input_size": "[64,96]", "label_size": str(list(CLOUD)), "min_confidence": 0.5}
    given = [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]
    command = [sys.executable, "-m", "squeeze_segnet_ros.ros.segnet_node", "--ros-args", *given]
    with Running(command, OMP_NUM_THREADS="1") as node:
        node.wait_for_line("listening to")
        camera = observer.camera(CAMERA, "best_effort")
        before = observer.listen(Image, f"{OUTPUT}/label")

        def send() -> None:
            clouds.add(nanoseconds(camera.send(picture(0, 96, 160)).stamp))

        observer.wait_for(lambda: send() or before, "a label before")
        observer.stop_listening(before)
        yield camera
        node.send(signal.SIGINT)
        assert node.wait(5.0) == 0, node.text


def test_the_layer_gets_what_it_relies_on(graph: Graph, camera: Camera, clouds: set[int]) -> None:
    order: list[Any] = []

    def keep(message: Any) -> Any:
        order.append(message)
        return message

    infos = graph.listen(LabelInfo, f"{OUTPUT}/label_info", NOT_LATCHED, keep)
    labels = graph.listen(Image, f"{OUTPUT}/label", SENSOR_DATA, keep)
    confidences = graph.listen(Image, f"{OUTPUT}/confidence", SENSOR_DATA)
    calibrations = graph.listen(CameraInfo, f"{OUTPUT}/camera_info", SENSOR_DATA)
    deadline = time.monotonic() + 60.0

    def joined() -> list[tuple[Image, Image, CameraInfo]]:
        """Join what has exactly equal stamps, as a TimeSynchronizer does."""
        found = {stamp_of(message): message for message in list(confidences)}
        info = {stamp_of(message): message for message in list(calibrations)}
        return [
            (label, found[stamp], info[stamp])
            for label in list(labels)
            if (stamp := stamp_of(label)) in found and stamp in info
        ]

    while len(joined()) < 5 and time.monotonic() < deadline:
        clouds.add(nanoseconds(camera.send(picture(len(clouds), 96, 160)).stamp))
        time.sleep(0.1)
    assert len(joined()) >= 5

    first = next(message for message in order if isinstance(message, (LabelInfo, Image)))
    assert isinstance(first, LabelInfo), "a label before what it means ends the costmap"
    known = {item.class_id for item in infos[0].class_map}
    for label, confidence, calibration in joined():
        assert stamp_of(label) in clouds
        height, width = CLOUD
        assert {(m.height, m.width) for m in (label, confidence, calibration)} == {CLOUD}
        # It ignores step and encoding.
        ids = {label.data[v * width + u] for v in range(height) for u in range(width)}
        assert len(label.data) == len(confidence.data) == height * width
        assert ids <= known | {UNLABELLED}
        unsure = [i for i, value in enumerate(confidence.data) if value < 0.5 * 255 - 1]
        assert all(label.data[i] == UNLABELLED for i in unsure)
