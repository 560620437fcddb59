"""What a node receives of one camera: its frames, and its CameraInfo."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from squeeze_segnet_ros.ros import silence
from squeeze_segnet_ros.ros.config import NodeConfig
from squeeze_segnet_ros.ros.fitting_subscription import BEST_EFFORT, RELIABLE, FittingSubscription
from squeeze_segnet_ros.ros.rclpy_internals import MessageInfo, sender_of
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
        self._compressed = config.transport == "compressed"
        self._name = topic + COMPRESSED_SUFFIX if self._compressed else topic
        self._info_name = camera_info_topic(topic)
        self._images: FittingSubscription | None = None
        self._infos: FittingSubscription | None = None
        self._gaps = _Gaps()
        self._last_frame = 0.0

    @property
    def topic(self) -> str:
        """The topic that is subscribed to, after namespace and remapping."""
        return self._node.resolve_topic_name(self._name)

    def subscribe(self) -> None:
        """Start to receive."""
        self._last_frame = time.monotonic()
        self._images = FittingSubscription(
            self._node,
            CompressedImage if self._compressed else Image,
            self._name,
            self._on_frame,
            self._qos.depth,
            _POLICIES[self._qos.reliability],
            self._start_again,
        )
        self._infos = FittingSubscription(
            self._node, CameraInfo, self._info_name, self._on_info, 5, BEST_EFFORT
        )

    def fit(self) -> None:
        """Ask for what the publishers offer by now; to be called now and then, by the executor's thread."""
        for subscription in (self._images, self._infos):
            if subscription is not None:
                subscription.fit()

    def take_pending(self) -> None:
        """Receive what has arrived and is not with the callback yet; for the executor's thread only."""
        if self._images is not None:
            self._images.take_pending()

    def unsubscribe(self) -> None:
        """Stop to receive."""
        for subscription in (self._images, self._infos):
            if subscription is not None:
                subscription.destroy()
        self._images = self._infos = None

    def silence(self) -> str | None:
        """Return why no frame has come for a while; None where one has, or nothing is received at all."""
        if self._images is None or time.monotonic() - self._last_frame < silence.PATIENCE:
            return None
        offers = self._images.offers()
        return silence.reason(
            self.topic,
            silence.COMPRESSED if self._compressed else silence.RAW,
            [offer.topic_type for offer in offers],
            {
                name: kinds
                for name, kinds in self._node.get_topic_names_and_types()
                if self._node.count_publishers(name)
            },
            any(offer.qos_profile.reliability == BEST_EFFORT for offer in offers),
        )

    def _start_again(self) -> None:
        self._gaps = _Gaps()

    def _on_frame(self, message: Image | CompressedImage, info: MessageInfo) -> None:
        self._receive(message, info)
        # If the executor was busy, newer ones wait behind it, and the latest wins.
        self.take_pending()

    def _receive(self, message: Image | CompressedImage, info: MessageInfo) -> None:
        self._last_frame = time.monotonic()
        self._on_image(message, self._gaps.before(info, self._has_one_publisher))

    def _has_one_publisher(self) -> bool:
        return self._node.count_publishers(self.topic) == 1

    def _on_info(self, message: CameraInfo, _: MessageInfo) -> None:
        self.info = message


class _Gaps:
    """Finds in the numbers that publishers give their messages how many did not arrive."""

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}

    def before(self, info: MessageInfo, has_one_publisher: Callable[[], bool]) -> int:
        """Return how many of the same publisher are missing before this one; 0 where that cannot be told."""
        number, publisher = info["publication_sequence_number"], sender_of(info)
        if publisher is None and has_one_publisher():
            publisher = _ONLY
        if publisher is None:
            self._last.pop(_ONLY, None)
        if number is None or publisher is None:
            return 0
        last = self._last.pop(publisher, None)
        self._last[publisher] = number
        if len(self._last) > _PUBLISHERS:
            del self._last[next(iter(self._last))]
        return 0 if last is None else max(0, number - last - 1)


_ONLY = b""
_PUBLISHERS = 16
"""Of one camera whose numbers are remembered: more than there ever are at the same time."""
_POLICIES: dict[str, ReliabilityPolicy | None] = {
    "auto": None,
    "reliable": RELIABLE,
    "best_effort": BEST_EFFORT,
}
