"""One camera's topics: what comes in, what goes out, and who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rclpy.duration import Duration
from rclpy.event_handler import (
    PublisherEventCallbacks,
    QoSRequestedIncompatibleQoSInfo,
    SubscriptionEventCallbacks,
)
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import MessageInfo, Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from vision_msgs.msg import LabelInfo

from squeeze_segnet_ros.msg import SegmentationStats
from squeeze_segnet_ros.ros.config import NodeConfig
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, camera_info_topic, output_base

# A subscriber that falls behind by more than the depth loses the oldest messages; the others do not wait for
# it. What a recorder needs is kept longer than the pictures, of which a slow viewer wants only the newest.
_OUTPUTS = {
    "label": (Image, 30),
    "label/compressed": (CompressedImage, 30),
    "overlay": (Image, 5),
    "confidence": (Image, 5),
    "camera_info": (CameraInfo, 30),
    "stats": (SegmentationStats, 30),
}


@dataclass(frozen=True)
class Wanted:
    """Which outputs of a camera have a subscriber."""

    label: bool
    label_compressed: bool
    overlay: bool
    confidence: bool
    camera_info: bool
    stats: bool

    @property
    def network(self) -> bool:
        """Whether the network has to run for it."""
        return self.label or self.label_compressed or self.overlay or self.confidence or self.stats


class Camera:
    """The topics of one camera on a node. Not started: :meth:`subscribe` does that."""

    def __init__(self, node: Node, topic: str, config: NodeConfig) -> None:
        self.topic = topic
        self.info: CameraInfo | None = None
        """The camera's last CameraInfo, if it publishes one."""
        self._node = node
        self._config = config
        compressed = config.transport == "compressed"
        self._input = (CompressedImage, topic + COMPRESSED_SUFFIX) if compressed else (Image, topic)
        self._image: Subscription | None = None
        self._camera_info: Subscription | None = None
        base = output_base(topic)
        self.outputs = f"{node.resolve_topic_name(base)}/*"
        # The executor looks at every event that might come each time it waits for a frame: of six cameras'
        # outputs that takes longer than to receive the frame. Subscribers are told of a QoS that does not
        # match by their own side.
        quiet = PublisherEventCallbacks(use_default_callbacks=False)
        self.publishers: dict[str, Publisher] = {
            name: node.create_publisher(kind, f"{base}/{name}", depth, event_callbacks=quiet)
            for name, (kind, depth) in _OUTPUTS.items()
        }
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._label_info = node.create_publisher(
            LabelInfo, f"{base}/label_info", latched, event_callbacks=quiet
        )

    @property
    def input_topic(self) -> str:
        """The topic that is subscribed to, after namespace and remapping."""
        return self._node.resolve_topic_name(self._input[1])

    def wanted(self) -> Wanted:
        """Return which outputs have a subscriber now."""
        return Wanted(*(publisher.get_subscription_count() > 0 for publisher in self.publishers.values()))

    def publish_label_info(self, message: LabelInfo) -> None:
        """Publish it to those that listen, and to those that come later."""
        self._label_info.publish(message)

    def subscribe(self, on_image: Callable[[Image | CompressedImage, int], None]) -> None:
        """Start to receive: a frame, and how many were lost between it and the one before."""
        self._on_image = on_image
        self._subscribe(self._choose_reliability())
        self._camera_info = self._node.create_subscription(
            CameraInfo,
            camera_info_topic(self.topic),
            self._on_info,
            QoSProfile(depth=5, reliability=_BEST_EFFORT),
        )

    def take_pending(self) -> None:
        """Receive what has arrived and is not with the callback yet; for the executor's thread only."""
        if self._image is not None:
            for message, info in pending(self._image):
                self._on_image(message, self._gaps.before(info))

    def unsubscribe(self) -> None:
        """Stop to receive."""
        for subscription in (self._image, self._camera_info):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._image = self._camera_info = None

    def wait_for_delivery(self, seconds: float) -> None:
        """Wait, at most this long, until reliable subscribers have the last label."""
        self.publishers["label"].wait_for_all_acked(Duration(seconds=seconds))

    def destroy(self) -> None:
        """Take every topic of this camera off the node."""
        self.unsubscribe()
        for publisher in (*self.publishers.values(), self._label_info):
            self._node.destroy_publisher(publisher)

    def _on_frame(self, message: Image | CompressedImage, info: MessageInfo) -> None:
        self._on_image(message, self._gaps.before(info))
        # If the executor was busy, newer ones wait behind it, and the latest wins.
        self.take_pending()

    def _on_info(self, message: CameraInfo) -> None:
        self.info = message

    def _choose_reliability(self) -> ReliabilityPolicy:
        if self._config.qos.reliability != "auto":
            return _POLICIES[self._config.qos.reliability]
        offers = self._node.get_publishers_info_by_topic(self.input_topic)
        # Best effort loses most large images on the default transport: for cameras that offer no more.
        return _BEST_EFFORT if any(o.qos_profile.reliability == _BEST_EFFORT for o in offers) else _RELIABLE

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        self._gaps = _Gaps()
        self._image = self._node.create_subscription(
            *self._input,
            self._on_frame,
            QoSProfile(depth=self._config.qos.depth, reliability=reliability),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
        )

    def _on_incompatible(self, event: QoSRequestedIncompatibleQoSInfo) -> None:
        log = self._node.get_logger()
        if self._config.qos.reliability == "auto":
            log.info(f"{self.input_topic} is offered as best_effort: subscribing to it so")
            # The event's own subscription cannot be destroyed from inside the event.
            if self._node.executor is not None:
                self._node.executor.create_task(self._resubscribe)
        else:
            log.warning(
                f"{self.input_topic}: nothing arrives from a camera that offers best_effort, since "
                f"qos.reliability is {self._config.qos.reliability}: set it to auto or best_effort"
            )

    async def _resubscribe(self) -> None:
        if self._image is not None:
            self.take_pending()
            self._node.destroy_subscription(self._image)
            self._subscribe(_BEST_EFFORT)


class _Gaps:
    """Finds in the numbers that publishers give their messages how many did not arrive."""

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}

    def before(self, info: MessageInfo) -> int:
        """Return how many of the same publisher are missing before this one; 0 where that cannot be told."""
        number, publisher = info["publication_sequence_number"], info.get("publisher_gid")
        if number is None or publisher is None:
            return 0
        last = self._last.pop(publisher["data"], None)
        self._last[publisher["data"]] = number
        if len(self._last) > _PUBLISHERS:
            del self._last[next(iter(self._last))]
        return 0 if last is None else max(0, number - last - 1)


def pending(subscription: Subscription) -> Iterator[tuple[Any, MessageInfo]]:
    """Yield what has arrived and is not with the callback yet; for the executor's thread only."""
    with subscription.handle:
        # There are no more at a time, and one that floods the node must not keep it from everything else.
        for _ in range(subscription.qos_profile.depth):
            taken = subscription.handle.take_message(subscription.msg_type, False)
            if taken is None:
                return
            yield taken


_RELIABLE, _BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
_PUBLISHERS = 16
"""Of one camera whose numbers are remembered: more than there ever are at the same time."""
_POLICIES = {"reliable": _RELIABLE, "best_effort": _BEST_EFFORT}
