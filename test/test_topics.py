"""Where a camera's outputs are, which topics are such, and what follows the table of them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from squeeze_segnet_ros.topics import OUTPUTS, camera_info_topic, is_output, output_base, output_bases

ROOT = Path(__file__).resolve().parents[1]
BASE = "/camera/front/segmentation"


@pytest.mark.parametrize(
    ("camera", "outputs", "info"),
    [
        ("/camera/front/image_raw", "/camera/front/segmentation", "/camera/front/camera_info"),
        ("/image_raw", "/segmentation", "/camera_info"),
        ("front/image_color", "front/segmentation", "front/camera_info"),
        ("image_raw", "segmentation", "camera_info"),
    ],
)
def test_outputs_lie_beside_the_camera(camera: str, outputs: str, info: str) -> None:
    assert output_base(camera) == outputs
    assert camera_info_topic(camera) == info


@pytest.mark.parametrize(
    ("cameras", "bases"),
    [
        (("/cam0", "/cam1"), ("/cam0/segmentation", "/cam1/segmentation")),
        (("/a/image_raw", "/b/image_raw"), ("/a/segmentation", "/b/segmentation")),
        (
            ("/a/image_raw", "/a/image_rect", "/b/image_raw"),
            ("/a/image_raw/segmentation", "/a/image_rect/segmentation", "/b/segmentation"),
        ),
        (("/a", "/b", "/a/x"), ("/a/segmentation", "/b/segmentation", "/a/x/segmentation")),
        (("/a", "/a"), ("/a/segmentation", "/a/segmentation")),
    ],
)
def test_cameras_that_would_share_a_place_have_their_name_in_it(
    cameras: tuple[str, ...], bases: tuple[str, ...]
) -> None:
    assert output_bases(cameras) == bases


def test_outputs_are_told_from_other_topics() -> None:
    assert all(
        is_output(f"{base}/{output.name}") for base in output_bases(("/a/x", "image")) for output in OUTPUTS
    )
    assert not any(map(is_output, ("/a/label", "/a/segmentation/image", "/my_segmentation/label", "/a/x")))


def test_the_names_are_those_of_the_interface() -> None:
    assert {output.name: output.type for output in OUTPUTS} == {
        "label": "sensor_msgs/msg/Image",
        "label/compressed": "sensor_msgs/msg/CompressedImage",
        "overlay": "sensor_msgs/msg/Image",
        "confidence": "sensor_msgs/msg/Image",
        "label_info": "vision_msgs/msg/LabelInfo",
        "camera_info": "sensor_msgs/msg/CameraInfo",
        "stats": "squeeze_segnet_ros/msg/SegmentationStats",
    }


def test_the_table_for_users_lists_each_output_with_its_type_and_words() -> None:
    row = re.compile(r"^\| `<base>/segmentation/(.+)` \| ([^ ,]+).* \| (.+) \|$", re.MULTILINE)
    pages = [page.read_text() for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))]
    tables = [rows for page in pages if (rows := row.findall(page))]
    assert tables, "no page has the table"
    ours = [(output.name, output.type.replace("/msg/", "/"), output.what) for output in OUTPUTS]
    for rows in tables:
        assert rows == ours


def test_the_security_policy_allows_to_publish_each_output() -> None:
    policy = ET.parse(ROOT / "config" / "sros2_policy.xml")
    allowed = [topic.text or "" for topic in policy.iterfind(".//topics[@publish='ALLOW']/topic")]
    ours = [topic.removeprefix(f"{BASE}/") for topic in allowed if topic.startswith(BASE)]
    assert sorted(ours) == sorted(output.name for output in OUTPUTS)


def test_rviz_shows_outputs_that_there_are() -> None:
    def topics(tree: object) -> list[str]:
        if isinstance(tree, list):
            return [name for each in tree for name in topics(each)]
        if not isinstance(tree, dict):
            return []
        own = [tree["Value"]] if "Durability Policy" in tree else []
        return own + [name for each in tree.values() for name in topics(each)]

    shown = topics(yaml.safe_load((ROOT / "rviz" / "segnet.rviz").read_text()))
    ours = [name for name in shown if name.startswith(BASE)]
    assert ours
    assert {name.removeprefix(f"{BASE}/") for name in ours} <= {output.name for output in OUTPUTS}


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_each_output_says_what_it_holds(output) -> None:
    assert output.what
    assert output.depth > 0
