"""What the launch file asks of the running node: ``python -m squeeze_segnet_ros.ros.lifecycle_client NODE wait|drain``.

``wait`` ends when the node is active. ``drain`` deactivates it, which labels every frame that it has received;
a node that is not active has nothing to drain.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

DRAIN_SECONDS = 90.0
_ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.1


class NoAnswer(Exception):
    """The node is not there, or does not answer."""


def is_active(client: Node, node: str) -> bool:
    """Whether a lifecycle node is there and active."""
    try:
        return bool(
            _call(client, GetState, f"{node}/get_state").current_state.id == State.PRIMARY_STATE_ACTIVE
        )
    except NoAnswer:
        return False


def wait_until_active(client: Node, node: str) -> None:
    """Wait for as long as it takes; loading a large network on a small computer takes its time."""
    while not is_active(client, node):
        time.sleep(_POLL_SECONDS)


def drain(client: Node, node: str) -> None:
    """Deactivate the node if it is active; raises NoAnswer when it does not do so in time."""
    if is_active(client, node):
        transition = Transition(id=Transition.TRANSITION_DEACTIVATE)
        request = ChangeState.Request(transition=transition)
        if not _call(client, ChangeState, f"{node}/change_state", request, DRAIN_SECONDS).success:
            raise NoAnswer(f"{node} could not be deactivated: see its own messages")


def _call(
    client: Node, kind: Any, service: str, request: Any = None, seconds: float = _ANSWER_SECONDS
) -> Any:
    caller = client.create_client(kind, service)
    try:
        if not caller.wait_for_service(_ANSWER_SECONDS):
            raise NoAnswer(f"there is no service {service}")
        future = caller.call_async(request or kind.Request())
        rclpy.spin_until_future_complete(client, future, timeout_sec=seconds)
        if not future.done() or future.result() is None:
            raise NoAnswer(f"{service} did not answer within {seconds:g} s")
        return future.result()
    finally:
        client.destroy_client(caller)


_COMMANDS: dict[str, Callable[[Node, str], None]] = {"wait": wait_until_active, "drain": drain}


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code is 1 when the node does not do as it is asked."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Nothing here has to be put away, and a launch that ends does not wait.
        signal.signal(number, lambda *_: os._exit(0))
    parser = argparse.ArgumentParser(prog="lifecycle_client", description="Ask something of a running node.")
    parser.add_argument("node", help="its full name, such as /segnet")
    parser.add_argument("command", choices=sorted(_COMMANDS))
    parsed = parser.parse_args(arguments)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    client = Node("lifecycle_client", enable_rosout=False, start_parameter_services=False)
    try:
        _COMMANDS[parsed.command](client, parsed.node)
    except NoAnswer as error:
        print(f"lifecycle_client: {error}", file=sys.stderr)
        return 1
    finally:
        client.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
