"""Play a bag into a ROS 2 graph: ``ros2 run squeeze_segnet_ros bag_player BAG``.

Messages are published as they were recorded, without being deserialized, at the times of the recording
divided by ``--rate``. ``--clock`` publishes the recording's time on /clock, for nodes with ``use_sim_time``.

Header stamps stay as recorded, as with ``ros2 bag play``; a node without sim time then sees old images.
``--stamp now`` moves all stamps by the same amount, to the time of playing, for nodes that run in wall time.
Where stamps and times of recording come from different clocks, as of a simulation, ``--clock`` follows the
stamps: with the recorded /clock where there is one.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from squeeze_segnet_ros.bags import BagReader, open_bag
from squeeze_segnet_ros.errors import ConfigError, SegmentationError, one_line
from squeeze_segnet_ros.ros.player import WAIT_S, Options, Player

CLOCK_HZ = 100.0
"""Default of ``--clock``; the time is also published right before every message."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the player's arguments, as ``ros2 run squeeze_segnet_ros bag_player --help`` lists them."""
    parser.add_argument("bag", help="bag folder, .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="speed, 1 as recorded (default: 1)")
    parser.add_argument("--loop", action="store_true", help="start again at the end; /clock then jumps back")
    parser.add_argument(
        "--clock", type=float, nargs="?", const=CLOCK_HZ, metavar="HZ",
        help=f"publish the recorded time on /clock, {CLOCK_HZ:g} times a second unless given",
    )  # fmt: skip
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="play only these (default: all)")
    parser.add_argument(
        "--wait-for-subscribers", type=float, default=WAIT_S, metavar="SECONDS", dest="wait_s",
        help="wait so long for a subscriber of an image topic (default: %(default)s; 0: do not wait)",
    )  # fmt: skip
    parser.add_argument(
        "--wait-for-node", default="", metavar="NODE",
        help="of the subscribers, wait for this one (a full name, such as /segnet)",
    )  # fmt: skip
    parser.add_argument(
        "--wait-for-listeners", nargs="+", default=(), metavar="TOPIC",
        help="wait until somebody listens to these topics too, such as a recorder of what the node makes",
    )  # fmt: skip
    parser.add_argument(
        "--decompress", action=argparse.BooleanOptionalAction, default=False,
        help="publish the decoded image too, on the topic without /compressed, where the bag has none",
    )  # fmt: skip
    parser.add_argument(
        "--stamp", choices=("recorded", "now"), default="recorded",
        help="header stamps: as recorded (default), or moved to the time of playing",
    )  # fmt: skip
    parser.add_argument("--depth", type=int, default=10, help="queue depth of the publishers (default: 10)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the player; the exit code is 0 at the end and after Ctrl-C, 2 for bad input."""
    arguments = list(sys.argv if arguments is None else ["bag_player", *arguments])
    parser = argparse.ArgumentParser(prog="bag_player", description=__doc__.partition("\n")[0])
    add_arguments(parser)
    try:
        own_arguments = remove_ros_args(arguments)[1:]
    except Exception as error:  # a private class of rclpy, for arguments behind --ros-args
        print(f"bag_player: {one_line(error)}", file=sys.stderr)
        return 2
    parsed = parser.parse_args(own_arguments)
    try:
        topics = tuple("/" + topic.lstrip("/") for topic in parsed.topics) if parsed.topics else None
        values = {
            name: value for name, value in vars(parsed).items() if name not in ("bag", "clock", "topics")
        }
        options = Options(clock_hz=parsed.clock, topics=topics, **values)
        with open_bag(parsed.bag) as bag:
            if topics is None:
                bag.require_images()
            else:
                bag.require(topics)
            return _play(bag, options, arguments)
    except SegmentationError as error:
        print(f"bag_player: {error}", file=sys.stderr)
        return 2


def _play(bag: BagReader, options: Options, arguments: list[str]) -> int:
    try:
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        node = Node("bag_player", enable_rosout=False, start_parameter_services=False)
    except Exception as error:  # names that are not allowed, say
        rclpy.try_shutdown()
        raise ConfigError(one_line(error)) from error
    try:
        log = node.get_logger()
        player = Player(node, bag, options)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: player.stop())
        if bag.note:
            log.warning(bag.note)
        laps = " in a loop" if options.loop else ""
        log.info(f"playing {bag.path}: {bag.duration_ns / 1e9:.1f} s at rate {options.rate:g}{laps}")
        if options.clock_hz is None and options.stamp == "recorded":
            log.info("stamps are as recorded: nodes in wall time need --stamp now, nodes in sim time --clock")
        finished = player.play()
        summary = ", ".join(f"{count} on {topic}" for topic, count in sorted(player.published.items()))
        log.info(f"{'finished' if finished else 'stopped'}: published {summary or 'nothing'}")
        if player.late:
            log.warning(f"{player.late} messages were late, by up to {player.worst_late_ns / 1e6:.0f} ms")
        return 0
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
