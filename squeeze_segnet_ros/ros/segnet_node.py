"""The process around the node: arguments, signals, exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from squeeze_segnet_ros.errors import one_line
from squeeze_segnet_ros.openmp import spin_briefly
from squeeze_segnet_ros.ros.shared_memory import exit_at_once, free_dead_segments

_EXIT_SECONDS = 1.8
_POLL_SECONDS = 0.1


def main(arguments: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM, which ends the process; returns only to report bad usage.

    It also ends, with exit code 1, when the GPU is lost, so that whoever respawns it gets one that labels.
    """
    stop, loading, device_lost = threading.Event(), threading.Event(), threading.Event()
    loading.set()
    _stop_on_signals(stop, loading)
    spin_briefly()
    argv = sys.argv if arguments is None else ["segnet_node", *arguments]
    # These imports take a while. A signal that comes meanwhile must find its handler, and rclpy sets up none:
    # its own would end the context before the frames that wait are labelled.
    from squeeze_segnet_ros.memory import keep_freed_memory, share_one_heap

    # The middleware's threads would come first with heaps of their own. And a frame takes the place of one
    # before it: the kernel would clear its pages anew.
    share_one_heap()
    keep_freed_memory()

    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import remove_ros_args

    from squeeze_segnet_ros.ros import rclpy_internals
    from squeeze_segnet_ros.ros.node import Events, SegnetNode

    try:
        options = _parser().parse_args(remove_ros_args(argv)[1:])
        freed = free_dead_segments()  # before this process wants a segment of its own
        rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
        node = SegnetNode(Events(stop, loading, device_lost))
    # rclpy has an exception of its own for each kind of bad argument, without a common base.
    except Exception as error:
        print(f"segnet_node: {one_line(error)}", file=sys.stderr)
        return 2
    if freed.segments:
        node.get_logger().info(str(freed))
    loading.clear()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    failed = threading.Event()

    async def start() -> None:
        if not node.autostart():
            failed.set()

    if node.config.autostart:
        executor.create_task(start)

    def must_end() -> bool:
        return device_lost.is_set() or (failed.is_set() and options.exit_on_failure)

    while not stop.is_set() and not must_end():
        executor.spin_once(timeout_sec=_POLL_SECONDS)
    node.finish()
    executor.shutdown(timeout_sec=0.0)
    rclpy_internals.destroy(node)
    rclpy.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Leaving the usual way takes PyTorch apart, for seconds on a busy computer, and would crash in a network
    # pass that is still running.
    os._exit(1 if must_end() else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="segnet_node", description="Label the frames of cameras.")
    parser.add_argument(
        "--exit-on-failure",
        action="store_true",
        help="end with exit code 1 when the node cannot start by itself",
    )
    return parser


def _stop_on_signals(stop: threading.Event, loading: threading.Event) -> None:
    """Let SIGINT and SIGTERM set ``stop``; a process that is still there 1.8 s later ends at once.

    While ``loading`` is set it ends at once: loading cannot be interrupted, and no frame waits for its label.
    """

    def on_signal(number: int, frame: object) -> None:
        if loading.is_set():
            exit_at_once()
        if not stop.is_set():
            # Nor can a network pass be interrupted, and whoever sent the signal will not wait.
            watchdog = threading.Timer(_EXIT_SECONDS, exit_at_once)
            watchdog.daemon = True
            watchdog.start()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)


if __name__ == "__main__":
    sys.exit(main())
