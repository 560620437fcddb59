"""Processes that tests start: what they print, how they end, and whether they leave others behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATIENCE = 90.0


class Running:
    """A process in a session of its own, with what it prints on both streams."""

    def __init__(self, command: Sequence[str], **environment: str) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env=os.environ | environment,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: Any) -> None:
        for pid in self.left_behind():
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, words: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not any(words in line for line in list(self.lines)):
            assert self._process.poll() is None, f"ended without '{words}':\n{self.text}"
            assert time.monotonic() < deadline, f"no '{words}' in:\n{self.text}"
            time.sleep(0.02)

    def send(self, number: signal.Signals, to_all: bool = False) -> None:
        """A signal for the process, or for its whole group as a terminal sends it."""
        (os.killpg if to_all else os.kill)(self._process.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.text}") from None
        self._reader.join(5.0)
        return code

    def left_behind(self) -> list[int]:
        """Processes of this session that are still there."""
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
