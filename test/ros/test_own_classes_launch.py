"""A node with weights of a class set of one's own: its names and colors follow the weights."""

# ruff: noqa: E402 (what needs ROS comes after it was looked for)
from __future__ import annotations

import tempfile
from collections.abc import Iterator
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

from reliability.graph import LATCHED, Graph
from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import LabelClass, LabelSet
from squeeze_segnet_ros.models import weights as weights_files

OWN = LabelSet(
    "own", tuple(LabelClass(i, name, (80 * i, 10, 20)) for i, name in enumerate(("ground", "plant", "thing")))
)
OUTPUT = "/camera/front/segmentation"


@launch_pytest.fixture(scope="module")
def running_node() -> Iterator[LaunchDescription]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.safetensors"
        metadata = weights_files.WeightsMetadata("enet", OWN)
        weights_files.save(path, models.build("enet", len(OWN)), metadata)
        node = Node(
            package="squeeze_segnet_ros",
            executable="segnet_node",
            name="segnet",
            parameters=[{"model": "enet", "weights": str(path), "device": "cpu"}],
            output="screen",
        )
        yield LaunchDescription([node, ReadyToTest()])


@pytest.mark.graph
@pytest.mark.launch(fixture=running_node)
def test_names_colors_and_counts_are_those_of_the_weights(graph: Graph) -> None:
    graph.wait_until("active")
    infos = graph.listen(LabelInfo, f"{OUTPUT}/label_info", LATCHED)
    overlays = graph.listen(Image, f"{OUTPUT}/overlay")
    stats = graph.listen(SegmentationStats, f"{OUTPUT}/stats")
    info = graph.wait_for(lambda: infos and infos[0], "label_info")
    assert [(c.class_id, c.class_name) for c in info.class_map] == list(enumerate(OWN.names))
    front = graph.camera("/camera/front/image_raw")
    front.send(np.zeros((64, 96, 3), np.uint8))
    overlay = graph.wait_for(lambda: overlays and overlays[0], "an overlay")
    colors = {tuple(map(int, rgb)) for rgb in np.frombuffer(overlay.data, np.uint8).reshape(-1, 3)}
    # Half of each color over black.
    assert colors <= {tuple(round(part / 2) for part in label.rgb) for label in OWN.classes}
    seen = graph.wait_for(lambda: stats and stats[0], "stats")
    assert len(seen.class_pixels) == len(OWN) and sum(seen.class_pixels) == 64 * 96
