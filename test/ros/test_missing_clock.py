"""use_sim_time, and nobody who gives the time: frames come, and the node says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from squeeze_segnet_ros.ros.missing_clock import MissingClock


class Watched(MissingClock):
    """A node with so many publishers of /clock that shows this time; ``lines`` are what it logs."""

    def __init__(self, publishers: int = 0) -> None:
        self.shown = self.seconds = 0
        self.lines: list[str] = []
        now = SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.shown))
        node: Any = SimpleNamespace(
            get_clock=lambda: now,
            get_logger=lambda: SimpleNamespace(warning=self.lines.append),
            count_publishers=lambda name: publishers,
        )
        super().__init__(node, lambda: self.seconds)

    def after(self, seconds: int, frames: int = 1) -> str:
        self.seconds += seconds
        return self.caution(frames)


@pytest.mark.parametrize(("publishers", "words"), [(0, "it has no publisher"), (1, "sends nothing")])
def test_it_is_told_once_and_for_as_long_as_it_lasts(publishers: int, words: str) -> None:
    node = Watched(publishers)
    assert node.after(0) == node.after(4) == ""
    assert words in node.after(2)
    assert node.after(10)
    assert len(node.lines) == 1
    node.shown = 1
    assert node.after(1) == ""


def test_without_frames_nobody_misses_the_time() -> None:
    node = Watched()
    assert node.after(0, 0) == node.after(60, 0) == ""
    assert node.after(1) == ""
