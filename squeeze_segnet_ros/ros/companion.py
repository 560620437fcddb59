"""What the processes that run beside the node, recorder and viewer, have in common."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from squeeze_segnet_ros.errors import ConfigError, one_line

MadeT = TypeVar("MadeT")


@contextmanager
def companion(
    name: str, arguments: Sequence[str], make: Callable[[Node], MadeT]
) -> Iterator[tuple[MadeT, SingleThreadedExecutor, threading.Event]]:
    """Yield what ``make`` makes of a node, the node's executor, and what SIGINT and SIGTERM set.

    Args:
        name: of the node.
        arguments: of the process; those after ``--ros-args`` are the node's.
        make: subscribes to what the node publishes.

    Raises:
        ConfigError: a name in the arguments or of a topic is not allowed.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        rclpy.init(args=list(arguments), signal_handler_options=SignalHandlerOptions.NO)
        node = Node(name, enable_rosout=False, start_parameter_services=False)
        made = make(node)
    # rclpy has an exception of its own for each kind of bad name, without a common base.
    except Exception as error:
        rclpy.try_shutdown()
        raise ConfigError(one_line(error)) from error
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        yield made, executor, stop
    finally:
        executor.shutdown(timeout_sec=0.5)
        node.destroy_node()
        rclpy.try_shutdown()
