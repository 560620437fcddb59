"""Stamps of messages as the integers that are compared: nanoseconds."""

from __future__ import annotations

from typing import Protocol


class Stamp(Protocol):
    """A builtin_interfaces/Time, of rclpy or of rosbags."""

    sec: int
    nanosec: int


def nanoseconds(stamp: Stamp) -> int:
    """Return a stamp in nanoseconds."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)
