"""What the launch file asks of the running node.

    python -m squeeze_segnet_ros.ros.lifecycle_client NODE wait|drain [--outputs NAMESPACE ...]

``wait`` ends when the node is active, and says when nobody listens to what the node is going to publish below
the namespaces. ``drain`` deactivates it, which labels every frame that it has received; a node that is not
active has nothing to drain. Both say what they wait for, and give up.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from squeeze_segnet_ros.errors import one_line
from squeeze_segnet_ros.ros.shared_memory import exit_at_once
from squeeze_segnet_ros.topics import OUTPUTS

APPEAR_SECONDS = 60.0
"""A node that is not there after so long has another name, or never starts."""
READY_SECONDS = 600.0
"""Loading a large network on a small computer takes minutes, not more."""
DRAIN_SECONDS = 90.0
_WORD_SECONDS = 5.0
_SERVICE_SECONDS = 5.0
_POLL_SECONDS = 0.1
_LABELS = {
    State.PRIMARY_STATE_UNCONFIGURED: "unconfigured",
    State.PRIMARY_STATE_INACTIVE: "inactive",
    State.TRANSITION_STATE_CONFIGURING: "loading its network",
    None: "loading its network",  # meanwhile it answers nobody
    State.TRANSITION_STATE_ACTIVATING: "starting",
}
_MANUAL = (State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE)


class NoAnswer(Exception):
    """The node is not there, or does not do as it is asked."""


def wait_until_active(asking: Node, node: str, outputs: Sequence[str] = ()) -> None:
    """Wait until the node labels, and say when nobody listens to what it publishes below ``outputs``.

    Raises:
        NoAnswer: it is not there, or is not active in time.
    """
    client: Client = asking.create_client(GetState, f"{node}/get_state")
    started = time.monotonic()
    while not client.wait_for_service(_WORD_SECONDS):
        waited = time.monotonic() - started
        if waited > APPEAR_SECONDS:
            raise NoAnswer(f"there is no node {node} after {waited:.0f} s: it has another name or namespace?")
        _say(f"waiting for the node {node} to appear: {waited:.0f} s")
    word = started + _WORD_SECONDS
    while (state := _state_now(asking, client)) != State.PRIMARY_STATE_ACTIVE:
        waited = time.monotonic() - started
        label = _LABELS.get(state, "not active")
        if waited > READY_SECONDS:
            raise NoAnswer(f"{node} is {label} after {waited:.0f} s: see its own messages")
        if time.monotonic() > word:
            word = started + 2 * waited
            hint = ", with autostart false: `ros2 lifecycle set` takes it further" if state in _MANUAL else ""
            _say(f"waiting for {node} to be active: it is {label}{hint}")
        time.sleep(_POLL_SECONDS)
    topics = [f"{base}/{output.name}" for base in outputs for output in OUTPUTS if output.needs_network]
    if outputs and not any(asking.count_subscribers(topic) for topic in topics):
        _say(
            f"nobody listens to {', '.join(f'{base}/*' for base in outputs)}, so nothing will be labelled: "
            f"subscribe, or see it with rviz:=true; `python3 -m squeeze_segnet_ros label BAG` writes files"
        )


def _say(line: str) -> None:
    print(f"lifecycle_client: {line}", flush=True)


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


def _state(asking: Node, client: Client, seconds: float) -> int:
    """Ask for the node's state repeatedly: an answer can be lost while the two discover each other."""
    deadline = time.monotonic() + seconds
    while (state := _state_now(asking, client)) is None:
        if time.monotonic() > deadline:
            raise NoAnswer(f"{client.srv_name} did not answer within {seconds:g} s")
    return state


def _state_now(asking: Node, client: Client) -> int | None:
    """Return the node's state, None where there is no answer."""
    try:
        return int(_ask(asking, client, GetState.Request(), _SERVICE_SECONDS).current_state.id)
    except NoAnswer:
        return None


def _ask(asking: Node, client: Client, request: Any, seconds: float) -> Any:
    future = client.call_async(request)
    rclpy.spin_until_future_complete(asking, future, timeout_sec=seconds)
    if not future.done():
        raise NoAnswer(f"{client.srv_name} did not answer within {seconds:g} s")
    return future.result()


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code is 1 when the node does not do as asked, 2 when it cannot be asked."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Nothing else here has to be put away, and a launch that ends does not wait.
        signal.signal(number, lambda *_: exit_at_once())
    parser = argparse.ArgumentParser(prog="lifecycle_client", description="Ask something of a running node.")
    parser.add_argument("node", help="its full name, such as /segnet")
    parser.add_argument("command", choices=("wait", "drain"))
    parser.add_argument("--outputs", nargs="*", default=(), help="namespaces of what it publishes")
    parsed = parser.parse_args(arguments)
    try:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        asking = Node("lifecycle_client", enable_rosout=False, start_parameter_services=False)
    # rclpy has an exception of its own for each kind of trouble, without a common base.
    except Exception as error:
        print(f"lifecycle_client: {one_line(error)}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    try:
        if parsed.command == "wait":
            wait_until_active(asking, parsed.node, parsed.outputs)
        else:
            drain(asking, parsed.node)
    except NoAnswer as error:
        print(f"lifecycle_client: {error}", file=sys.stderr)
        return 1
    finally:
        asking.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
