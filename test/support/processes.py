"""Processes that are started to be looked at: what they print, use and leave behind, and how they end."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from squeeze_segnet_ros.errors import SegmentationError

PATIENCE = 90.0
"""Seconds; an order of magnitude more than anything that is waited for takes."""


class TooLate(SegmentationError):
    """Something that was waited for did not happen; the text says what, and how long it was waited."""


class Usage(NamedTuple):
    """What a process holds now: bytes in RAM, threads, open file handles."""

    resident: int
    threads: int
    handles: int


_Running = TypeVar("_Running", bound="Running")


class Running:
    """A process in a session of its own, and what it prints on both streams. Leaving its context ends it.

    Args:
        command: the program and its arguments.
        log: a file that everything printed goes to as well.
        environment: variables that are set for it beside those of this process.

    Raises:
        FileNotFoundError: there is no such program.
    """

    def __init__(self, command: Sequence[str | Path], log: Path | None = None, /, **environment: str) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
            env=os.environ | environment,
        )
        self.lines: list[str] = []
        self._log = log
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self: _Running) -> _Running:
        return self

    def __exit__(self, *_: Any) -> None:
        # What it started may lead sessions of its own.
        for pid in {*descendants(self.pid), *self.left_behind()}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with nullcontext() if self._log is None else self._log.open("w") as log:
            for line in self._process.stdout:
                self.lines.append(line.rstrip("\n"))
                if log is not None:
                    log.write(line)
                    log.flush()

    @property
    def pid(self) -> int:
        """Its number, which is also that of its group and session."""
        return self._process.pid

    @property
    def text(self) -> str:
        """All that it has printed."""
        return "\n".join(self.lines)

    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return self._process.poll() is None

    def usage(self) -> Usage:
        """Return what it holds now.

        Raises:
            TooLate: it has ended.
        """
        return usage(self.pid)

    def wait_for_line(self, words: str, times: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until so many lines hold these words.

        Raises:
            TooLate: they do not come, or the process has ended.
        """
        deadline = time.monotonic() + seconds
        while sum(words in line for line in list(self.lines)) < times:
            if not self.is_running():
                raise TooLate(f"ended without '{words}':\n{self.text}")
            if time.monotonic() > deadline:
                raise TooLate(f"no '{words}' within {seconds:g} s in:\n{self.text}")
            time.sleep(0.02)

    def send(self, number: signal.Signals, to_all: bool = False) -> None:
        """Send a signal to the process, or to its whole group as a terminal does."""
        (os.killpg if to_all else os.kill)(self._process.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return the exit code.

        Raises:
            TooLate: it does not end.
        """
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TooLate(f"still running after {seconds:g} s:\n{self.text}") from None
        self._reader.join(5.0)
        return code

    def left_behind(self) -> list[int]:
        """Return processes of this session that are still there."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                facts = (folder / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            state, session = facts[0], int(facts[3])
            if session == self._process.pid and state != "Z":
                found.append(int(folder.name))
        return found


def descendants(pid: int) -> list[int]:
    """Return processes that were started by a process, and by those."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            parent = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        new = children.get(waiting.pop(), [])
        found += new
        waiting += new
    return found


def usage(pid: int) -> Usage:
    """Return what a process holds now.

    Raises:
        TooLate: it has ended.
    """
    folder = Path("/proc", str(pid))
    try:
        return Usage(
            int((folder / "statm").read_text().split()[1]) * resource.getpagesize(),
            len(list((folder / "task").iterdir())),
            len(list((folder / "fd").iterdir())),
        )
    except OSError:
        raise TooLate(f"process {pid} has ended") from None


def peak_resident(pid: int) -> int:
    """Return the most bytes that a process ever had in RAM.

    Raises:
        TooLate: it has ended.
    """
    try:
        lines = Path("/proc", str(pid), "status").read_text().splitlines()
    except OSError:
        raise TooLate(f"process {pid} has ended") from None
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
