"""Every frame of a camera driver arrives: best effort, of several MB, from a process of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from reliability.sender import Stream, sent_by, start_sender
from squeeze_segnet_ros.ros.fastdds import is_in_force
from support.processes import Running

CAMERA = "/camera/front/image_raw"
SECONDS = 3.0


@pytest.mark.graph
@pytest.mark.parametrize("size", [(480, 640), (1080, 1920)])
def test_best_effort_frames_of_any_size_arrive(tmp_path: Path, size: tuple[int, int]) -> None:
    if not is_in_force(os.environ):
        pytest.skip("the environment has another Fast DDS profile or middleware: source install/setup.bash")
    parameters = tmp_path / "parameters.yaml"
    # Nobody listens, so the network has nothing to do and the computer time for the camera.
    parameters.write_text("/**:\n  ros__parameters: {device: cpu, input_size: [64, 96]}\n")
    command = ["ros2", "launch", "squeeze_segnet_ros", "segnet.launch.py", f"params_file:={parameters}"]
    with (
        Running(command) as node,
        start_sender([Stream(CAMERA, 30.0, [size], best_effort=True)], SECONDS) as camera,
    ):
        sent = sent_by(camera).messages[CAMERA]
        node.send(signal.SIGINT, to_all=True)
        assert node.wait() == 0, node.text
    assert f"{CAMERA}: {sent} received" in node.text
