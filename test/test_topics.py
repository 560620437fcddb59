"""Where a camera's outputs are, and which topics are such."""

from __future__ import annotations

import pytest

from squeeze_segnet_ros.topics import OUTPUTS, camera_info_topic, is_output, output_base, output_bases


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
    assert all(is_output(f"{base}/{name}") for base in output_bases(("/a/x", "image")) for name in OUTPUTS)
    assert not any(map(is_output, ("/a/label", "/a/segmentation/image", "/my_segmentation/label", "/a/x")))
