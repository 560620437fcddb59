"""What a camera's line on /diagnostics says."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from diagnostic_msgs.msg import DiagnosticStatus

from squeeze_segnet_ros.images.health import Finding, Level
from squeeze_segnet_ros.ros.camera_record import CameraRecord
from squeeze_segnet_ros.ros.diagnostics import camera_status, network_status
from squeeze_segnet_ros.ros.frame_queue import Counts


class RecordThatChanges(CameraRecord):
    """Between one look and the next another thread sees that all is well again."""

    def findings(self) -> list[Finding]:
        found, self._seen = super().findings(), {}
        return found


def camera(record: CameraRecord, counts: Counts = Counts()) -> SimpleNamespace:  # noqa: B008 (frozen)
    return SimpleNamespace(
        record=record,
        reported=Counts(),
        slot=SimpleNamespace(counts=lambda: counts),
        input=SimpleNamespace(topic="/front"),
        silence=None,
    )


def test_the_level_is_that_of_the_findings_in_words_though_they_change_meanwhile() -> None:
    record = RecordThatChanges()
    record.note([Finding(Level.ERROR, "black", "99% of the picture")])
    status = camera_status("/segnet", camera(record), active=False)
    assert "black: 99% of the picture" in status.message
    assert status.level == DiagnosticStatus.ERROR


def test_what_was_dropped_since_the_last_report_is_told_once() -> None:
    line = camera(CameraRecord(), Counts(received=2, invalid=2, lost=1))
    first = camera_status("/segnet", line, active=True)
    assert "2 frames dropped as invalid; 1 frames sent and not received" in first.message
    assert first.level == DiagnosticStatus.WARN
    second = camera_status("/segnet", line, active=False)
    assert (second.message, second.level) == ("not active", DiagnosticStatus.OK)


def test_why_no_frames_arrive_is_said() -> None:
    line = camera(CameraRecord())
    assert camera_status("/segnet", line, active=True).message == "no frames arrive"
    line.silence = "/front has no publisher; start the driver"
    assert camera_status("/segnet", line, active=True).message == f"no frames arrive: {line.silence}"


def test_a_caution_stays_a_warning_and_trouble_an_error() -> None:
    status = network_status("/segnet", "active", None, ["runs on the CPU"], None)
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "active; runs on the CPU")
    assert network_status("/segnet", "active", "lost", ["x"], None).level == DiagnosticStatus.ERROR
