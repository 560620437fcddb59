"""Clouds and labels of one stamp become a colored cloud; what does not fit together is told."""

from __future__ import annotations

import signal
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from reliability.graph import LATCHED, Graph
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.errors import InvalidCloudError
from squeeze_segnet_ros.ros.label_cloud import labelled_cloud
from support.processes import Running

HEIGHT, WIDTH = 3, 4
BASE = "/camera/front/segmentation"


def header(second: int, frame_id: str = "depth") -> Header:
    made = Header(frame_id=frame_id)
    made.stamp.sec = second
    return made


def label(second: int, pixels: Any = None, encoding: str = "mono8") -> Image:
    pixels = np.arange(HEIGHT * WIDTH, dtype=np.uint8) % 11 if pixels is None else pixels
    return Image(
        header=header(second, "camera"), height=HEIGHT, width=WIDTH, step=WIDTH, encoding=encoding,
        data=pixels.ravel().tolist(),
    )  # fmt: skip


def cloud(second: int, padding: int = 0, **changes: Any) -> PointCloud2:
    """Return a cloud with its own rgb behind x, y, z, as a depth camera's driver gives it."""
    rows = np.zeros((HEIGHT, WIDTH * 16 + padding), np.uint8)
    rows[:, : WIDTH * 16] = np.arange(HEIGHT * WIDTH * 4, dtype=np.float32).view(np.uint8).reshape(HEIGHT, -1)
    message = PointCloud2(
        header=header(second), height=HEIGHT, width=WIDTH, point_step=16, row_step=rows.shape[1],
        data=rows.ravel().tolist(),
    )  # fmt: skip
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(("x", "y", "z", "rgb"))
    ]
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def points(message: PointCloud2) -> Any:
    kinds = {PointField.FLOAT32: "<f4", PointField.UINT32: "<u4"}
    dtype = np.dtype(
        {
            "names": [field.name for field in message.fields],
            "formats": [kinds[field.datatype] for field in message.fields],
            "offsets": [field.offset for field in message.fields],
            "itemsize": message.point_step,
        }
    )
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


@pytest.mark.parametrize("padding", [0, 5])
def test_a_cloud_has_the_class_in_place_of_its_own_color(padding: int) -> None:
    given = cloud(7, padding)
    made = labelled_cloud(given, label(7), CAMVID.palette)
    assert (made.header, made.height, made.width, made.row_step) == (given.header, HEIGHT, WIDTH, WIDTH * 24)
    assert [field.name for field in made.fields] == ["x", "y", "z", "rgb", "label"]
    found = points(made)
    np.testing.assert_array_equal(found["z"].ravel(), np.arange(HEIGHT * WIDTH) * 4 + 2)
    np.testing.assert_array_equal(found["label"].ravel(), np.arange(HEIGHT * WIDTH) % 11)
    colors = found["rgb"].copy().view(np.uint8).reshape(-1, 4)[:, 2::-1]
    np.testing.assert_array_equal(colors, CAMVID.palette[np.arange(HEIGHT * WIDTH) % 11])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 5}, "a cloud of 5x3 points of 16 bytes"),
        ({"point_step": 0}, "points of 0 bytes"),
        ({"height": 1, "row_step": 192, "width": 12}, "not in rows and columns"),
    ],
)
def test_a_cloud_that_does_not_fit_is_refused(changes: dict[str, int], words: str) -> None:
    with pytest.raises(InvalidCloudError, match=words):
        labelled_cloud(cloud(7, **changes), label(7), CAMVID.palette)


@pytest.mark.graph
def test_what_has_one_stamp_is_joined_whichever_comes_first(graph: Graph) -> None:
    command = [sys.executable, "-m", "squeeze_segnet_ros.ros.label_cloud", "--ros-args"]
    remapped = ["-r", "cloud:=/depth/points", "-r", f"label:={BASE}/label"]
    with Running([*command, *remapped]) as node:
        node.wait_for_line("joining /depth/points")
        infos = graph.publish(LabelInfo, f"{BASE}/label_info", LATCHED)
        # Colors come by name, ids from the message.
        infos.publish(LabelInfo(class_map=[VisionClass(class_id=5, class_name="road")]))
        clouds, labels = graph.publish(PointCloud2, "/depth/points"), graph.publish(Image, f"{BASE}/label")
        made = graph.listen(PointCloud2, "/cloud_labelled")
        graph.wait_for(
            lambda: clouds.get_subscription_count() and labels.get_subscription_count(), "its subscriptions"
        )
        second = 0

        def first_cloud() -> bool:
            nonlocal second
            second += 1
            clouds.publish(cloud(second))
            labels.publish(label(second, np.full((HEIGHT, WIDTH), 5, np.uint8)))
            return bool(made)

        graph.wait_for(first_cloud, "a first cloud, with colors")
        made.clear()
        labels.publish(label(100))
        clouds.publish(cloud(101))
        clouds.publish(cloud(100))
        graph.wait_for(lambda: any(m.header.stamp.sec == 100 for m in made), "the cloud of an earlier label")
        found = points(made[-1])
        road = next(each.rgb for each in CAMVID.classes if each.name == "road")
        np.testing.assert_array_equal(found["rgb"].copy().view(np.uint8).reshape(-1, 4)[5, 2::-1], road)
        assert not any(m.header.stamp.sec == 101 for m in made)
        clouds.publish(cloud(102, height=1, width=12, row_step=192))
        labels.publish(label(102))
        node.wait_for_line("a cloud was left out: the cloud is 12x1, the label image 4x3")
        node.send(signal.SIGINT)
        assert node.wait() == 0, node.text
