"""Rates and percentiles of what happened lately."""

from __future__ import annotations

import pytest

from squeeze_segnet_ros.ros.statistics import RateMeter, StageTimes


def test_rates_are_over_the_last_window() -> None:
    now = [100.0]
    meter = RateMeter(window=5.0, clock=lambda: now[0])
    for _ in range(100):
        now[0] += 0.1
        meter.tick()
    assert meter.rate() == pytest.approx(10.0, rel=0.03)
    now[0] += 6.0
    assert meter.rate() == 0.0


def test_a_young_meter_does_not_divide_by_the_whole_window() -> None:
    now = [0.0]
    meter = RateMeter(window=5.0, clock=lambda: now[0])
    for _ in range(20):
        now[0] += 0.1
        meter.tick()
    assert meter.rate() == pytest.approx(10.0)


def test_percentiles_of_the_latest_times() -> None:
    times = StageTimes(size=101)
    for value in range(1000):
        times.add({"network": value / 1000, "decode": 1.0})
    assert times.percentiles()["network"] == pytest.approx((0.949, 0.994, 0.998))
    assert times.percentiles()["decode"] == (1.0, 1.0, 1.0)
    times.clear()
    assert times.percentiles() == {}
