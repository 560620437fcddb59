"""The sample bag through the whole graph: every frame labelled, and labelled well."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from sensor_msgs.msg import Image

from reliability.graph import Graph, stamp_of
from squeeze_segnet_ros.bags import messages, open_bag
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.errors import WeightsError
from squeeze_segnet_ros.models import weights
from squeeze_segnet_ros.scoring.metrics import confusion_matrix, scores
from support.processes import Running

BAG = Path(__file__).resolve().parents[2] / "rosbags" / "street_camvid"
LABEL, TRUTH = "/camera/front/segmentation/label", "/camera/front/label_truth"
CLASS_ACCURACY_FLOOR = 0.81
"""Mean over the classes of the share of their pixels that is found."""
MEAN_IOU_FLOOR = 0.67


@pytest.mark.graph
def test_the_sample_bag_is_labelled_well(graph: Graph, tmp_path: Path) -> None:
    if not BAG.is_dir():
        pytest.skip(f"there is no {BAG.name} in {BAG.parent.name}/")
    try:
        weights.released("squeeze_segnet")
    except WeightsError as error:
        pytest.skip(str(error))
    if not shutil.which("ros2"):
        pytest.skip("there is no ros2 command")
    patient = tmp_path / "patient.yaml"
    patient.write_text("/**:\n  ros__parameters: {max_waiting: 1000}\n")
    with open_bag(BAG) as bag:
        truths = {
            messages.stamp_ns(message.data): messages.decode_image(message.data, message.type)
            for message in bag.messages([TRUTH])
        }
    labels = graph.listen(Image, LABEL)
    command = ["ros2", "launch", "squeeze_segnet_ros", "segnet.launch.py", f"bag:={BAG}"]
    with Running([*command, f"params_file:={patient}"]) as run:
        assert run.wait(300.0) == 0, run.text
    graph.wait_for(lambda: len(labels) == len(truths), f"{len(truths)} labels")
    counts = np.zeros((len(CAMVID), len(CAMVID) + 1), np.int64)
    for label in labels:
        predicted = np.frombuffer(label.data, np.uint8).reshape(label.height, label.width)
        counts += confusion_matrix(predicted, truths[stamp_of(label)], len(CAMVID))
    reached = scores(counts)
    assert reached.class_average_accuracy >= CLASS_ACCURACY_FLOOR, reached
    assert reached.mean_iou >= MEAN_IOU_FLOOR, reached
