"""Processes that are started to be looked at: what they print, use and leave behind, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from squeeze_segnet_ros.errors import SegmentationError
from squeeze_segnet_ros.memory import resident_bytes

PATIENCE = 90.0
"""Seconds; an order of magnitude more than anything that is waited for takes."""
_LAST_WORDS = 5.0
"""Seconds in which what a process printed last is read, where a child that is left does not hold its pipe."""


class TooLate(SegmentationError):
    """Something that was waited for did not happen; the text says what, and how long it was waited."""


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Return the first true value of ``condition``.

    Raises:
        TooLate: it stayed false.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TooLate(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)
    return value


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
        options: of :class:`subprocess.Popen` that are to be others than ours.
        environment: variables that are set for it beside those of this process.

    Raises:
        FileNotFoundError: there is no such program.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path | None = None,
        options: Mapping[str, Any] | None = None,
        /,
        **environment: str,
    ) -> None:
        ours = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [str(part) for part in command],
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            env=os.environ | environment,
            **ours | dict(options or {}),
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
        with nullcontext() if self._log is None else self._log.open("w") as log:
            for line in self._process.stdout or ():
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
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def code(self) -> int | None:
        """The exit code, None while it runs; negative is the signal that ended it."""
        return self._process.poll()

    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return self.code is None

    def usage(self) -> Usage:
        """Return what it holds now.

        Raises:
            TooLate: it has ended.
        """
        return usage(self.pid)

    def wait_for_line(self, words: str, times: int = 1, seconds: float = PATIENCE) -> str:
        """Wait until so many lines hold these words; return the last of them.

        Raises:
            TooLate: they do not come, or the process has ended.
        """
        deadline = time.monotonic() + seconds
        while True:
            running = self.is_running()
            if not running:
                self._reader.join(_LAST_WORDS)
            found = [line for line in list(self.lines) if words in line]
            if len(found) >= times:
                return found[times - 1]
            if not running:
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
        self._reader.join(_LAST_WORDS)
        return code

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = PATIENCE) -> int:
        """Send a signal and return the exit code.

        Raises:
            TooLate: it does not end.
        """
        self.send(number)
        return self.wait(seconds)

    def left_behind(self) -> list[int]:
        """Return processes of this session that are still there."""
        return [each.pid for each in _processes() if each.session == self.pid and each.state != _ZOMBIE]


class _Process(NamedTuple):
    """What ``/proc/<pid>/stat`` says (man 5 proc)."""

    pid: int
    state: str
    parent: int
    session: int


_ZOMBIE = "Z"


def _processes() -> Iterator[_Process]:
    """Yield every process there is."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name before it may hold anything.
            state, parent, _, session, *_ = file.read_text().rpartition(") ")[2].split()
            yield _Process(int(file.parent.name), state, int(parent), int(session))


def exists(pid: int) -> bool:
    """Return whether there is such a process, and it has not ended."""
    return any(each.pid == pid and each.state != _ZOMBIE for each in _processes())


def descendants(pid: int) -> list[int]:
    """Return processes that were started by a process, and by those."""
    children: dict[int, list[int]] = {}
    for each in _processes():
        children.setdefault(each.parent, []).append(each.pid)
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
            resident_bytes(pid),
            len(list((folder / "task").iterdir())),
            len(list((folder / "fd").iterdir())),
        )
    except OSError:
        raise TooLate(f"process {pid} has ended") from None
