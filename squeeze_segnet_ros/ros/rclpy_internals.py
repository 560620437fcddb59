"""What rclpy keeps to itself and the node needs all the same: one file that follows its changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import MessageInfo, Subscription


def given_parameters(node: Node) -> dict[str, Parameter]:
    """Return the parameters that were given to a node from outside, by name, whether it knows them or not."""
    # There is no public way to ask for the names that were never declared.
    return dict(node._parameter_overrides)


def lifecycle_state(node: LifecycleNode) -> str:
    """Return the label of the state that the node is in."""
    return str(node._state_machine.current_state[1])


def take_pending(subscription: Subscription) -> Iterator[tuple[Any, MessageInfo]]:
    """Take what has arrived and is not with the callback yet; for the executor's thread only."""
    with subscription.handle:
        # There are no more at a time, and one that floods the node must not keep it from everything else.
        for _ in range(subscription.qos_profile.depth):
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is None:
                return
            yield taken
