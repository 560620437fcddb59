"""What is wrong around the node, told once it has lasted: some of it is over by itself in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

_PATIENCE = 5.0
"""Seconds for which it must last."""


class LastingTrouble:
    """One kind of trouble of a node. ``clock`` gives seconds."""

    def __init__(self, node: Node, clock: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._clock = clock
        self._since: float | None = None
        self._told = False

    def lasting(self, text: str) -> str:
        """Return the text of what is wrong now, or nothing while it has not lasted or is not; log it once."""
        if not text:
            self._since, self._told = None, False
            return ""
        self._since = self._clock() if self._since is None else self._since
        if self._clock() - self._since < _PATIENCE:
            return ""
        if not self._told:
            self._told = True
            self._node.get_logger().warning(text)
        return text
