"""What rclpy keeps to itself and the node needs all the same: one file that follows its changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rclpy.event_handler import QoSPublisherEventType
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription

MessageInfo = Mapping[str, Any]
"""What rclpy tells of a message that has arrived. Kilted has a name for it, Jazzy has none."""


def given_parameters(node: Node) -> dict[str, Parameter]:
    """Return the parameters that were given to a node from outside, by name, whether it knows them or not."""
    # There is no public way to ask for the names that were never declared.
    return dict(node._parameter_overrides)


def lifecycle_state(node: LifecycleNode) -> str:
    """Return the label of the state that the node is in."""
    return str(node._state_machine.current_state[1])


def destroy(node: LifecycleNode) -> None:
    """Take a node off the graph, for good.

    rclpy lets go of all but the state machine, which holds on to the node: others would see it for 20 s more,
    and its shared memory would stay.
    """
    node.destroy_node()
    node._state_machine.destroy_when_not_in_use()


class Arrivals:
    """Counts the subscribers of a publisher that have ever come; no executor has to wait for it."""

    def __init__(self, publisher: Publisher) -> None:
        with publisher.handle:
            self._event: Any = _rclpy.EventHandle(
                publisher.handle, QoSPublisherEventType.RCL_PUBLISHER_MATCHED
            )

    def count(self) -> int:
        """Return how many have come; those that have gone again are among them."""
        with self._event:
            return int(self._event.take_event().total_count)

    def destroy(self) -> None:
        """Let go of the publisher, before it is destroyed."""
        self._event.destroy_when_not_in_use()
        # It holds on to the publisher, which would stay in the graph until Python looks for circles.
        self._event = None


def sender_of(info: MessageInfo) -> bytes | None:
    """Return what tells a message's publisher from others; None where rclpy does not say, as in Jazzy."""
    publisher = info.get("publisher_gid")
    return None if publisher is None else bytes(publisher["data"])


def take_pending(subscription: Subscription) -> Iterator[tuple[Any, MessageInfo]]:
    """Take what has arrived and is not with the callback yet; for the executor's thread only."""
    with subscription.handle:
        # There are no more at a time, and one that floods the node must not keep it from everything else.
        for _ in range(subscription.qos_profile.depth):
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is None:
                return
            yield taken
