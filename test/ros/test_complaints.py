"""Each kind of trouble is told, and none of them floods the log."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from squeeze_segnet_ros.ros.camera_record import CameraRecord
from squeeze_segnet_ros.ros.complaints import LINES, PERIOD, Complaints


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def complaints(lines, clock):
    return Complaints(lines.append, clock)


def test_what_a_decoder_says_makes_no_new_kind(complaints, lines):
    for words in ("libpng error: IDAT: CRC error", "libpng error: bad adaptive filter value"):
        complaints.tell("/camera", ValueError(f"its data is damaged ({words})"))
    assert lines == ["/camera: its data is damaged (libpng error: IDAT: CRC error)"]


def test_a_kind_is_told_once_in_a_period_with_how_often_it_came(complaints, lines, clock):
    for width in range(100):
        complaints.tell("/camera", ValueError(f"the image is {width}x0:\nexpected more"))
    assert lines == ["/camera: the image is 0x0: expected more"]
    clock.now += PERIOD
    complaints.tell("/camera", ValueError("the image is 7x0: expected more"))
    assert lines[1:] == ["/camera: the image is 7x0: expected more (99 more like it before)"]


def test_another_kind_and_another_camera_are_told_at_once(complaints, lines):
    complaints.tell("/front", ValueError("cut off"))
    complaints.tell("/front", ValueError("too long"))
    complaints.tell("/rear", ValueError("cut off"))
    assert len(lines) == 3


def test_names_that_a_message_makes_up_are_no_kinds_of_their_own(complaints, lines):
    for name in ("'rgb9'", '"it\'s"', "[a b]"):
        complaints.tell("/camera", ValueError(f"the encoding {name} is unknown"))
    assert len(lines) == 1


def test_there_is_an_end_to_the_lines_whatever_comes(complaints, lines, clock):
    for second in range(100):
        clock.now = second * PERIOD / 10
        for i in range(30):
            complaints.tell("/camera", ValueError("x" * (30 * second + i)))
    assert len(lines) == 10 * LINES
    assert max(map(len, lines)) < 400


def test_a_note_of_a_camera_comes_once_and_as_soon_as_there_is_room(complaints, lines, clock):
    record, note = CameraRecord(), "its 16 bits are shown in 8"
    for i in range(LINES):
        complaints.say("trouble " + "x" * i)
    for _ in range(100):
        record.tell_once(note, complaints.offer)
    assert len(lines) == LINES
    clock.now += 2 * PERIOD
    for _ in range(2):
        record.tell_once(note, complaints.offer)
        clock.now += 2 * PERIOD
    assert lines[LINES:] == [note]
