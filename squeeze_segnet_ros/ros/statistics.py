"""Rates and percentiles of what happened lately, in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping

import numpy as np

PERCENTILES = (50, 95, 99)


class RateMeter:
    """Events per second over the last ``window`` seconds, by a clock that gives seconds."""

    def __init__(self, window: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._started = clock()
        self._events: deque[float] = deque()
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Count an event that happened now."""
        with self._lock:
            self._events.append(self._clock())
            self._forget()

    def rate(self) -> float:
        """Return events per second, in Hz."""
        with self._lock:
            self._forget()
            # A meter younger than its window has not seen a whole one yet.
            seen = min(self._window, max(self._clock() - self._started, 1.0))
            return len(self._events) / seen

    def _forget(self) -> None:
        oldest = self._clock() - self._window
        while self._events and self._events[0] < oldest:
            self._events.popleft()


class StageTimes:
    """The latest durations of each stage, in seconds, with percentiles over the last ``size`` of them."""

    def __init__(self, size: int = 300) -> None:
        self._times: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=size))
        self._lock = threading.Lock()

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add the durations of one frame, by stage."""
        with self._lock:
            for stage, value in seconds.items():
                self._times[stage].append(value)

    def percentiles(self) -> dict[str, tuple[float, ...]]:
        """Return the percentiles of ``PERCENTILES`` by stage, in seconds."""
        with self._lock:
            taken = {stage: np.fromiter(times, float) for stage, times in self._times.items()}
        return {stage: tuple(np.percentile(times, PERCENTILES).tolist()) for stage, times in taken.items()}

    def clear(self) -> None:
        """Forget everything, as when the clock jumped."""
        with self._lock:
            self._times.clear()
