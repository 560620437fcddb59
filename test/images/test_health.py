"""What a camera's frames are blamed for, and what not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from squeeze_segnet_ros.images.health import FROZEN_ERROR, FROZEN_WARN, CameraHealth, Level
from squeeze_segnet_ros.ros.camera_record import MEMORY, CameraRecord

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def street(seed: int = 0, height: int = 360, width: int = 480) -> np.ndarray:
    """Return edges at random places on a smooth ground, with a little noise."""
    random = np.random.default_rng(seed)
    image = np.full((height, width, 3), 90, np.uint8)
    for _ in range(120):
        x, y = random.integers(0, width), random.integers(0, height)
        color = tuple(int(c) for c in random.integers(30, 230, 3))
        cv2.rectangle(
            image, (x, y), (x + int(random.integers(5, 60)), y + int(random.integers(5, 60))), color, -1
        )
    return cv2.add(image, random.integers(0, 3, image.shape, np.uint8))


def kinds(pixels: np.ndarray) -> list[str]:
    return [finding.kind for finding in CameraHealth().check(pixels)]


@pytest.mark.parametrize("shape", [(360, 480), (1080, 1920), (33, 40)])
def test_a_clear_picture_is_healthy(shape: tuple[int, int]) -> None:
    image = street(height=shape[0], width=shape[1])
    assert kinds(image) == []
    assert kinds(image[..., 0]) == [], "gray"
    assert kinds(np.dstack([image, np.full(shape, 255, np.uint8)])) == [], "with alpha"


@pytest.mark.parametrize(
    ("pixels", "kind"),
    [
        (np.zeros((360, 480, 3), np.uint8), "black"),
        (np.full((360, 480, 3), 255, np.uint8), "blown out"),
        (np.full((360, 480, 3), 120, np.uint8), "flat"),
        (cv2.GaussianBlur(street(), (0, 0), 4), "blurred"),
    ],
)
def test_bad_pictures_are_named(pixels: np.ndarray, kind: str) -> None:
    assert kinds(pixels) == [kind]


def test_what_the_decoder_found_wrong_is_told() -> None:
    (finding,) = CameraHealth().check(street(), "Corrupt JPEG data: premature end of data segment")
    assert str(finding) == "damaged: Corrupt JPEG data: premature end of data segment"
    assert finding.level == Level.WARN


def test_a_slightly_soft_picture_is_not_blamed() -> None:
    assert kinds(cv2.GaussianBlur(street(), (0, 0), 1)) == []


def test_a_night_street_with_lights_is_not_black() -> None:
    image = (street() // 12).astype(np.uint8)
    image[100:130, 100:200] = 240
    assert "black" not in kinds(image)


def test_equal_frames_are_frozen_first_suspect_then_broken() -> None:
    health, image = CameraHealth(), street()
    levels = []
    for _ in range(FROZEN_ERROR):
        found = [f for f in health.check(image) if f.kind == "frozen"]
        levels.append(found[0].level if found else Level.OK)
    assert levels == [Level.OK] * (FROZEN_WARN - 1) + [Level.WARN] * (FROZEN_ERROR - FROZEN_WARN) + [
        Level.ERROR
    ]
    assert health.check(street(1)) == ()


def test_sizes_that_change_are_told_once() -> None:
    health = CameraHealth()
    health.check(street(0))
    (finding,) = health.check(street(1, 240, 320))
    assert str(finding) == "size: changed from 480x360 to 320x240"
    assert health.check(street(2, 240, 320)) == ()


@pytest.mark.parametrize(
    ("stamps", "now", "words"),
    [
        ([NOW, NOW - SECOND], NOW, "1.000 s before the one of the last frame"),
        ([NOW + SECOND], NOW, "1.000 s in the future"),
        ([NOW - 3600 * SECOND], NOW, "3600 s old"),
    ],
)
def test_stamps_are_compared_with_the_last_and_with_the_clock(
    stamps: list[int], now: int, words: str
) -> None:
    health = CameraHealth()
    found = [health.check_stamp(stamp, now) for stamp in stamps]
    assert [f.kind for f in found[-1]] == ["stamp"]
    assert words in found[-1][0].text


@pytest.mark.parametrize(("stamp", "words"), [(0, "zero"), (5000 * SECOND, "since the computer started")])
def test_stamps_that_are_no_time_have_words_of_their_own(stamp: int, words: str) -> None:
    (finding,) = CameraHealth().check_stamp(stamp, NOW)
    assert (finding.kind, finding.level, finding.lasts) == ("stamp", Level.WARN, True)
    assert words in finding.text
    assert "old" not in finding.text and "max_age" not in finding.text
    (finding,) = CameraHealth().check_stamp(stamp, NOW, max_age=0.3)
    assert "max_age (0.3 s) drops every frame: set it to 0.0" in finding.text


def test_stamps_of_a_simulation_that_has_just_begun_are_fine() -> None:
    assert CameraHealth().check_stamp(0, SECOND) == ()
    assert CameraHealth().check_stamp(5 * SECOND, 5 * SECOND) == ()


def test_a_clock_without_time_blames_nobody() -> None:
    assert CameraHealth().check_stamp(NOW, 0) == ()


def test_after_a_jump_of_the_clock_earlier_stamps_are_fine() -> None:
    health = CameraHealth()
    health.check_stamp(NOW, NOW)
    health.forget_stamps()
    assert health.check_stamp(NOW - 100 * SECOND, NOW - 100 * SECOND) == ()


def test_a_record_remembers_findings_for_a_while_worst_first() -> None:
    now = [0.0]
    record = CameraRecord(clock=lambda: now[0])
    health = CameraHealth()
    record.note(health.check(np.full((360, 480, 3), 120, np.uint8)))
    record.note(health.check(np.zeros((240, 320, 3), np.uint8)))
    assert [finding.kind for finding in record.findings()] == ["black", "flat", "size"]
    now[0] = MEMORY + 0.1
    assert record.findings() == []
