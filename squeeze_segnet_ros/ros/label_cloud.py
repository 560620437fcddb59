"""Color a depth camera's cloud by class: ``ros2 run squeeze_segnet_ros label_cloud``.

Joins an organized ``cloud`` with a ``label`` image of the same size and exactly the same stamp into
``cloud_labelled``: the same points with the fields ``rgb``, the color of the class, and ``label``, its id.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, PointCloud2, PointField
from vision_msgs.msg import LabelInfo

from squeeze_segnet_ros.classes import UNLABELLED, palette_of, with_names
from squeeze_segnet_ros.errors import InvalidCloudError, InvalidImageError, SegmentationError, one_line
from squeeze_segnet_ros.images.clouds import with_labels
from squeeze_segnet_ros.images.encodings import raw_values
from squeeze_segnet_ros.ros.complaints import Complaints
from squeeze_segnet_ros.ros.fitting_subscription import FittingSubscription
from squeeze_segnet_ros.stamps import nanoseconds

QUEUE_SIZE = 20
"""Clouds that wait for their label, by default: more than come within a label's latency."""
_PATIENCE = 30
"""Labels in a row without a cloud of their stamp, after which that is said."""
_DEPTH = 5


def labelled_cloud(cloud: PointCloud2, label: Image, palette: np.ndarray) -> PointCloud2:
    """Return a cloud with the fields ``rgb`` and ``label``, in place of those of these names that it has.

    Args:
        cloud: organized, of the label's size.
        label: mono8.
        palette: uint8 (256, 3) RGB, the color of each label.

    Raises:
        InvalidCloudError: the sizes differ, or the cloud contradicts itself.
        InvalidImageError: the label image is none.
    """
    if label.encoding not in ("mono8", "8UC1"):
        raise InvalidImageError(f"a label image has the encoding mono8, this one '{label.encoding[:32]}'")
    height, width, step = cloud.height, cloud.width, cloud.point_step
    fits = cloud.row_step >= width * step and len(cloud.data) == cloud.row_step * height
    if not (height and width and step) or not fits:
        raise InvalidCloudError(
            f"a cloud of {width}x{height} points of {step} bytes has {len(cloud.data)} bytes of data in rows "
            f"of {cloud.row_step}: expected {height} rows of at least {width * step}"
        )
    points = np.ndarray(
        (height, width, step), np.uint8, memoryview(cloud.data), strides=(cloud.row_step, step, 1)
    )
    colored = with_labels(points, raw_values(label), palette, cloud.is_bigendian)
    kept = [field for field in cloud.fields if field.name not in ("rgb", "rgba", "label")]
    message = PointCloud2(header=cloud.header, height=height, width=width, is_dense=cloud.is_dense)
    message.is_bigendian = cloud.is_bigendian
    message.fields = [
        *kept,
        PointField(name="rgb", offset=step, datatype=PointField.FLOAT32, count=1),
        PointField(name="label", offset=step + 4, datatype=PointField.UINT32, count=1),
    ]
    message.point_step = colored.shape[2]
    message.row_step = colored.shape[2] * width
    data = array.array("B")
    data.frombytes(colored.data.cast("B"))
    message.data = data
    return message


class LabelCloud:
    """Joins ``cloud`` with ``label``; what the ids mean it reads from ``label_info``, beside the latter."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._complaints = Complaints(node.get_logger().warning)
        self._queue_size = max(1, int(node.declare_parameter("queue_size", QUEUE_SIZE).value))
        self._clouds: dict[int, PointCloud2] = {}
        self._labels: dict[int, Image] = {}
        self._palette: np.ndarray | None = None
        self._unmatched = 0
        self._publisher = node.create_publisher(PointCloud2, "cloud_labelled", QoSProfile(depth=_DEPTH))
        label = node.resolve_topic_name("label")
        self._subscriptions = [
            FittingSubscription(node, PointCloud2, "cloud", self._on_cloud, _DEPTH),
            FittingSubscription(node, Image, "label", self._on_label, _DEPTH),
            FittingSubscription(node, LabelInfo, f"{label}_info", self._on_info, 1),
        ]
        node.create_timer(1.0, self._fit)
        clouds = node.resolve_topic_name("cloud")
        node.get_logger().info(f"joining {clouds} with {label} into {self._publisher.topic_name}")

    def _fit(self) -> None:
        for subscription in self._subscriptions:
            subscription.fit()

    def _on_info(self, message: LabelInfo, _: Any) -> None:
        known = [each for each in message.class_map if each.class_id < UNLABELLED]
        named = with_names([each.class_name for each in known])
        self._palette = palette_of(
            label._replace(id=each.class_id) for each, label in zip(known, named, strict=True)
        )

    def _on_cloud(self, message: PointCloud2, _: Any) -> None:
        self._clouds[nanoseconds(message.header.stamp)] = message
        self._join(nanoseconds(message.header.stamp))

    def _on_label(self, message: Image, _: Any) -> None:
        self._labels[nanoseconds(message.header.stamp)] = message
        self._join(nanoseconds(message.header.stamp))

    def _join(self, stamp: int) -> None:
        """Publish what belongs to a stamp, once both are there, and forget what is too old to be joined."""
        if stamp in self._clouds and stamp in self._labels:
            cloud, label = self._clouds.pop(stamp), self._labels.pop(stamp)
            self._unmatched = 0
            if self._palette is None:
                self._complaints.say(f"no colors yet: nothing has come on {self._subscriptions[2].topic}")
            elif self._publisher.get_subscription_count():
                try:
                    self._publisher.publish(labelled_cloud(cloud, label, self._palette))
                except SegmentationError as error:
                    self._complaints.tell("a cloud was left out", error)
        for waiting in (self._clouds, self._labels):
            while len(waiting) > self._queue_size:
                del waiting[next(iter(waiting))]
                self._unmatched += 1
        if self._unmatched >= _PATIENCE:
            self._unmatched = 0
            self._complaints.say(self._mismatch())

    def _mismatch(self) -> str:
        newest = [
            f"{subscription.topic}: {max(waiting) / 1e9:.9f}" if waiting else f"{subscription.topic}: none"
            for subscription, waiting in zip(
                self._subscriptions[:2], (self._clouds, self._labels), strict=True
            )
        ]
        return f"no cloud has the stamp of a label; the newest are {', '.join(newest)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; the exit code is 2 for bad arguments."""
    try:
        rclpy.init(args=sys.argv if arguments is None else ["label_cloud", *arguments])
        joined = LabelCloud(Node("label_cloud"))
    # rclpy has an exception of its own for each kind of bad argument, without a common base.
    except Exception as error:
        rclpy.try_shutdown()
        print(f"label_cloud: {one_line(error)}", file=sys.stderr)
        return 2
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(joined.node)
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
