"""Large images: when our Fast DDS profile is put into force, by the launch file and by install/setup.*."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from squeeze_segnet_ros.ros.fastdds import VARIABLES, choose_transport

ROOT = Path(__file__).parents[2]
NEW, OLD = VARIABLES
PROFILE = Path("/ws/share/squeeze_segnet_ros/config/fastdds.xml")
OURS_ELSEWHERE = "/other/share/squeeze_segnet_ros/config/fastdds.xml"
FAST_DDS, ENOUGH = "rmw_fastrtps_cpp", 2**30

# environment -> what is set; both the launch file and the shell are held to it
CHOICES = [
    ({"ROS_DISTRO": "jazzy"}, {NEW, OLD}),
    ({"ROS_DISTRO": "kilted"}, {NEW}),
    ({"ROS_DISTRO": "kilted", OLD: ""}, {NEW}),
    ({"ROS_DISTRO": "jazzy", OLD: "/mine.xml"}, set()),
    ({"ROS_DISTRO": "kilted", NEW: "/mine.xml"}, set()),
    ({"ROS_DISTRO": "kilted", "FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, set()),
]


@pytest.mark.parametrize(("environment", "names"), CHOICES)
def test_what_the_launch_file_sets(environment: dict[str, str], names: set[str]) -> None:
    chosen = choose_transport(PROFILE, environment, FAST_DDS, ENOUGH)
    assert chosen.environment == dict.fromkeys(names, str(PROFILE))
    assert bool(chosen.remark) == (not names)


@pytest.mark.parametrize(
    ("environment", "middleware", "room", "words"),
    [
        ({NEW: "/mine.xml"}, FAST_DDS, ENOUGH, "profile /mine.xml is left as it is"),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}, FAST_DDS, ENOUGH, "TRANSPORTS=UDPv4 is left as it is"),
        ({}, "rmw_cyclonedds_cpp", ENOUGH, "the middleware is rmw_cyclonedds_cpp"),
        ({}, FAST_DDS, 2**26, "/dev/shm has 64 MiB, too little .* --shm-size=1g"),
    ],
)
def test_what_the_launch_file_says(
    environment: dict[str, str], middleware: str, room: int, words: str
) -> None:
    assert re.search(words, choose_transport(PROFILE, environment, middleware, room).remark)


def test_a_profile_of_ours_needs_no_word() -> None:
    assert choose_transport(PROFILE, {NEW: OURS_ELSEWHERE}, FAST_DDS, ENOUGH) == ({}, "")


def sourced(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables after a shell has sourced the workspace."""
    script = f". {ROOT}/config/fastdds.sh; env"
    given = {"PATH": os.environ["PATH"], "COLCON_CURRENT_PREFIX": "/ws", **environment}
    done = subprocess.run(["sh", "-ec", script], env=given, capture_output=True, text=True, check=True)
    assert not done.stderr
    return dict(line.partition("=")[::2] for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        *CHOICES,
        ({"ROS_DISTRO": "kilted", OLD: OURS_ELSEWHERE}, {NEW}),
        ({"ROS_DISTRO": "kilted", "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, set()),
    ],
)
def test_what_the_shell_sets(environment: dict[str, str], names: set[str]) -> None:
    if os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize < 2**28:
        pytest.skip("/dev/shm is too small for the profile here")
    after = sourced(environment)
    set_to_ours = {name for name in VARIABLES if after.get(name) == str(PROFILE)}
    assert set_to_ours == names
    assert all(after.get(name) == value for name, value in environment.items() if value == "/mine.xml")


def test_the_shell_leaves_nothing_else_behind() -> None:
    assert not [name for name in sourced({}) if name.startswith("_fastdds")]
