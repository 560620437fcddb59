"""What a node receives of one camera: its frames, and its CameraInfo."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import MessageInfo, Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from squeeze_segnet_ros.ros.config import NodeConfig
from squeeze_segnet_ros.ros.rclpy_internals import take_pending
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, camera_info_topic

OnImage = Callable[["Image | CompressedImage", int], None]
"""Called with a frame, and how many were lost between it and the one before."""


class CameraInput:
    """The subscriptions to one camera. Not started: :meth:`subscribe` does that."""

    def __init__(self, node: Node, topic: str, config: NodeConfig, on_image: OnImage) -> None:
        self.info: CameraInfo | None = None
        """The camera's last CameraInfo, if it publishes one."""
        self._node = node
        self._qos = config.qos
        self._on_image = on_image
        compressed = config.transport == "compressed"
        self._type = CompressedImage if compressed else Image
        self._name = topic + COMPRESSED_SUFFIX if compressed else topic
        self._info_name = camera_info_topic(topic)
        self._images: Subscription | None = None
        self._infos: Subscription | None = None

    @property
    def topic(self) -> str:
        """The topic that is subscribed to, after namespace and remapping."""
        return self._node.resolve_topic_name(self._name)

    def subscribe(self) -> None:
        """Start to receive."""
        self._subscribe(self._choose_reliability())
        self._infos = self._node.create_subscription(
            CameraInfo, self._info_name, self._on_info, QoSProfile(depth=5, reliability=_BEST_EFFORT)
        )

    def take_pending(self) -> None:
        """Receive what has arrived and is not with the callback yet; for the executor's thread only."""
        if self._images is not None:
            for message, info in take_pending(self._images):
                self._on_image(message, self._gaps.before(info))

    def unsubscribe(self) -> None:
        """Stop to receive."""
        for subscription in (self._images, self._infos):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._images = self._infos = None

    def _on_frame(self, message: Image | CompressedImage, info: MessageInfo) -> None:
        self._on_image(message, self._gaps.before(info))
        # If the executor was busy, newer ones wait behind it, and the latest wins.
        self.take_pending()

    def _on_info(self, message: CameraInfo) -> None:
        self.info = message

    def _choose_reliability(self) -> ReliabilityPolicy:
        if self._qos.reliability != "auto":
            return _POLICIES[self._qos.reliability]
        offers = self._node.get_publishers_info_by_topic(self.topic)
        # Best effort loses most large images on the default transport: for cameras that offer no more.
        return _BEST_EFFORT if any(o.qos_profile.reliability == _BEST_EFFORT for o in offers) else _RELIABLE

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        self._gaps = _Gaps()
        self._images = self._node.create_subscription(
            self._type,
            self._name,
            self._on_frame,
            QoSProfile(depth=self._qos.depth, reliability=reliability),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
        )

    def _on_incompatible(self, event: QoSRequestedIncompatibleQoSInfo) -> None:
        log = self._node.get_logger()
        if self._qos.reliability == "auto":
            log.info(f"{self.topic} is offered as best_effort: subscribing to it so")
            # The event's own subscription cannot be destroyed from inside the event.
            if self._node.executor is not None:
                self._node.executor.create_task(self._resubscribe)
        else:
            log.warning(
                f"{self.topic}: nothing arrives from a camera that offers best_effort, since "
                f"qos.reliability is {self._qos.reliability}: set it to auto or best_effort"
            )

    async def _resubscribe(self) -> None:
        if self._images is not None:
            self.take_pending()
            self._node.destroy_subscription(self._images)
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


_RELIABLE, _BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
_PUBLISHERS = 16
"""Of one camera whose numbers are remembered: more than there ever are at the same time."""
_POLICIES = {"reliable": _RELIABLE, "best_effort": _BEST_EFFORT}
