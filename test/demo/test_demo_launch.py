"""The demo as a user runs it: to its end with known true labels, to Ctrl-C, and on bad input."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")


from demo import playing as demo
from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.scoring.metrics import confusion_matrix, scores
from squeeze_segnet_ros.view import contact_sheet
from support.processes import Running

FRAMES = 8
IMAGE = "/camera/front/image_raw/compressed"
TRUTH = "/camera/front/label_truth"
START = 1_700_000_000 * 10**9


def picture(seed: int, height: int = 64, width: int = 96) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin((x * (k + 1) + 2 * y) / 7 + seed) for k in range(3)]
    return np.stack(waves, -1).astype(np.uint8)


def write_bag(path: Path, frames: int, step_ns: int = 10**8) -> Path:
    with BagWriter(path) as bag:
        for index in range(frames):
            stamp = START + index * step_ns
            bag.write_image(IMAGE, stamp, "cam", picture(index), format="png")
            bag.write_image(TRUTH, stamp, "cam", picture(index)[..., 0] % len(CAMVID), format="png")
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Long enough for a busy computer to find the player's clock, by which latency is measured.
    return write_bag(tmp_path_factory.mktemp("bags") / "short", FRAMES, step_ns=5 * 10**8)


@pytest.fixture(scope="module")
def weights(untrained: Callable[..., Path]) -> Path:
    return untrained()


def start(*arguments: object) -> Running:
    command = [sys.executable, "-m", "squeeze_segnet_ros", "demo", *map(str, arguments)]
    return Running(command, OMP_NUM_THREADS="1")


@pytest.mark.graph
def test_every_frame_is_labelled_scored_and_shown(bag: Path, weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "demo"
    arguments = (
        "--bag",
        bag,
        "--output",
        output,
        "--weights",
        weights,
        "--device",
        "cpu",
        "--precision",
        "fp32",
    )
    with start(*arguments) as running:
        assert running.wait() == 0, running.text
        assert running.left_behind() == []
    summary = json.loads((output / "summary.json").read_text())
    assert list(summary) == [
        "frames_in", "frames_labelled", "frames_dropped", "latency_ms",
        "class_accuracy", "mean_iou", "device", "precision",
    ]  # fmt: skip
    assert (summary["frames_in"], summary["frames_labelled"], summary["frames_dropped"]) == (
        FRAMES,
        FRAMES,
        0,
    )
    assert 0 < summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"] <= summary["latency_ms"]["p99"]
    assert (summary["device"], summary["precision"]) == ("cpu", "fp32")
    expected = scores(truth_against_network(bag, weights))
    assert summary["class_accuracy"] == pytest.approx(expected.class_average_accuracy, abs=1e-4)
    assert summary["mean_iou"] == pytest.approx(expected.mean_iou, abs=1e-4)
    image = cv2.imread(str(output / "overlay.png"))
    assert image is not None
    assert image.std() > 20


def truth_against_network(bag: Path, weights: Path) -> np.ndarray:
    """Return the same comparison without ROS."""
    import squeeze_segnet_ros as ssr

    net = ssr.load(weights=weights, device="cpu", precision="fp32")
    counts = np.zeros((len(CAMVID), len(CAMVID) + 1), np.int64)
    with open_bag(bag) as reader:
        images = [messages.decode_image(m.data, m.type) for m in reader.messages([IMAGE])]
        truths = [messages.decode_image(m.data, m.type) for m in reader.messages([TRUTH])]
    for image, truth in zip(images, truths, strict=True):
        counts += confusion_matrix(net(image), truth, len(CAMVID))
    return counts


@pytest.mark.graph
def test_ctrl_c_ends_everything_within_five_seconds(weights: Path, tmp_path: Path) -> None:
    long_bag = write_bag(tmp_path / "long", 600)
    with start("--bag", long_bag, "--output", tmp_path, "--weights", weights, "--rate", "1") as running:
        running.wait_for_line("of 600 frames")
        running.send(signal.SIGINT)
        pressed = time.monotonic()
        assert running.wait() == 130
        # The bound is what the user is promised, not a matter of speed: processes are killed to keep it.
        assert time.monotonic() - pressed < 5.0
        assert "Traceback" not in running.text


@pytest.mark.graph
def test_a_launch_that_fails_is_reported_with_its_reason(bag: Path, tmp_path: Path) -> None:
    arguments = (
        "--bag",
        bag,
        "--output",
        tmp_path,
        "--rate",
        "1",
        "--weights",
        tmp_path / "nothing.safetensors",
    )
    with start(*arguments) as running:
        assert running.wait() != 0
        assert "nothing.safetensors" in running.lines[-1]
        assert "Traceback" not in running.text
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--bag", "{path}/nothing"], "no such bag"),
        (["--camvid", "{path}/nothing"], "no folder"),
        (["--bag", "{bag}", "--rate", "0"], "--rate 0"),
        (["--bag", "{bag}", "--weights", "{path}/nothing.safetensors"], "nothing.safetensors"),
        (["--bag", "{bag}", "--output", "/proc/nothing"], "/proc/nothing"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str],
    reason: str,
    bag: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process keeps its own handlers
    given = [argument.format(path=tmp_path, bag=bag) for argument in arguments]
    output = [] if "--output" in given else ["--output", str(tmp_path / "out")]
    assert main(["demo", *given, *output]) == 2
    text = capfd.readouterr().err
    assert text.count("\n") == 1
    assert reason in text


@pytest.mark.parametrize("start", [START, 10 * 10**9], ids=["recorded in wall time", "in a simulation"])
def test_latency_is_wall_time_whatever_the_rate_of_the_bag(start: int) -> None:
    rate, delay_ns = 0.25, 40_000_000
    wall_start = 1_800_000_000 * 10**9
    stamps = [start + index * 10**8 for index in range(10)]

    def wall(recorded_ns: int) -> int:
        return wall_start + round((recorded_ns - start) / rate)

    frames = tuple(demo.Frame("/camera", stamp) for stamp in stamps)
    clock = [(start, wall_start - 10**9)]  # before the start the time stands still
    clock += [(t, wall(t)) for t in range(start + 10**6, stamps[-1], 10**7)]
    seen = demo.Seen(published_ns={f: wall(f.stamp_ns) + delay_ns for f in frames}, clock=clock)
    np.testing.assert_allclose(demo.latencies_ms(seen), delay_ns / 1e6, atol=0.1)


def test_missing_frames_are_named_with_their_stamps() -> None:
    frames = tuple(demo.Frame("/camera", START + index) for index in range(3))
    seen = demo.Seen(labels={frames[0]: np.zeros((1, 1), np.uint8)})
    line = demo.missing_frames(demo.Played(("/camera",), frames, 0.1, 1.0), seen)
    assert line.startswith("2 frames have no label")
    assert "1700000000.000000001, 1700000000.000000002" in line


def test_contact_sheet_shows_images_overlays_and_every_class_color() -> None:
    image, overlay = np.full((360, 480, 3), 10, np.uint8), np.full((360, 480, 3), 77, np.uint8)
    cells = [contact_sheet.Cell(image, overlay, f"{index} s") for index in range(6)]
    sheet = contact_sheet.compose("a title", cells, CAMVID.classes)
    pixels = sheet.reshape(-1, 3)
    for color in ((10, 10, 10), (77, 77, 77)):
        assert (pixels == color).all(1).sum() >= 6 * 360 * 480
    for label in CAMVID.classes:
        assert (pixels == label.rgb).all(1).sum() > 300
