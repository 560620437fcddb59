"""A short-lived node that looks at the ROS graph, and waiting for what it is to find there."""

import argparse
import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from .verbs import CommandError

DISCOVERY_S = 1.0  # lists wait until nothing new was discovered for so long
PRESENCE_S = 5.0  # how long what the user named is waited for


@contextmanager
def observer() -> Iterator[Node]:
    """Yield a hidden node without parameters and log topic of its own."""
    try:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rclpy's RCLError: a log folder that cannot be made, say
        raise CommandError(" ".join(str(error).split())) from None
    try:
        yield rclpy.create_node(
            f"_ros2cli_{os.getpid()}", start_parameter_services=False, enable_rosout=False
        )
    finally:
        rclpy.try_shutdown()


def add_spin_time(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to look at the graph."""
    parser.add_argument(
        "--spin-time",
        type=float,
        default=DISCOVERY_S,
        help="look at the graph until nothing new came for so many seconds (default: %(default)s)",
    )
    parser.add_argument("--no-daemon", action="store_true", help="accepted; there is no daemon here")


def spin_until(node: Node, condition: Callable[[], Any], timeout_s: float | None) -> bool:
    """Spin until the condition holds; False after the timeout, None waits forever."""
    end = None if timeout_s is None else time.monotonic() + timeout_s
    while not condition():
        if end is not None and time.monotonic() >= end:
            return False
        rclpy.spin_once(node, timeout_sec=0.1)
    return True


def spin_for(node: Node, seconds: float) -> None:
    """Spin for a time."""
    spin_until(node, lambda: False, seconds)


def discover(node: Node, quiet_s: float) -> None:
    """Spin until nothing new was discovered for a while, for PRESENCE_S and that while at most."""
    seen, since = _snapshot(node), time.monotonic()

    def is_quiet() -> bool:
        nonlocal seen, since
        if (now := _snapshot(node)) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= quiet_s

    spin_until(node, is_quiet, PRESENCE_S + quiet_s)


def _snapshot(node: Node) -> tuple[int, int, int]:
    return (
        len(node.get_node_names()),
        len(node.get_topic_names_and_types()),
        len(node.get_service_names_and_types()),
    )


def call(node: Node, service_type: Any, service: str, **request: Any) -> Any:
    """Call a service and return its response."""
    client: Any = node.create_client(service_type, service)
    if not spin_until(node, client.service_is_ready, PRESENCE_S):
        raise CommandError(f"Node not found: nobody offers the service '{service}'")
    future = client.call_async(service_type.Request(**request))
    if not spin_until(node, future.done, PRESENCE_S):
        raise CommandError(f"no answer from '{service}' within {PRESENCE_S:g} s")
    return future.result()


def full_names(node: Node) -> list[str]:
    """Return the full names of all nodes that are not hidden."""
    names = (f"{namespace.rstrip('/')}/{name}" for name, namespace in node.get_node_names_and_namespaces())
    return sorted(name for name in names if not is_hidden(name))


def absolute(name: str) -> str:
    """Put the slash in front of a name that a user may leave out."""
    return name if name.startswith("/") else f"/{name}"


def is_hidden(name: str) -> bool:
    """Tell names that lists leave out: those with a part that starts with an underscore."""
    return any(part.startswith("_") for part in name.split("/"))


def load_type(name: str, kind: str = "msg") -> Any:
    """Return the class of `package/msg/Type`, which may come without the middle part."""
    package, _, type_name = name.replace(f"/{kind}/", "/").partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), type_name)
    except (ImportError, AttributeError, ValueError):
        raise CommandError(f"no type '{name}' in this environment, expected package/{kind}/Type") from None
