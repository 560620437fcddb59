"""Publishes the messages of a bag at the times of its recording."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy

from squeeze_segnet_ros.bags import BagReader, Topic, messages
from squeeze_segnet_ros.bags.reader import printable
from squeeze_segnet_ros.errors import BagError, ConfigError, InvalidImageError
from squeeze_segnet_ros.ros.message_types import message_class
from squeeze_segnet_ros.ros.played_clock import PlayedClock
from squeeze_segnet_ros.ros.read_ahead import ReadAhead
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, is_output

WAIT_S = 10.0
"""Default of ``--wait-for-subscribers``."""

_SETTLE_S = 0.5  # subscribers are matched one by one: wait until none was added for so long
_ACKNOWLEDGE_S = 5.0
_LATE_NS = 10_000_000
_FILL_S = 0.5  # before the first message, so that it does not wait for the disk
_DECODED_SIZE = 12  # a decoded image is about so many times its jpeg
_STILL_NS = 10**8
"""Period of a single frame in a loop."""
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
        self._clock = PlayedClock(node, bag, options.clock_hz) if options.clock_hz else None
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
        # One camera period between the last message of a loop and the first of the next; one frame has none.
        self._lap_ns = bag.duration_ns + (bag.duration_ns // max(1, max(counts) - 1) or _STILL_NS)
        self._started_ns = 0  # monotonic clock
        self._started_at_ns = 0  # since the epoch
        self._lap = 0

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
            ahead = ReadAhead(self._items())
            try:
                ahead.fill(_FILL_S)
                self._started_ns, self._started_at_ns = time.monotonic_ns(), time.time_ns()
                if self._clock:
                    self._clock.start(self._started_ns)
                while (item := ahead.next(self._idle)) and self._wait_until(self._due_ns(item)):
                    self._publish(item)
            finally:
                ahead.close()
        self._wait_for_acknowledgments()
        return not self._stop.is_set()

    # -- publishers -------------------------------------------------------------------------------------

    def _add(self, topic: Topic) -> None:
        name = printable(topic.name)
        if topic.name == "/clock" and self._clock:
            if not self._clock.is_recorded:
                self._log.info("the recorded /clock is left out: --clock publishes the time")
                return
            self._publishers[topic.name] = self._clock.publisher
            return
        message_type = _installed_class(topic.type)
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
            image_type = message_class(messages.IMAGE)
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
                self._clock.show_start()
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
            self._clock.show(self._recorded_time_ns())
        item.publisher.publish(data)
        self.published[item.topic] += 1

    def _wait_until(self, due_ns: int) -> bool:
        """Sleep until ``due_ns`` while the clock ticks; False when stopped."""
        while not self._stop.is_set():
            now = time.monotonic_ns()
            if now >= due_ns:
                return True
            self._tick(now)
            wake = min(due_ns, self._clock.next_tick_ns) if self._clock else due_ns
            self._stop.wait(max(0, wake - time.monotonic_ns()) / 1e9)
        return False

    def _idle(self) -> bool:
        self._tick(time.monotonic_ns())
        return not self._stop.is_set()

    def _tick(self, now_ns: int) -> None:
        if self._clock:
            self._clock.tick(now_ns, self._recorded_time_ns())

    def _recorded_time_ns(self) -> int:
        since_start = int((time.monotonic_ns() - self._started_ns) * self._options.rate)
        return self._bag.start_ns + since_start - self._lap * self._lap_ns


def _installed_class(name: str) -> Any:
    """Return the class of ``package/msg/Type``, None where it is not installed."""
    with suppress(ImportError, AttributeError):
        return message_class(name)
    return None
