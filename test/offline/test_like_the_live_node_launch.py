"""Labels without a graph are the launched node's, bit for bit, on the first frames of both sample bags."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from sensor_msgs.msg import CameraInfo, CompressedImage

from reliability.graph import Graph, stamp_of
from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.bags.cameras import find_cameras
from squeeze_segnet_ros.bags.reader import Message
from squeeze_segnet_ros.offline.label import Options, Run, plan
from squeeze_segnet_ros.topics import camera_info_topic, output_bases
from support.processes import Running

pytestmark = pytest.mark.graph

BAGS = Path(__file__).resolve().parents[2] / "rosbags"
FRAMES = 12
"""Of all cameras together."""


def read(recorded: Message) -> Any:
    return messages.image_message(recorded.data, recorded.type)


@pytest.mark.parametrize("name", ["street_camvid", "street_surround"])
def test_labels_are_the_live_node_s(name: str, graph: Graph, tmp_path: Path) -> None:
    if not (BAGS / name).is_dir():
        pytest.skip(f"there is no {name} in {BAGS.name}/")
    if not shutil.which("ros2"):
        pytest.skip("there is no ros2 command")
    with open_bag(BAGS / name) as bag, BagWriter(tmp_path / name) as writer:
        cameras = find_cameras(bag)
        images = {*cameras.raw.values(), *cameras.compressed.values()}
        frames = 0
        for message in bag.messages([*images, *map(camera_info_topic, cameras.names)]):
            frames += message.topic in images
            if frames > FRAMES:
                break
            writer.write(message.topic, message.type, message.timestamp_ns, message.data)
    bases = output_bases(cameras.names)
    live = {f"{b}/label/compressed": graph.listen(CompressedImage, f"{b}/label/compressed") for b in bases}
    calibrations = {f"{b}/camera_info": graph.listen(CameraInfo, f"{b}/camera_info") for b in bases}
    command = ["ros2", "launch", "squeeze_segnet_ros", "segnet.launch.py", f"bag:={tmp_path / name}"]
    with Running([*command, "device:=cpu", "rate:=0.2"]) as launched:
        assert launched.wait(300.0) == 0, launched.text
    graph.wait_for(lambda: sum(map(len, live.values())) == FRAMES, f"{FRAMES} labels")
    options = Options(device="cpu", outputs=("label/compressed", "camera_info"))
    Run(tmp_path / "out", plan([tmp_path / name]), options).label(options.load())
    seen = 0
    with open_bag(tmp_path / "out" / name) as bag:
        for topic, received in live.items():
            by_stamp = {stamp_of(message): message for message in received}
            for recorded in bag.messages([topic]):
                message = read(recorded)
                ours = cv2.imdecode(message.data, cv2.IMREAD_UNCHANGED)
                twin = by_stamp[stamp_of(message)]
                theirs = cv2.imdecode(np.frombuffer(twin.data, np.uint8), cv2.IMREAD_UNCHANGED)
                np.testing.assert_array_equal(ours, theirs)
                seen += 1
        for topic, infos in calibrations.items():
            ours = {stamp_of(info): info for info in map(read, bag.messages([topic]))}
            for theirs in infos:
                mine = ours[stamp_of(theirs)]
                assert (mine.height, mine.width, *mine.k, *mine.p) == (
                    theirs.height, theirs.width, *theirs.k, *theirs.p,
                )  # fmt: skip
    assert seen == FRAMES
    # One that comes after its camera's first frame is too late for it in the live node.
    assert sum(map(len, calibrations.values())) >= FRAMES - len(bases)
