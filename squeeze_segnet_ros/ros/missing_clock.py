"""Notices that the time is to come from /clock, and does not."""

from __future__ import annotations

from squeeze_segnet_ros.ros.lasting_trouble import LastingTrouble


class MissingClock(LastingTrouble):
    """Looks for the time of a node with use_sim_time; a player's first frame may come before its clock."""

    def caution(self, frames: int) -> str:
        """Return what to say where so many frames have come and never a time."""
        return self.lasting("" if not frames or self._node.get_clock().now().nanoseconds else self._text())

    def _text(self) -> str:
        publishers = self._node.count_publishers("/clock")
        what = "its publisher sends nothing" if publishers else "it has no publisher"
        return (
            f"use_sim_time is true and no time comes on /clock, {what}: play the bag with --clock, start the "
            "simulation, or set use_sim_time to false; until then no frame is too old and latencies are wrong"
        )
