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
import importlib
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from rosgraph_msgs.msg import Clock

from squeeze_segnet_ros.bags import BagReader, Topic, messages, open_bag
from squeeze_segnet_ros.bags.reader import printable
from squeeze_segnet_ros.errors import BagError, ConfigError, InvalidImageError, SegmentationError, one_line
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, is_output

CLOCK_HZ = 100.0
"""Default of ``--clock``; the time is also published right before every message."""
WAIT_S = 10.0
"""Default of ``--wait-for-subscribers``."""

_SETTLE_S = 0.5  # subscribers are matched one by one: wait until none was added for so long
_ACKNOWLEDGE_S = 5.0
_LATE_NS = 10_000_000
_FILL_S = 0.5  # before the first message, so that it does not wait for the disk
_AHEAD_BYTES = 64 * 2**20
_DECODED_SIZE = 12  # a decoded image is about so many times its jpeg
_SAME_CLOCK_NS = 60 * 10**9
"""Stamps that are further from the time of recording were given by another clock."""
_GLOBAL_TOPICS = ("/clock", "/tf", "/tf_static", "/rosout", "/parameter_events", "/diagnostics")


@dataclass(frozen=True)
class Options:
    """How to play; times in seconds.

    ``clock_hz`` None publishes no /clock. ``stamp`` is recorded or now. ``topics`` None plays all.
    ``wait_for_node`` is the full name of a node that must listen before the first message, or empty;
    ``wait_for_listeners`` are other topics that somebody must listen to by then, such as a recorder.
    """

    rate: float = 1.0
    loop: bool = False
    clock_hz: float | None = None
    topics: tuple[str, ...] | None = None
    wait_s: float = WAIT_S
    wait_for_node: str = ""
    wait_for_listeners: tuple[str, ...] = ()
    decompress: bool = False
    stamp: str = "recorded"
    depth: int = 10

    def __post_init__(self) -> None:
        for name, value in (("--rate", self.rate), ("--clock", self.clock_hz)):
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} {value:g} makes no sense: give a number above 0")
        if self.wait_s < 0:
            raise ConfigError(f"--wait-for-subscribers {self.wait_s:g} makes no sense: 0 seconds or more")
        if self.depth < 1:
            raise ConfigError(f"--depth {self.depth} makes no sense: at least 1 message")
        if self.stamp == "now" and self.clock_hz is not None:
            raise ConfigError("--stamp now and --clock exclude each other: /clock gives the recorded time")


@dataclass(frozen=True)
class _Item:
    """One message to publish: ``offset_ns`` after the start of playing at rate 1, in the ``lap``-th loop."""

    offset_ns: int
    lap: int
    publisher: Publisher
    topic: str
    data: bytes | Future[bytes]
    has_header: bool
    cost: int


class _ReadAhead:
    """Runs an iterator in a thread, up to a number of bytes ahead, so that reading never delays playing."""

    def __init__(self, items: Iterator[_Item], limit: int = _AHEAD_BYTES) -> None:
        self._items, self._limit = items, limit
        self._queue: deque[_Item] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._bytes < self._limit)
                    if self._closed:
                        return
                    self._queue.append(item)
                    self._bytes += item.cost
                    self._changed.notify_all()
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def next(self, wait: Callable[[], bool]) -> _Item | None:
        """Return the next item, None at the end; ``wait`` is called while there is none, False gives up."""
        while True:
            with self._changed:
                if self._queue:
                    item = self._queue.popleft()
                    self._bytes -= item.cost
                    self._changed.notify_all()
                    return item
                if self._ended:
                    if self._error:
                        raise self._error
                    return None
                self._changed.wait(0.005)
            if not wait():
                return None

    def fill(self, seconds: float) -> None:
        """Wait until as much as allowed has been read, or all, or for ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._bytes >= self._limit, seconds)

    def close(self) -> None:
        """Stop reading and wait for the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()


class Player:
    """Publishes the messages of a bag through publishers of ``node``.

    Attributes:
        published: number of messages by the recorded topic name (decoded ones by the raw topic's name).
        late: number of messages that were published more than 10 ms behind their time.
        worst_late_ns: the longest such delay.
    """

    def __init__(self, node: Node, bag: BagReader, options: Options) -> None:
        self.published: Counter[str] = Counter()
        self.late = 0
        self.worst_late_ns = 0
        self._node, self._bag, self._options = node, bag, options
        self._log = node.get_logger()
        self._stop = threading.Event()
        self._publishers: dict[str, Publisher] = {}
        self._decoded: dict[str, Publisher] = {}
        self._with_header: set[str] = set()
        self._clock = node.create_publisher(Clock, "/clock", 10) if options.clock_hz else None
        self._clock_offset_ns = 0
        """From the time of recording to the time that /clock shows."""
        self._first_tick_ns: int | None = None
        """Of the recorded /clock, where that is what is played."""
        if self._clock:
            self._choose_clock()
        left_out = []
        for name in options.topics or bag.topics:
            if options.wait_for_node and not options.topics and is_output(name):
                left_out.append(name)
            else:
                self._add(bag.info[name])
        if left_out:
            names = ", ".join(map(printable, left_out))
            self._log.info(f"not played, since {options.wait_for_node} makes its own: {names}")
        if not self._publishers:
            raise BagError(f"{bag.path}: nothing to play: no message type of this bag is installed")
        self._images = [self._publishers[name] for name in self._publishers if name in bag.images]
        self._images += self._decoded.values()
        counts = [bag.info[name].count for name in self._publishers if name in bag.images] or [bag.count]
        # One camera period between the last message of a loop and the first of the next.
        self._lap_ns = bag.duration_ns + bag.duration_ns // max(1, max(counts) - 1)
        self._started_ns = 0  # monotonic clock
        self._started_at_ns = 0  # since the epoch
        self._lap = 0
        self._next_tick_ns = 0

    def stop(self) -> None:
        """End playing soon; may be called from a signal handler or another thread."""
        self._stop.set()

    def play(self) -> bool:
        """Play to the end; return False when it was stopped before.

        Raises:
            BagError: the bag is damaged.
        """
        self._wait_for_subscribers()
        with ThreadPoolExecutor(2, "decode") as self._pool:
            ahead = _ReadAhead(self._items())
            try:
                ahead.fill(_FILL_S)
                self._started_ns, self._started_at_ns = time.monotonic_ns(), time.time_ns()
                self._next_tick_ns = self._started_ns
                while (item := ahead.next(self._idle)) and self._wait_until(self._due_ns(item)):
                    self._publish(item)
            finally:
                ahead.close()
        self._wait_for_acknowledgments()
        return not self._stop.is_set()

    # -- publishers -------------------------------------------------------------------------------------

    def _choose_clock(self) -> None:
        """Let /clock show the time of the header stamps, whichever clock that was."""
        first = next((m for name in self._bag.images for m in self._bag.messages([name])), None)
        try:
            stamp = messages.stamp_ns(first.data) if first else 0
        except InvalidImageError:
            return
        if not first or not stamp or abs(stamp - first.timestamp_ns) < _SAME_CLOCK_NS:
            return
        ticks = self._bag.messages(["/clock"]) if "/clock" in self._bag.topics else ()
        shown = [messages.stamp_ns(tick.data) for tick in ticks]
        if shown and min(abs(time_ns - stamp) for time_ns in shown) < _SAME_CLOCK_NS:
            self._first_tick_ns = shown[0]
            self._log.info("stamps follow the recorded /clock, as a simulation's do: that is played")
            return
        self._clock_offset_ns = stamp - first.timestamp_ns
        seconds = self._clock_offset_ns / 1e9
        self._log.info(
            f"stamps are {seconds:.1f} s from the times of recording: /clock shows the time of stamps"
        )

    def _add(self, topic: Topic) -> None:
        name = printable(topic.name)
        if topic.name == "/clock" and self._clock:
            if self._first_tick_ns is None:
                self._log.info("the recorded /clock is left out: --clock publishes the time")
                return
            self._publishers[topic.name] = self._clock
            return
        message_type = _message_class(topic.type)
        if message_type is None:
            kind = printable(topic.type)
            self._log.warning(f"{name} is not played: message type {kind} is not installed")
            return
        try:
            self._publishers[topic.name] = self._publisher(topic.name, message_type, topic)
        except InvalidTopicNameException:
            self._log.warning(f"{name} is not played: that is no name for a topic")
            return
        if next(iter(message_type.get_fields_and_field_types().values()), "") == "std_msgs/Header":
            self._with_header.add(topic.name)
        raw = topic.name.removesuffix(COMPRESSED_SUFFIX)
        wanted = self._options.decompress and topic.type == messages.COMPRESSED_IMAGE
        if wanted and raw != topic.name and raw not in self._bag.topics:
            image_type = _message_class(messages.IMAGE)
            self._decoded[topic.name] = self._publisher(raw, image_type, topic)

    def _publisher(self, name: str, message_type: Any, topic: Topic) -> Publisher:
        local = name.lstrip("/") if self._node.get_namespace() != "/" and name not in _GLOBAL_TOPICS else name
        latched = topic.latched
        qos = QoSProfile(
            depth=max(topic.depth, 1) if latched else self._options.depth,
            reliability=QoSReliabilityPolicy.RELIABLE,
            durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
        )
        return self._node.create_publisher(message_type, local, qos)

    def _wait_for_subscribers(self) -> None:
        publishers = self._images or list(self._publishers.values())
        names = ", ".join(publisher.topic_name for publisher in publishers)
        deadline = time.monotonic() + self._options.wait_s
        changed, known, told = time.monotonic(), 0, False
        while not self._stop.is_set() and (now := time.monotonic()) < deadline:
            count = sum(publisher.get_subscription_count() for publisher in publishers)
            if count != known:
                changed, known = now, count
            if known and now - changed > _SETTLE_S and self._is_heard([*publishers, *self._decoded.values()]):
                return
            if not known and not told and now > changed + _SETTLE_S:
                told = True
                self._log.info(f"waiting up to {self._options.wait_s:g} s for a subscriber of {names}")
            if self._clock:
                self._publish_clock(self._bag.start_ns, self._first_tick_ns)
            self._stop.wait(0.02)
        if not known and self._options.wait_s:
            self._log.warning(
                f"no subscriber of {names} after {self._options.wait_s:g} s: playing all the same"
            )

    def _is_heard(self, publishers: Sequence[Publisher]) -> bool:
        """Return whether the node that was asked for listens and each known subscription is matched."""
        if not all(map(self._node.count_subscribers, self._options.wait_for_listeners)):
            return False
        if not self._options.wait_for_node:
            return True
        heard = False
        for publisher in publishers:
            listeners = self._node.get_subscriptions_info_by_topic(publisher.topic_name)
            if publisher.get_subscription_count() < len(listeners):
                return False
            names = (f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in listeners)
            heard = heard or self._options.wait_for_node in names
        return heard

    def _wait_for_acknowledgments(self) -> None:
        deadline = time.monotonic() + _ACKNOWLEDGE_S
        for publisher in [*self._publishers.values(), *self._decoded.values()]:
            while not publisher.wait_for_all_acked(Duration(seconds=0.05)):
                if self._stop.is_set():
                    return
                if time.monotonic() > deadline:
                    self._log.warning(f"subscribers of {publisher.topic_name} have not taken all messages")
                    return

    # -- reading ----------------------------------------------------------------------------------------

    def _items(self) -> Iterator[_Item]:
        """Yield all messages of all laps, in the thread of the read-ahead."""
        lap = 0
        while not self._stop.is_set():
            for message in self._bag.messages(list(self._publishers)):
                offset = message.timestamp_ns - self._bag.start_ns + lap * self._lap_ns
                data = message.data
                publisher = self._publishers[message.topic]
                has_header = message.topic in self._with_header
                yield _Item(offset, lap, publisher, message.topic, data, has_header, len(data))
                decoded = self._decoded.get(message.topic)
                if decoded and decoded.get_subscription_count():
                    raw = message.topic.removesuffix(COMPRESSED_SUFFIX)
                    future = self._pool.submit(messages.decompress, data)
                    yield _Item(offset, lap, decoded, raw, future, has_header, len(data) * _DECODED_SIZE)
            if not self._options.loop:
                return
            lap += 1

    def _moved_stamp(self, stamp_ns: int, lap: int) -> int:
        since_start = stamp_ns - self._bag.start_ns + lap * self._lap_ns
        return self._started_at_ns + int(since_start / self._options.rate)

    # -- playing ----------------------------------------------------------------------------------------

    def _due_ns(self, item: _Item) -> int:
        return self._started_ns + int(item.offset_ns / self._options.rate)

    def _publish(self, item: _Item) -> None:
        try:
            data = item.data if isinstance(item.data, bytes) else item.data.result()
            if self._options.stamp == "now" and item.has_header:
                data = messages.with_stamp(data, self._moved_stamp(messages.stamp_ns(data), item.lap))
        except InvalidImageError as error:
            self._log.warning(f"{printable(item.topic)}: not published: {error}", throttle_duration_sec=5.0)
            return
        late = time.monotonic_ns() - self._due_ns(item)
        if late > _LATE_NS:
            self.late += 1
            self.worst_late_ns = max(self.worst_late_ns, late)
        self._lap = item.lap
        if self._clock:
            # A message must not come from the future of those who follow /clock.
            self._publish_clock(self._recorded_time_ns())
        item.publisher.publish(data)
        self.published[item.topic] += 1

    def _wait_until(self, due_ns: int) -> bool:
        """Sleep until ``due_ns`` while the clock ticks; False when stopped."""
        while not self._stop.is_set():
            now = time.monotonic_ns()
            if now >= due_ns:
                return True
            self._tick(now)
            wake = min(due_ns, self._next_tick_ns) if self._clock else due_ns
            self._stop.wait(max(0, wake - time.monotonic_ns()) / 1e9)
        return False

    def _idle(self) -> bool:
        self._tick(time.monotonic_ns())
        return not self._stop.is_set()

    def _tick(self, now_ns: int) -> None:
        if not self._clock or not self._options.clock_hz or now_ns < self._next_tick_ns:
            return
        self._publish_clock(self._recorded_time_ns())
        period = int(1e9 / self._options.clock_hz)
        self._next_tick_ns += period * ((now_ns - self._next_tick_ns) // period + 1)

    def _recorded_time_ns(self) -> int:
        since_start = int((time.monotonic_ns() - self._started_ns) * self._options.rate)
        return self._bag.start_ns + since_start - self._lap * self._lap_ns

    def _publish_clock(self, recorded_ns: int, shown_ns: int | None = None) -> None:
        """Publish ``shown_ns``, or what the time of recording is in that of the stamps."""
        if self._clock is None or (self._first_tick_ns is not None and shown_ns is None):
            return
        message = Clock()
        time_ns = max(0, recorded_ns + self._clock_offset_ns) if shown_ns is None else shown_ns
        message.clock.sec, message.clock.nanosec = divmod(time_ns, 10**9)
        self._clock.publish(message)


def _message_class(name: str) -> Any:
    """Return the installed class of ``package/msg/Type``, or None."""
    package, _, type_name = name.partition("/msg/")
    with suppress(ImportError, AttributeError):
        return getattr(importlib.import_module(f"{package}.msg"), type_name)
    return None


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
