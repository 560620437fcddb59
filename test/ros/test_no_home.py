"""A home that cannot be written, as under some service managers: one line says so, no traceback."""

import os
import subprocess
import sys

import pytest

_MODULE = (sys.executable, "-m")


@pytest.mark.graph
@pytest.mark.parametrize(
    "command",
    [
        (*_MODULE, "squeeze_segnet_ros.ros.segnet_node"),
        (*_MODULE, "squeeze_segnet_ros.ros.bag_player", "rosbags/street_camvid"),
        (*_MODULE, "squeeze_segnet_ros.ros.lifecycle_client", "/segnet", "wait"),
        ("ros2", "topic", "list"),
    ],
    ids=lambda command: command[-1],
)
def test_a_log_folder_that_cannot_be_made_is_said_in_one_line(command, request):
    environment = {**os.environ, "HOME": "/proc/nobody"}
    for name in ("ROS_LOG_DIR", "ROS_HOME"):
        environment.pop(name, None)
    done = subprocess.run(
        command,
        cwd=request.config.rootpath,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "/proc/nobody/.ros/log" in done.stderr
    assert done.stderr.count("\n") == 1
