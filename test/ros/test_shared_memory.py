"""Shared memory of Fast DDS: what killed processes have left is freed, and nothing else."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from squeeze_segnet_ros.ros import fastdds, shared_memory
from squeeze_segnet_ros.ros.shared_memory import LITTLE, Freed, Room, free_dead_segments
from support.processes import Running

SEGMENT = "fastdds_0123456789abcdef"
OLD = time.time() - 3600
NODE = [sys.executable, "-m", "squeeze_segnet_ros.ros.segnet_node"]
SAYS_THAT_IT_IS_UP = ["--ros-args", "-p", "autostart:=false", "-p", "bogus:=1"]
PROFILE = {fastdds.VARIABLES[0]: "/ws/share/squeeze_segnet_ros/config/fastdds.xml"}


def segment(folder: Path, name: str = SEGMENT, age: float = OLD) -> list[Path]:
    """Write a segment and its lock."""
    files = [folder / name, folder / f"{name}_el"]
    files[0].write_bytes(bytes(8192))
    files[1].touch()
    os.utime(files[1], (age, age))
    return files


def exist(files: list[Path]) -> list[bool]:
    return [file.exists() for file in files]


@pytest.mark.parametrize("name", [SEGMENT, "fastrtps_0123456789abcdef"])
def test_a_segment_without_owner_is_freed(tmp_path: Path, name: str) -> None:
    files = segment(tmp_path, name)
    assert free_dead_segments(tmp_path) == Freed(1, 8192)
    assert exist(files) == [False, False]
    assert free_dead_segments(tmp_path) == Freed(0, 0)


def test_a_lock_without_segment_goes_too(tmp_path: Path) -> None:
    files = segment(tmp_path)
    files[0].unlink()
    free_dead_segments(tmp_path)
    assert exist(files) == [False, False]


def test_one_in_use_stays(tmp_path: Path) -> None:
    files = segment(tmp_path)
    with files[1].open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert free_dead_segments(tmp_path) == Freed(0, 0)
    assert exist(files) == [True, True]


def test_one_that_is_just_being_made_stays(tmp_path: Path) -> None:
    files = segment(tmp_path, age=time.time() - 1)
    free_dead_segments(tmp_path)
    assert exist(files) == [True, True]


def test_another_users_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = segment(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    free_dead_segments(tmp_path)
    assert exist(files) == [True, True]


@pytest.mark.parametrize(
    "name", ["fastdds_port7411", "fastdds_0123", "other_0123456789abcdef", "fastdds_mine"]
)
def test_what_is_no_segment_stays(tmp_path: Path, name: str) -> None:
    files = segment(tmp_path, name)
    free_dead_segments(tmp_path)
    assert exist(files) == [True, True]


def test_a_link_leads_nowhere(tmp_path: Path) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    files = segment(elsewhere, "important")
    (shared := tmp_path / "shm").mkdir()
    (shared / SEGMENT).symlink_to(files[0])
    (shared / f"{SEGMENT}_el").symlink_to(files[1])
    free_dead_segments(shared)
    assert exist(files) == [True, True]


class Watched(Room):
    """Room in a folder in which so much is free; ``lines`` are what is logged."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, environment: Any = PROFILE) -> None:
        self.free = self.now = 0
        self.lines: list[str] = []
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=self.free, f_frsize=1))
        logger = SimpleNamespace(info=self.lines.append, warning=self.lines.append)
        node: Any = SimpleNamespace(get_logger=lambda: logger)
        super().__init__(node, folder, environment, lambda: self.now)

    def later(self, free: int) -> str:
        self.free, self.now = free, self.now + 60
        return self.caution()


def test_little_room_is_told_once_and_for_as_long_as_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Watched(tmp_path, monkeypatch)
    assert room.later(LITTLE) == ""
    assert f"only 40 MiB of {tmp_path} are free, and each process of a graph takes 64" in room.later(40 << 20)
    assert "only 20 MiB" in room.later(20 << 20)
    assert len(room.lines) == 1
    assert room.later(LITTLE) == ""
    room.later(0)
    assert len(room.lines) == 2


def test_where_little_is_left_dead_segments_are_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = segment(tmp_path)
    room = Watched(tmp_path, monkeypatch)
    room.later(LITTLE)
    assert exist(files) == [True, True]
    room.later(0)
    assert exist(files) == [False, False]
    assert room.lines[0].startswith("freed 0 MiB of /dev/shm: 1 segment(s)")


def test_without_our_profile_the_room_is_none_of_our_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Watched(tmp_path, monkeypatch, {fastdds.VARIABLES[0]: "/mine.xml"}).later(0) == ""


def locks_of(process: Running) -> list[Path]:
    """Return the locks of the segments that a process has."""
    links = [link for link in Path(f"/proc/{process.pid}/fd").iterdir() if link.is_symlink()]
    locks = [name for link in links if shared_memory._NAME.fullmatch((name := link.readlink()).name)]
    if not locks:
        pytest.skip("no shared memory of Fast DDS in use here: another middleware, or other transports")
    return locks


@pytest.mark.graph
def test_a_node_frees_what_a_killed_process_has_left() -> None:
    sleeper = "import rclpy, time; rclpy.init(); node = rclpy.create_node('sleeper'); print('up', flush=True)"
    with Running([sys.executable, "-c", f"{sleeper}; time.sleep(600)"]) as process:
        process.wait_for_line("up")
        locks = locks_of(process)
        for lock in locks:
            os.utime(lock, (OLD, OLD))
        free_dead_segments()
        assert all(exist(locks))
        process.send(signal.SIGKILL)
        process.wait()
    with Running([*NODE, *SAYS_THAT_IT_IS_UP]) as node:
        node.wait_for_line("unknown parameter 'bogus'")
        assert not any(exist(locks))
        node.send(signal.SIGINT)
        assert node.wait() == 0


LOADS_FOR_EVER = """
import sys, time
from squeeze_segnet_ros.ros import loading, segnet_node
loading.load_network = lambda config: print("loading", flush=True) or time.sleep(600)
sys.exit(segnet_node.main(sys.argv[1:]))
"""


@pytest.mark.graph
@pytest.mark.parametrize(
    ("command", "line"),
    [
        ([*NODE, *SAYS_THAT_IT_IS_UP], "unknown parameter 'bogus'"),
        ([sys.executable, "-c", LOADS_FOR_EVER], "loading"),
        ([sys.executable, "-m", "squeeze_segnet_ros.ros.lifecycle_client", "/nobody", "wait"], "waiting"),
    ],
    ids=["node", "node that loads its network", "client"],
)
def test_nothing_is_left_of_what_was_interrupted(command: list[str], line: str) -> None:
    with Running(command) as process:
        process.wait_for_line(line)
        locks = locks_of(process)
        process.send(signal.SIGINT)
        assert process.wait() == 0, process.text
    segments = [lock.with_name(lock.name.removesuffix("_el")) for lock in locks]
    assert not any(exist([*locks, *segments]))
