"""A subscription that asks for the quality of service that its publishers offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from squeeze_segnet_ros.ros.rclpy_internals import MessageInfo, take_pending

BEST_EFFORT, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE
LATCHED, VOLATILE = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE
Quality = tuple[ReliabilityPolicy, DurabilityPolicy]


class FittingSubscription:
    """Subscribes to a topic whose publishers come and go, and again where what they offer has changed.

    Args:
        callback: called with each message and rclpy's facts about it.
        reliability: what is asked for; None takes what every publisher offers.
        on_renewed: called when a new subscription takes the old one's place.
        raw: whether the messages are handed over as they came, serialized.
    """

    def __init__(
        self,
        node: Node,
        kind: type,
        topic: str,
        callback: Callable[[Any, MessageInfo], None],
        depth: int,
        reliability: ReliabilityPolicy | None = None,
        on_renewed: Callable[[], None] = lambda: None,
        raw: bool = False,
    ) -> None:
        self.topic = node.resolve_topic_name(topic)
        self._node = node
        self._kind, self._name = kind, topic
        self._callback = callback
        self._depth = depth
        self._reliability = reliability
        self._on_renewed = on_renewed
        self._raw = raw
        self._subscription: Subscription | None = None
        self._complained = False
        self._subscribe(self._fitting(self.offers()))

    def offers(self) -> Sequence[TopicEndpointInfo]:
        """Return what the publishers of the topic offer, of any type."""
        return self._node.get_publishers_info_by_topic(self.topic)

    def fit(self) -> None:
        """Subscribe again where something else fits better by now; for the executor's thread only."""
        offers = self.offers()
        if self._subscription is None or not offers:
            return
        reliability, durability = self._quality
        fitting = self._fitting(offers)
        asks_too_much = (reliability == RELIABLE != fitting[0]) or (durability == LATCHED != fitting[1])
        # Who was there before the latched one was seen has missed it, or just received it.
        self.take_pending()
        missed_it = fitting[1] == LATCHED != durability and not self._heard
        if asks_too_much or missed_it:
            self._node.destroy_subscription(self._subscription)
            self._subscribe(fitting)
            self._on_renewed()
            offered = " ".join(policy.name.lower() for policy in fitting)
            self._node.get_logger().info(f"{self.topic} is offered as {offered}: subscribing to it so")
        elif self._reliability == RELIABLE != _least(offers) and not self._complained:
            self._complained = True
            self._node.get_logger().warning(
                f"{self.topic}: nothing arrives from a camera that offers best_effort, since "
                "qos.reliability is reliable: set it to auto or best_effort"
            )

    def take_pending(self) -> None:
        """Deliver what has arrived and is not with the callback yet; for the executor's thread only."""
        if self._subscription is not None:
            for message, info in take_pending(self._subscription):
                self._deliver(message, info)

    def destroy(self) -> None:
        """Stop to receive."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription = None

    def _fitting(self, offers: Sequence[TopicEndpointInfo]) -> Quality:
        profiles = [offer.qos_profile for offer in offers]
        # One that publishes once, and keeps it for those that come later.
        latched = bool(profiles) and all(each.durability == LATCHED for each in profiles)
        return self._reliability or _least(offers), LATCHED if latched else VOLATILE

    def _deliver(self, message: Any, info: MessageInfo) -> None:
        self._heard = True
        self._callback(message, info)

    def _subscribe(self, quality: Quality) -> None:
        self._heard = False
        self._quality = reliability, durability = quality
        deliver: Any = self._deliver  # the annotation of Jazzy's rclpy knows of no second argument
        self._subscription = self._node.create_subscription(
            self._kind,
            self._name,
            deliver,
            QoSProfile(depth=self._depth, reliability=reliability, durability=durability),
            # An executor looks at every event that might come each time it waits: asking now and then is
            # less.
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            raw=self._raw,
        )


def _least(offers: Sequence[TopicEndpointInfo]) -> ReliabilityPolicy:
    """Return the reliability that every publisher offers."""
    # Best effort loses most large images on the default transport: for publishers that offer no more.
    unreliable = any(offer.qos_profile.reliability == BEST_EFFORT for offer in offers)
    return BEST_EFFORT if unreliable else RELIABLE
