"""Notices another node of the same name, which lifecycle and parameter commands reach as well."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

_PATIENCE = 5.0
"""Seconds for which it must be there: a node that is started again may see the one before it for a moment."""


class Namesakes:
    """Looks for nodes of a node's name. ``clock`` gives seconds."""

    def __init__(self, node: Node, clock: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._clock = clock
        self._since: float | None = None
        self._told = False

    def caution(self) -> str:
        """Return what to say of another node of this name, nothing where there is none; log it once."""
        names = self._node.get_node_names_and_namespaces()
        if names.count((self._node.get_name(), self._node.get_namespace())) < 2:
            self._since, self._told = None, False
            return ""
        self._since = self._clock() if self._since is None else self._since
        if self._clock() - self._since < _PATIENCE:
            return ""
        text = (
            f"another node is called {self._node.get_fully_qualified_name()}: commands for one may reach the "
            "other; give one another name (name:=) or namespace. One that was killed goes within 20 s"
        )
        if not self._told:
            self._told = True
            self._node.get_logger().warning(text)
        return text
