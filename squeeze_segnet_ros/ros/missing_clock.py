"""Notices that the time is to come from /clock, and does not."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

_PATIENCE = 5.0
"""Seconds for which frames come and no time does: a player's first frame may be there before its clock."""


class MissingClock:
    """Looks for the time of a node with use_sim_time. ``clock`` gives seconds."""

    def __init__(self, node: Node, clock: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._clock = clock
        self._since: float | None = None
        self._told = False

    def caution(self, frames: int) -> str:
        """Return what to say where so many frames have come and never a time; log it once."""
        if not frames or self._node.get_clock().now().nanoseconds:
            self._since, self._told = None, False
            return ""
        self._since = self._clock() if self._since is None else self._since
        if self._clock() - self._since < _PATIENCE:
            return ""
        publishers = self._node.count_publishers("/clock")
        what = "its publisher sends nothing" if publishers else "it has no publisher"
        text = (
            f"use_sim_time is true and no time comes on /clock, {what}: play the bag with --clock, start the "
            "simulation, or set use_sim_time to false; until then no frame is too old and latencies are wrong"
        )
        if not self._told:
            self._told = True
            self._node.get_logger().warning(text)
        return text
