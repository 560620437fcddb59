"""Warnings about frames: each kind of trouble is told, but a broken camera never fills the disk."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from squeeze_segnet_ros.errors import one_line

PERIOD = 5.0
"""Seconds within which a kind of trouble is told once."""
LINES = 20
"""Lines of all kinds together within a period: what a camera makes up has no end of kinds."""
_LATE = 0.5
"""Seconds longer that a line counts: whoever reads the log sees some lines later than others."""
_LENGTH = 300
# What differs from frame to frame of the same trouble: figures, what the message itself brought, and, in
# brackets, what a decoder says of it.
_VARIABLE = re.compile(r"""\d+|'[^']*'|"[^"]*"|\[[^]]*\]|\([^)]*\)""")


class Complaints:
    """Hands lines on to ``log``, not too many of them; from any thread. ``clock`` gives seconds."""

    def __init__(self, log: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._told: dict[str, float] = {}
        self._untold: dict[str, int] = {}
        self._lock = threading.Lock()

    def tell(self, what: str, error: Exception) -> None:
        """Print one line: ``error`` happened to ``what``, unless the like of it was told a moment ago."""
        self.say(f"{what}: {one_line(error)}")

    def say(self, line: str) -> None:
        """Print a line, unless the like of it was told a moment ago."""
        kind = _VARIABLE.sub("", line)
        with self._lock:
            # Bounded like the lines: of kinds beyond that, nobody asks how many there were.
            if not self._tell(line, kind) and (kind in self._untold or len(self._untold) < LINES):
                self._untold[kind] = self._untold.get(kind, 0) + 1

    def offer(self, line: str) -> bool:
        """Do as :meth:`say`, and return whether it was printed: for a line that comes again until it is."""
        with self._lock:
            return self._tell(line, _VARIABLE.sub("", line))

    def _tell(self, line: str, kind: str) -> bool:
        now = self._clock()
        self._told = {each: when for each, when in self._told.items() if now - when < PERIOD + _LATE}
        is_known = now - self._told.get(kind, -PERIOD) < PERIOD
        if is_known or len(self._told) >= LINES:
            return False
        self._told[kind] = now
        if len(line) > _LENGTH:
            line = line[:_LENGTH] + " ..."
        if more := self._untold.pop(kind, 0):
            line += f" ({more} more like it before)"
        self._log(line)
        return True
