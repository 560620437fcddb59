"""What a node publishes of one camera, and who listens."""

from __future__ import annotations

from typing import Any

from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from vision_msgs.msg import LabelInfo

from squeeze_segnet_ros.ros.message_types import message_class
from squeeze_segnet_ros.ros.rclpy_internals import Arrivals
from squeeze_segnet_ros.topics import LABEL, LABEL_INFO, OUTPUTS, Output


class CameraOutputs:
    """A publisher for each of ``OUTPUTS``, below ``base``."""

    def __init__(self, node: Node, base: str) -> None:
        self._node = node
        self.topics = f"{node.resolve_topic_name(base)}/*"
        """All of them, in words."""
        # The executor looks at every event that might come each time it waits for a frame: of six cameras'
        # outputs that takes longer than to receive the frame. Subscribers are told of a QoS that does not
        # match by their own side.
        quiet = PublisherEventCallbacks(use_default_callbacks=False)
        self._publishers: dict[Output, Publisher] = {
            output: node.create_publisher(
                message_class(output.type), f"{base}/{output.name}", _qos(output), event_callbacks=quiet
            )
            for output in OUTPUTS
        }

        self._arrivals = Arrivals(self._publishers[LABEL_INFO])
        self._label_info: LabelInfo | None = None
        self._told = 0

    def announce(self, label_info: LabelInfo) -> None:
        """Publish what the ids mean, and do so again for each subscriber that comes."""
        self._label_info = label_info
        self._told = self._arrivals.count()
        self.publish(LABEL_INFO, label_info)

    def announce_to_new(self) -> None:
        """Publish it again where a subscriber has come since.

        It is latched; but Nav2's layer asks through a message filter that drops the durability, and takes
        labels without their meaning amiss.
        """
        if self._label_info is not None and self._arrivals.count() != self._told:
            self.announce(self._label_info)

    def wanted(self) -> frozenset[Output]:
        """Return the outputs that have a subscriber now."""
        return frozenset(
            output for output, publisher in self._publishers.items() if publisher.get_subscription_count()
        )

    def publish(self, output: Output, message: Any) -> None:
        """Publish it to those that listen."""
        self._publishers[output].publish(message)

    def wait_for_delivery(self, seconds: float) -> None:
        """Wait, at most this long, until reliable subscribers have the last label."""
        self._publishers[LABEL].wait_for_all_acked(Duration(seconds=seconds))

    def destroy(self) -> None:
        """Take the topics off the node."""
        self._arrivals.destroy()
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)


def _qos(output: Output) -> QoSProfile:
    durability = DurabilityPolicy.TRANSIENT_LOCAL if output.latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=output.depth, durability=durability)
