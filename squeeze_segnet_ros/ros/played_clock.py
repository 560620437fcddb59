"""What /clock shows while a bag is played."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock

from squeeze_segnet_ros.bags import BagReader, messages
from squeeze_segnet_ros.errors import InvalidImageError

_SAME_CLOCK_NS = 60 * 10**9
"""Stamps that are further from the time of recording were given by another clock."""


class PlayedClock:
    """Publishes the time of the header stamps, whichever clock that was.

    That is the time of recording. Where the stamps are a simulation's, it is the recorded /clock, which is
    played as any other topic, or else the time of recording moved to the stamps.

    Args:
        node: that publishes.
        bag: an open bag.
        hz: how often it shows the time between the messages.

    Attributes:
        publisher: of /clock.
        next_tick_ns: when it shows the time again, by the monotonic clock.
    """

    def __init__(self, node: Node, bag: BagReader, hz: float) -> None:
        self.publisher: Publisher = node.create_publisher(Clock, "/clock", 10)
        self.next_tick_ns = 0
        self._period_ns = int(1e9 / hz)
        self._start_ns = bag.start_ns
        self._offset_ns = 0
        """From the time of recording to the time that is shown."""
        self._first_tick_ns: int | None = None
        self._choose(node, bag)

    @property
    def is_recorded(self) -> bool:
        """Whether the recorded /clock is what is to be played."""
        return self._first_tick_ns is not None

    def start(self, now_ns: int) -> None:
        """Begin to tick, at this time of the monotonic clock."""
        self.next_tick_ns = now_ns

    def tick(self, now_ns: int, recorded_ns: int) -> None:
        """Show the time of recording when it is time to, by the monotonic clock."""
        if now_ns >= self.next_tick_ns:
            self.show(recorded_ns)
            self.next_tick_ns += self._period_ns * ((now_ns - self.next_tick_ns) // self._period_ns + 1)

    def show(self, recorded_ns: int) -> None:
        """Publish what this time of recording is in that of the stamps, unless the recorded /clock does."""
        if not self.is_recorded:
            self._publish(max(0, recorded_ns + self._offset_ns))

    def show_start(self) -> None:
        """Publish the time at which the bag begins."""
        self._publish(
            max(0, self._start_ns + self._offset_ns) if self._first_tick_ns is None else self._first_tick_ns
        )

    def _choose(self, node: Node, bag: BagReader) -> None:
        first = next((m for name in bag.images for m in bag.messages([name])), None)
        try:
            stamp = messages.stamp_ns(first.data) if first else 0
        except InvalidImageError:
            return
        if not first or not stamp or abs(stamp - first.timestamp_ns) < _SAME_CLOCK_NS:
            return
        ticks = bag.messages(["/clock"]) if "/clock" in bag.topics else ()
        shown = [messages.stamp_ns(tick.data) for tick in ticks]
        if shown and min(abs(time_ns - stamp) for time_ns in shown) < _SAME_CLOCK_NS:
            self._first_tick_ns = shown[0]
            node.get_logger().info("stamps follow the recorded /clock, as a simulation's do: that is played")
            return
        self._offset_ns = stamp - first.timestamp_ns
        seconds = self._offset_ns / 1e9
        node.get_logger().info(
            f"stamps are {seconds:.1f} s from the times of recording: /clock shows the time of stamps"
        )

    def _publish(self, time_ns: int) -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(time_ns, 10**9)
        self.publisher.publish(message)
