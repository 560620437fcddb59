"""A fleet of two workers on this machine: nothing is lost or doubled, whatever happens to a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.offline import storage
from squeeze_segnet_ros.offline.label import Options, Run, plan

pytest.importorskip("ray", reason="needs Ray: pip install 'squeeze_segnet_ros[fleet]'")
pytestmark = pytest.mark.slow

CAMERA, BASE = "/camera/front/image_raw", "/camera/front/segmentation"
START = 1_700_000_000 * 10**9
STEP = 10**8
FRAMES = 30


def write_bag(path: Path, seed: int, broken: int = -1) -> Path:
    with BagWriter(path) as bag:
        for index in range(FRAMES):
            image = np.random.default_rng((seed, index)).integers(0, 256, (48, 64, 3), np.uint8)
            image = cv2.GaussianBlur(image, (0, 0), 4)
            message = messages.raw_message(image, messages.make_header(START + index * STEP, "cam"))
            message.encoding = "rgb9" if index == broken else message.encoding
            bag.write(CAMERA, messages.IMAGE, START + index * STEP, messages.serialize(message))
    return path


def labels_of(bag: Path) -> list[tuple[int, bytes]]:
    with open_bag(bag) as reader:
        return [
            (m.timestamp_ns, messages.image_message(m.data, m.type).data.tobytes())
            for m in reader.messages([f"{BASE}/label/compressed"])
        ]


def workers_of(driver: int) -> list[int]:
    """Return the processes below the driver that label."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::label" in stat.read_bytes() and driver in ancestors(int(stat.parent.name)):
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def ancestors(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def start(inputs: list[str], output: str, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable, "-m", "squeeze_segnet_ros", "label", *inputs, "--output", output, "--ray", "local",
        "--workers", "2", "--device", "cpu", "--precision", "fp32", *more,
    ]  # fmt: skip
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drives")
    for number in range(3):
        write_bag(folder / f"drive_{number}", number, broken=17 if number == 2 else -1)
    (folder / "torn.mcap").write_bytes(b"\x89MCAP0\r\nnothing")
    return folder


@pytest.fixture(scope="module")
def alone(drives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what one process makes of the bags."""
    output = tmp_path_factory.mktemp("alone")
    options = Options(device="cpu", precision="fp32")
    Run(output, plan([drives / f"drive_{number}" for number in range(3)]), options).label(options.load())
    return output


def test_a_worker_that_is_killed_loses_and_doubles_nothing(drives: Path, alone: Path, tmp_path: Path) -> None:
    # Half a second a slice: six tasks for each bag, and a join.
    fleet = start([str(path) for path in sorted(drives.iterdir())], str(tmp_path / "out"), "--slice", "0.5")
    deadline = time.monotonic() + 240
    while not (workers := workers_of(fleet.pid)):
        assert fleet.poll() is None, fleet.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(workers[0], signal.SIGKILL)
    output, _ = fleet.communicate(timeout=300)
    assert fleet.returncode == 1, output
    assert "torn.mcap: truncated" in output or "torn.mcap: not an mcap" in output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["frames_in"], summary["frames_labelled"], summary["frames_refused"]) == (90, 89, 1)
    assert len(summary["failed"]) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "drive_0", "drive_1", "drive_2", "summary.json",
    ]  # fmt: skip
    for number in range(3):
        assert labels_of(tmp_path / "out" / f"drive_{number}") == labels_of(alone / f"drive_{number}")
        with open_bag(tmp_path / "out" / f"drive_{number}") as bag:
            assert bag.info[f"{BASE}/label_info"].count == 1
            stats: Any = [
                messages.typestore().deserialize_cdr(m.data, m.type) for m in bag.messages([f"{BASE}/stats"])
            ]
        counts = [(each.frames_labelled, each.dropped_invalid) for each in stats]
        assert counts == [(i + 1, int(number == 2 and i >= 17)) for i in range(len(counts))]


def test_bags_are_labelled_from_a_store_into_a_store_and_a_run_is_resumed(
    bucket: str, drives: Path, alone: Path, tmp_path: Path
) -> None:
    files = [f"drive_{n}/{name}" for n in (0, 1) for name in ("metadata.yaml", f"drive_{n}.mcap")]
    storage.store(drives, f"{bucket}/drives", files)
    # Two slices each: parts go through the store, and are joined from there.
    for _ in range(2):
        fleet = start([f"{bucket}/drives"], f"{bucket}/labels", "--slice", "2", "--resume")
        output, _ = fleet.communicate(timeout=300)
        assert fleet.returncode == 0, output
    assert "everything is labelled already" in output
    folder = storage.fetch(f"{bucket}/labels", tmp_path)
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert found == sorted([*files, "summary.json"])
    for number in (0, 1):
        assert labels_of(folder / f"drive_{number}") == labels_of(alone / f"drive_{number}")
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["frames_in"], summary["frames_labelled"], summary["failed"]) == (60, 60, [])


def test_no_cluster_is_one_line(drives: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "squeeze_segnet_ros", "label", str(drives), "--output", str(tmp_path / "out"),
        "--ray", "nowhere:1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2
    assert "no Ray cluster at 'nowhere:1'" in done.stderr.splitlines()[-1]
