"""The checks of the node under load, in their short forms: that they count right and come to their rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from reliability import loopback, overload, six_cameras, soak
from reliability.counting import decided, in_words, sum_of
from reliability.graph import picture
from reliability.sender import Stream, encoded, sent_by, start_sender

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {"received": 9, "labelled": 4, "waiting": 1, "unwatched": 0, "lost": 2, "replaced": 3, "too_old": 1}


def test_counts_add_up_in_numbers_and_words() -> None:
    assert decided(COUNTS) == 10
    assert sum_of([COUNTS, COUNTS])["replaced"] == 6
    assert in_words(COUNTS) == "4 labelled, 2 lost, 3 replaced, 1 too old"


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "jpeg", "png"])
def test_what_the_cameras_send_can_be_read(encoding: str) -> None:
    from squeeze_segnet_ros.ros.messages import pixels_of

    sent = picture(3, 48, 64)
    pixels, name, *_ = pixels_of(encoded(sent, encoding))
    if pixels.ndim == 2:
        np.testing.assert_array_equal(pixels, sent[..., 1])
        return
    rgb = pixels[..., 2::-1] if name.startswith("bgr") else pixels[..., :3]
    difference = np.abs(rgb.astype(int) - sent).mean()
    assert difference < (8 if encoding == "jpeg" else 1e-9)


def test_growth_is_from_the_first_to_the_last_tenth_after_the_warm_up() -> None:
    flat = [50.0] * 40 + [100.0] * 60
    assert soak.growth(flat) == soak.fitted(flat) == 0
    rising = [100.0 + i for i in range(100)]
    assert soak.growth(rising) == pytest.approx(54)
    assert soak.fitted(rising) == pytest.approx(59)
    spike = [100.0] * 99 + [900.0]
    assert soak.growth(spike) == soak.fitted(spike) == 0


@pytest.mark.graph
def test_overload_counts_every_frame_and_serves_every_camera() -> None:
    latency, counts, shares = overload.run(short=True)
    assert counts.passed, counts
    assert counts.figures["sent"] == 960
    assert counts.figures["replaced"] + counts.figures["lost"] > counts.figures["labelled"] > 0
    assert latency.figures["latency_p50"] > 1.0
    assert shares.figures["unfair"] < 0.5


@pytest.mark.graph
def test_soak_counts_every_frame_and_leaves_no_thread_or_handle_behind() -> None:
    memory, held, counts = soak.soak(10.0)
    assert counts.passed, counts
    assert {"raw_mb", "compressed_mb"} <= memory.figures.keys()
    assert held.passed, held


@pytest.mark.graph
def test_loopback_is_cheap() -> None:
    (row,) = loopback.run(short=True)
    assert row.passed, row


@pytest.mark.graph
def test_six_cameras_are_labelled_by_one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    row = six_cameras.play(six_cameras.BAG, six_cameras.RATE)
    assert row.passed, row


@pytest.mark.graph
def test_a_sender_that_fails_says_why() -> None:
    with (
        start_sender([Stream("/a b", 1.0, [(48, 64)])], 1.0) as sender,
        pytest.raises(Exception, match="a b"),
    ):
        sent_by(sender)
