"""A calibration for a label image explains that image, whatever region and binning the camera's own has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from squeeze_segnet_ros.bags import messages
from squeeze_segnet_ros.images.camera_info import camera_info_of_label

HEADER = messages.make_header(12_000_000_034, "camera")


def camera_info(width: int, height: int, binning: int = 0, roi: tuple[int, ...] = (0, 0, 0, 0)) -> Any:
    names = ("x_offset", "y_offset", "width", "height")
    region = dict(zip(names, roi, strict=True))
    return messages.make(
        messages.CAMERA_INFO,
        header=messages.make_header(0, ""),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array([2000.0, 0.0, width / 2, 0.0, 2000.0, height / 2, 0.0, 0.0, 1.0]),
        r=np.eye(3).ravel(),
        p=np.array([2000.0, 0.0, width / 2, -200.0, 0.0, 2000.0, height / 2, 0.0, 0.0, 0.0, 1.0, 0.0]),
        binning_x=binning,
        binning_y=binning,
        roi=messages.make("sensor_msgs/msg/RegionOfInterest", **region, do_rectify=True),
    )


def test_it_follows_the_label() -> None:
    info = camera_info(64, 48)
    before = messages.serialize(info)
    same = camera_info_of_label(HEADER, info, (48, 64))
    assert (same.header, list(same.k)) == (HEADER, list(info.k))
    half = camera_info_of_label(HEADER, info, (48, 64), (24, 32))
    assert (half.width, half.height, half.roi.do_rectify) == (32, 24, True)
    assert list(half.k) == [1000, 0, 16, 0, 1000, 12, 0, 0, 1]
    assert list(half.p) == [1000, 0, 16, -100, 0, 1000, 12, 0, 0, 0, 1, 0]
    assert messages.serialize(info) == before, "the camera's own message was changed"


@pytest.mark.parametrize(
    ("info", "image"),
    [
        (camera_info(2064, 1544, 4), (386, 516)),
        (camera_info(2064, 1545, 4), (386, 516)),
        (camera_info(1600, 1200, roi=(400, 300, 800, 600)), (600, 800)),
        (camera_info(1600, 1200, 2, (400, 300, 800, 600)), (300, 400)),
        (camera_info(516, 386, 4), (386, 516)),
    ],
)
def test_calibrations_that_explain_the_image_are_passed_on(info: Any, image: tuple[int, int]) -> None:
    info.header = HEADER
    got = camera_info_of_label(HEADER, info, image)
    assert messages.serialize(got) == messages.serialize(info)


@pytest.mark.parametrize(
    ("info", "image", "label", "focal", "center"),
    [
        (camera_info(2064, 1544, 4), (386, 516), (193, 258), 250.0, (129.0, 96.5)),
        (camera_info(2064, 1544, 4), (193, 258), None, 250.0, (129.0, 96.5)),
        (camera_info(1600, 1200, roi=(400, 300, 800, 600)), (600, 800), (300, 400), 1000.0, (200.0, 150.0)),
        (camera_info(1600, 1200, roi=(400, 300, 800, 600)), (150, 200), None, 500.0, (100.0, 75.0)),
        (camera_info(1600, 1200), (600, 800), (300, 400), 500.0, (200.0, 150.0)),
    ],
)
def test_what_is_left_is_scaled_and_region_and_binning_are_folded_in(
    info: Any, image: tuple[int, int], label: tuple[int, int] | None, focal: float, center: tuple
) -> None:
    got = camera_info_of_label(HEADER, info, image, label)
    assert (got.height, got.width) == (label or image)
    assert (got.binning_x, got.binning_y, got.roi.width, got.roi.x_offset) == (0, 0, 0, 0)
    np.testing.assert_allclose(got.k, [focal, 0, center[0], 0, focal, center[1], 0, 0, 1])
    np.testing.assert_allclose(got.p[[0, 2, 3, 5, 6]], [focal, center[0], -focal / 10, focal, center[1]])
