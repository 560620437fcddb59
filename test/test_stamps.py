"""Stamps are compared in nanoseconds, whoever's message they are from."""

from types import SimpleNamespace

from squeeze_segnet_ros.stamps import nanoseconds


def test_a_stamp_in_nanoseconds() -> None:
    assert nanoseconds(SimpleNamespace(sec=12, nanosec=34)) == 12_000_000_034
