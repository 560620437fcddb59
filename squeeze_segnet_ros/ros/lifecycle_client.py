"""What the launch file asks of the running node.

    python -m squeeze_segnet_ros.ros.lifecycle_client NODE wait|drain

``wait`` ends when the node is active. ``drain`` deactivates it, which labels every frame that it has
received; a node that is not active has nothing to drain.
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
from rclpy.client import Client
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

DRAIN_SECONDS = 90.0
_SERVICE_SECONDS = 5.0
_POLL_SECONDS = 0.1


class NoAnswer(Exception):
    """The node is not there, or does not do as it is asked."""


def wait_until_active(asking: Node, node: str) -> None:
    """Wait for as long as it takes; loading a large network on a small computer takes its time."""
    client: Client = asking.create_client(GetState, f"{node}/get_state")
    client.wait_for_service()
    while _state(asking, client) != State.PRIMARY_STATE_ACTIVE:
        time.sleep(_POLL_SECONDS)


def drain(asking: Node, node: str) -> None:
    """Deactivate the node if it is active.

    Raises:
        NoAnswer: it does not do so in time.
    """
    state: Client = asking.create_client(GetState, f"{node}/get_state")
    change: Client = asking.create_client(ChangeState, f"{node}/change_state")
    for client in (state, change):
        if not client.wait_for_service(_SERVICE_SECONDS):
            raise NoAnswer(f"there is no service {client.srv_name}")
    if _state(asking, state, DRAIN_SECONDS) != State.PRIMARY_STATE_ACTIVE:
        return
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    if not _ask(asking, change, request, DRAIN_SECONDS).success:
        raise NoAnswer(f"{node} could not be deactivated: see its own messages")


def _state(asking: Node, client: Client, seconds: float = float("inf")) -> int:
    """Ask for the node's state repeatedly: an answer can be lost while the two discover each other."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return int(_ask(asking, client, GetState.Request(), _SERVICE_SECONDS).current_state.id)
        except NoAnswer:
            if time.monotonic() > deadline:
                raise


def _ask(asking: Node, client: Client, request: Any, seconds: float) -> Any:
    future = client.call_async(request)
    rclpy.spin_until_future_complete(asking, future, timeout_sec=seconds)
    if not future.done():
        raise NoAnswer(f"{client.srv_name} did not answer within {seconds:g} s")
    return future.result()


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
    try:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rclpy's RCLError: a log folder that cannot be made, say
        print(f"lifecycle_client: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    asking = Node("lifecycle_client", enable_rosout=False, start_parameter_services=False)
    try:
        _COMMANDS[parsed.command](asking, parsed.node)
    except NoAnswer as error:
        print(f"lifecycle_client: {error}", file=sys.stderr)
        return 1
    finally:
        asking.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
