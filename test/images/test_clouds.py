"""An organized cloud gets each point's class as PCL reads it, and keeps what it had."""

from __future__ import annotations

import numpy as np
import pytest

from squeeze_segnet_ros.classes import CAMVID, UNLABELLED
from squeeze_segnet_ros.errors import InvalidCloudError
from squeeze_segnet_ros.images.clouds import with_labels


@pytest.mark.parametrize("order", ["<", ">"])
def test_points_get_color_and_label_behind_what_they_have(order: str) -> None:
    xyz = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(f"{order}f4")
    labels = np.random.default_rng(1).integers(0, 11, (4, 6), np.uint8)
    labels[0, 0] = UNLABELLED
    colored = with_labels(xyz.view(np.uint8), labels, CAMVID.palette, big_endian=order == ">")
    read = colored.view(np.dtype([("xyz", f"{order}f4", 3), ("rgb", f"{order}u4"), ("label", f"{order}u4")]))[
        ..., 0
    ]
    np.testing.assert_array_equal(read["xyz"], xyz)
    np.testing.assert_array_equal(read["label"], labels)
    parts = [read["rgb"] >> shift & 255 for shift in (16, 8, 0)]
    np.testing.assert_array_equal(np.stack(parts, -1), CAMVID.palette[labels])
    assert not (read["rgb"] >> 24).any()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((5, 6, 12), r"the cloud is 6x5, the label image 6x4: .*set the node's label_size"),
        ((1, 24, 12), r"24x1, .* not in rows and columns"),
    ],
)
def test_another_size_is_refused_with_the_remedy(shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(InvalidCloudError, match=words):
        with_labels(np.zeros(shape, np.uint8), np.zeros((4, 6), np.uint8), CAMVID.palette)
