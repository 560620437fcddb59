"""The command `ros2`, run as a user runs it. It may be the original or our stand-in."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0
"""An order of magnitude more than anything here takes."""


def ros2() -> str:
    """Return the path of the command."""
    path = shutil.which("ros2") or shutil.which("ros2", path=str(Path(sys.executable).parent))
    if path is None:
        pytest.skip("there is no command ros2: source install/setup.bash")
    return path


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Return the first true value of ``condition``."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return value


def is_running(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Command:
    """A running command, whose output comes in ``output``."""

    def __init__(self, *arguments: str | Path, **options: Any) -> None:
        self.output = ""
        self.process = subprocess.Popen(
            [ros2(), *map(str, arguments)],
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.STDOUT,
            **options,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        if self.process.stdout is not None:
            with self.process.stdout as stream:
                for line in stream:
                    self.output += line.decode(errors="backslashreplace")

    def wait_for_line(self, text: str) -> str:
        """Return the first line with the text in it."""

        def find() -> str:
            return next((line for line in self.output.splitlines() if text in line), "")

        try:
            return wait_for(find, f"'{text}' in the output")
        except AssertionError:
            pytest.fail(f"no '{text}' in:\n{self.output}", pytrace=False)

    def interrupt(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join()
        return code


@contextmanager
def running(*arguments: str | Path, **options: Any) -> Iterator[Command]:
    """Yield a command that is ended at the end, whatever happens."""
    command = Command(*arguments, **options)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.terminate()
            try:
                command.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                command.process.kill()
        command.wait()


def run(*arguments: str | Path, **options: Any) -> Command:
    """Run a command to its end; its exit code is ``process.returncode``."""
    with running(*arguments, **options) as command:
        command.wait()
    return command


def launch_file(folder: Path, entities: str, name: str = "some.launch.py") -> Path:
    """Write a launch file with these entities, which may use the short forms below."""
    path = folder / name
    path.write_text(
        textwrap.dedent(
            """\
            import os
            import sys

            from launch import *
            from launch.actions import *
            from launch.conditions import *
            from launch.event_handlers import *
            from launch.launch_description_sources import *
            from launch.substitutions import *
            from launch_ros.actions import *
            from launch_ros.parameter_descriptions import *

            HERE = os.path.dirname(os.path.abspath(__file__))


            def python(code, *arguments):
                return [sys.executable, "-u", "-c", code, *arguments]


            def say(*msg, **options):
                return LogInfo(msg=msg, **options)


            def value(name, **options):
                return LaunchConfiguration(name, **options)


            def process(name, code, *arguments, **options):
                return ExecuteProcess(cmd=python(code, *arguments), name=name, output="screen", **options)


            def generate_launch_description():
                return LaunchDescription([
            """
        )
        + textwrap.indent(textwrap.dedent(entities).strip(), " " * 8)
        + "\n    ])\n"
    )
    return path


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with changes."""
    return os.environ | changes
