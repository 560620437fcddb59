"""What is given is labelled, or found labelled, and logged frame by frame; what cannot be is one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs rosbags")
pytest.importorskip("rerun", reason="needs Rerun: pip install squeeze_segnet_ros[view]")

from squeeze_segnet_ros import __main__ as command_line
from squeeze_segnet_ros.bags import BagWriter
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.offline.label import Options
from support.null_engine import NullEngine
from support.rrd import rows, values

FRONT, REAR = "/camera/front/image_raw", "/camera/rear/image_raw"
START = 1_700_000_000 * 10**9
FRAMES = 4
Run = Callable[..., int]


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Options, "load", lambda options: NullEngine())


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    with BagWriter(tmp_path / "drive") as bag:
        for index in range(FRAMES):
            for camera in (FRONT, REAR):
                bag.write_image(camera, START + index * 10**8, "cam", picture(index))
    return tmp_path / "drive"


def picture(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)


def view(*arguments: str | Path) -> int:
    return command_line.main(["view", *map(str, arguments)])


def seen(path: Path, camera: str) -> int:
    return len(rows(path)[f"/scene/{camera}/labels"])


def test_a_bag(drive: Path, tmp_path: Path) -> None:
    assert view(drive, "--save", tmp_path / "drive.rrd") == 0
    found = rows(tmp_path / "drive.rrd")
    for camera in ("front", "rear"):
        assert len(found[f"/scene/{camera}/picture"]) == len(found[f"/confidence/{camera}"]) == FRAMES
        shares = [row for row in found[f"/shares/{camera}"] if any(":scalars" in name for name in row)]
        assert values(shares[0], "scalars")[0] == 100.0
    assert view(drive, "--topics", REAR, "--save", tmp_path / "rear.rrd") == 0
    assert (seen(tmp_path / "rear.rrd", "front"), seen(tmp_path / "rear.rrd", "rear")) == (0, FRAMES)


def test_pictures(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for index in range(3):
        cv2.imwrite(str(tmp_path / "photos" / f"{index}.png"), picture(index))
    assert view(tmp_path / "photos", "--save", tmp_path / "photos.rrd") == 0
    labels = rows(tmp_path / "photos.rrd")["/scene/pictures/labels"]
    assert sorted(row["stamp"] for row in labels) == [0, 1, 2]


@pytest.mark.parametrize("inside", ["", "drive"])
def test_what_label_made_of_a_bag(drive: Path, tmp_path: Path, inside: str) -> None:
    assert command_line.main(["label", str(drive), "--output", str(tmp_path / "labels"), "--quiet"]) == 0
    assert view(tmp_path / "labels" / inside, "--save", tmp_path / "drive.rrd") == 0
    found = rows(tmp_path / "drive.rrd")
    assert len(found["/scene/rear/picture"]) == len(found["/scene/rear/labels"]) == FRAMES
    named = values(found["/"][0], "context")[0]
    assert {each["class_description"]["info"]["label"] for each in named} == {*CAMVID.names, "unlabelled"}


def test_what_label_made_of_pictures(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "street.png"), picture(0))
    labels = tmp_path / "labels"
    assert command_line.main(["label", str(tmp_path / "street.png"), "--output", str(labels), "--quiet"]) == 0
    assert view(labels, "--save", tmp_path / "street.rrd") == 0
    assert seen(tmp_path / "street.rrd", "pictures") == 1


def test_an_original_that_is_gone(drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["label", str(drive), "--output", str(tmp_path / "labels"), "--quiet"]) == 0
    shutil.rmtree(drive)
    assert view(tmp_path / "labels", "--save", tmp_path / "drive.rrd") == 2
    assert f"the original {drive} is gone" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.rrd*"))


def test_several_drives_are_named(drive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(drive, tmp_path / "drives" / "one")
    shutil.copytree(drive, tmp_path / "drives" / "two")
    assert view(tmp_path / "drives", "--save", tmp_path / "drive.rrd") == 2
    assert "holds one, two: name one of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nothing.mcap", "no such input: nothing.mcap"),
        ("/dev/video987", "no camera /dev/video987: there are "),
        ("987", "no camera /dev/video987: there are "),
        ("/dev/null", "/dev/null is no camera"),
        (__file__, "not a bag"),
    ],
)
def test_what_is_no_input_is_one_line(given: str, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert view(given, "--save", "drive.rrd") == 2
    error = capfd.readouterr().err
    assert words in error and error.count("\n") == 1


def test_a_bag_without_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with BagWriter(tmp_path / "drive") as bag:
        bag.write_camera_info("/camera/front/camera_info", START, "cam", 64, 48)
    assert view(tmp_path / "drive", "--save", tmp_path / "drive.rrd") == 2
    assert "no camera in it" in capsys.readouterr().err
