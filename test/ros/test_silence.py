"""Why no frames come, in words: what is missing, what there is instead, the remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from squeeze_segnet_ros.ros import fastdds, silence
from squeeze_segnet_ros.ros.silence import COMPRESSED, RAW, reason

TOPIC = "/camera/front/image_raw"


@pytest.fixture(autouse=True)
def nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a computer whose shared memory is this user's, without a profile."""
    monkeypatch.setattr(fastdds, "SHARED_MEMORY", tmp_path)
    for name in (*fastdds.VARIABLES, "RMW_IMPLEMENTATION"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "topic", "offered", "others", "words"),
    [
        (RAW, TOPIC, [], {}, "has no publisher; nor has any other image topic: start the driver"),
        (RAW, TOPIC, [], {}, "ROS_DOMAIN_ID"),
        (
            RAW,
            TOPIC,
            [],
            {f"{TOPIC}/compressed": [COMPRESSED], "/x": [RAW]},
            f"there is {TOPIC}/compressed: set transport to compressed (transport:=compressed)",
        ),
        (COMPRESSED, f"{TOPIC}/compressed", [], {TOPIC: [RAW]}, f"there is {TOPIC}: set transport to raw"),
        (
            RAW,
            TOPIC,
            [],
            {
                "/b": [RAW],
                "/a": [COMPRESSED],
                "/odom": ["nav_msgs/msg/Odometry"],
                "/segmentation/label": [RAW],
            },
            "image topics with one are /a, /b: set cameras",
        ),
        (RAW, TOPIC, [COMPRESSED], {}, f"set transport to compressed and remap {TOPIC}/compressed to it"),
        (RAW, TOPIC, ["std_msgs/msg/String"], {}, f"is published as std_msgs/msg/String, not as {RAW}"),
        (RAW, TOPIC, [RAW, RAW], {}, "has 2 publishers, and nothing is received: it may be silent"),
    ],
)
def test_what_is_missing_and_what_there_is_instead(
    kind: str, topic: str, offered: list[str], others: dict[str, list[str]], words: str
) -> None:
    line = reason(topic, kind, offered, others, best_effort=False)
    assert line.startswith(topic)
    assert words in line
    assert "\n" not in line


def test_large_images_of_a_best_effort_publisher_are_lost_without_a_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = reason(TOPIC, RAW, [RAW], {}, best_effort=True)
    assert "1 publisher, best effort, and nothing is received" in line
    assert "images above 512 KiB are lost between processes unless both sides have" in line
    monkeypatch.setenv(fastdds.VARIABLES[0], "/mine.xml")
    assert "unless the publisher has the Fast DDS profile /mine.xml too" in reason(
        TOPIC, RAW, [RAW], {}, True
    )
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    assert "512" not in reason(TOPIC, RAW, [RAW], {}, best_effort=True)


def test_another_user_on_this_computer_is_named(nobody_else: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nobody_else / "fastrtps_port7411").touch()
    assert "belongs to user" not in reason(TOPIC, RAW, [RAW], {}, best_effort=False)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    owner = (nobody_else / "fastrtps_port7411").stat().st_uid
    assert f"shared memory of Fast DDS belongs to user {owner}" in reason(TOPIC, RAW, [RAW], {}, False)
    assert silence.PATIENCE == 5.0
