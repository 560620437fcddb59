"""Each network in the launched node: the first frames of the sample bag, by model:=NAME weights:=FILE."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy", reason="needs ROS 2")

from sensor_msgs.msg import Image
from squeeze_segnet_ros.msg import SegmentationStats

from reliability.graph import Graph, stamp_of
from squeeze_segnet_ros import models
from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.models import weights
from support.processes import Running

pytestmark = pytest.mark.graph

BAG = Path(__file__).resolve().parents[2] / "rosbags" / "street_camvid"
FRAMES, INFO = "/camera/front/image_raw/compressed", "/camera/front/camera_info"
OUTPUT = "/camera/front/segmentation"
COUNT = 3
"""Of frames: they are labelled at their own size, which takes SegNet 213 GFLOP each."""


@pytest.fixture(scope="module")
def first_frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[int]]:
    """Return a bag of the sample bag's first frames, and their stamps."""
    if not BAG.is_dir():
        pytest.skip(f"there is no {BAG.name} in {BAG.parent.name}/")
    if not shutil.which("ros2"):
        pytest.skip("there is no ros2 command")
    path = tmp_path_factory.mktemp("bags") / "first_frames"
    stamps: set[int] = set()
    with open_bag(BAG) as bag, BagWriter(path) as writer:
        for message in bag.messages([FRAMES, INFO]):
            stamp = messages.stamp_ns(message.data)
            if stamp not in stamps and len(stamps) == COUNT:
                break
            stamps.add(stamp)
            writer.write(message.topic, message.type, message.timestamp_ns, message.data)
    return path, stamps


@pytest.mark.parametrize("model", models.names())
def test_every_frame_is_labelled_by_the_network_asked_for(
    model: str, first_frames: tuple[Path, set[int]], graph: Graph, tmp_path: Path
) -> None:
    bag, stamps = first_frames
    file = tmp_path / f"{model}.safetensors"
    torch.manual_seed(0)
    weights.save(file, models.build(model), weights.WeightsMetadata(model))
    labels = graph.listen(Image, f"{OUTPUT}/label")
    stats = graph.listen(SegmentationStats, f"{OUTPUT}/stats")
    command = ["ros2", "launch", "squeeze_segnet_ros", "segnet.launch.py", f"bag:={bag}"]
    with Running([*command, f"model:={model}", f"weights:={file}", "device:=cpu"]) as run:
        assert run.wait(300.0) == 0, run.text
    graph.wait_for(lambda: len(labels) == len(stats) == COUNT, f"{COUNT} labels, of {len(labels)}")
    assert {stamp_of(label) for label in labels} == {stamp_of(each) for each in stats} == stamps
    for label in labels:
        assert (label.height, label.width, label.encoding) == (360, 480, "mono8")
        assert np.frombuffer(label.data, np.uint8).max() < len(CAMVID)
    assert {each.model for each in stats} == {model}
    assert {each.weights_sha256 for each in stats} == {hashlib.sha256(file.read_bytes()).hexdigest()}
    assert all(sum(each.class_pixels) == 360 * 480 for each in stats)
    file.unlink()  # up to 112 MB, and pytest keeps the folders of three runs
