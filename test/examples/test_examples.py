"""The examples run, and stay short."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from support.processes import Running

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_has_at_most_30_lines(example: Path) -> None:
    assert example.read_text().count("\n") <= 30


def test_every_example_is_tested_here() -> None:
    tested = set(re.findall(r'"(\w+\.py)"', Path(__file__).read_text()))
    assert {example.name for example in EXAMPLES} == tested


@pytest.mark.slow
def test_labels_a_photo(tmp_path: Path) -> None:
    photo, output = tmp_path / "photo.png", tmp_path / "labelled.png"
    cv2.imwrite(str(photo), np.full((64, 96, 3), 200, np.uint8))
    done = run("label_a_photo.py", photo, output)
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(output)).shape == (64, 96, 3)
    shares = [float(share) for share in re.findall(r"^\w+ +([\d.]+)%$", done.stdout, re.MULTILINE)]
    assert len(shares) == 11
    assert sum(shares) == pytest.approx(100, abs=1)


@pytest.mark.slow
def test_labels_a_frame_of_each_camera_of_a_bag() -> None:
    done = run("cameras_of_a_bag.py", ROOT / "rosbags" / "street_surround")
    assert done.returncode == 0, done.stderr
    cameras = re.findall(r"^/camera/(\w+)/\S+: 240x180, \d+% road$", done.stdout, re.MULTILINE)
    assert len(set(cameras)) == 6


@pytest.mark.slow
def test_labels_a_film(tmp_path: Path) -> None:
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for level in range(5):
        writer.write(np.full((64, 96, 3), 40 * level, np.uint8))
    writer.release()
    done = run("film.py", film)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 frames, ")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_a_notebook_runs_and_is_stored_without_what_came_of_it(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs matplotlib")
    pyplot.switch_backend("agg")
    monkeypatch.chdir(notebook.parent)
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    names: dict[str, Any] = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    assert names["result"].labels.shape == names["image"].shape[:2] == (360, 480)
    assert len(pyplot.get_fignums()) == 2
    pyplot.close("all")


@pytest.mark.graph
def test_tells_the_free_road() -> None:
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2")
    from sensor_msgs.msg import Image
    from vision_msgs.msg import LabelInfo, VisionClass

    from reliability.graph import LATCHED

    labels = Image(height=30, width=30, step=30, encoding="mono8", data=bytes([3]) * 900)
    rclpy.init()
    try:
        node = rclpy.create_node("some_labels")
        info = node.create_publisher(LabelInfo, "/camera/front/segmentation/label_info", LATCHED)
        info.publish(LabelInfo(class_map=[VisionClass(class_id=3, class_name="road")]))
        label = node.create_publisher(Image, "/camera/front/segmentation/label", 1)
        with Running([sys.executable, str(ROOT / "examples" / "free_road.py")]) as example:
            deadline = time.monotonic() + 60
            while "100% road ahead" not in example.text and time.monotonic() < deadline:
                label.publish(labels)
                time.sleep(0.1)
            assert "100% road ahead" in example.text
    finally:
        rclpy.shutdown()
