"""What is remembered of one camera for /diagnostics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from squeeze_segnet_ros.images.health import CameraHealth, Finding
from squeeze_segnet_ros.images.sample_bits import SampleBits
from squeeze_segnet_ros.ros.statistics import RateMeter, StageTimes

MEMORY = 3.0
"""Seconds for which a finding is reported after it was last seen, so that a 1 Hz reader misses none."""


class CameraRecord:
    """Rates, stage times and findings of one camera. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.received = RateMeter(clock=clock)
        self.labelled = RateMeter(clock=clock)
        self.stages = StageTimes()
        self.health = CameraHealth()
        self.bits = SampleBits()
        self._clock = clock
        self._told: set[str] = set()
        self._seen: dict[str, tuple[float, Finding]] = {}
        self._lock = threading.Lock()

    def add_times(self, seconds: Mapping[str, float]) -> None:
        """Note how long the stages of the newest frame took."""
        # A stamp ahead of the clock says nothing about how long the frame took; it is a finding of its own.
        self.stages.add({stage: value for stage, value in seconds.items() if value >= 0})

    def note(self, findings: Iterable[Finding]) -> None:
        """Note what was wrong with the newest frame."""
        now = self._clock()
        with self._lock:
            for finding in findings:
                self._seen[finding.kind] = (now, finding)

    def tell_once(self, note: str, tell: Callable[[str], bool]) -> None:
        """Call ``tell`` with a note of this camera unless it returned True for it before."""
        if note not in self._told and tell(note):
            self._told.add(note)

    def findings(self) -> list[Finding]:
        """Return what was wrong lately, the newest of each kind, the worst first."""
        oldest = self._clock() - MEMORY
        with self._lock:
            found = [finding for seen, finding in self._seen.values() if seen >= oldest]
        return sorted(found, key=lambda finding: -finding.level)

    def forget_time(self) -> None:
        """Forget stamps and latencies from before a jump of the clock: they compare with none after."""
        self.stages.clear()
        self.health.forget_stamps()
