"""The command `ros2`, run as a user runs it. It may be the original or our stand-in."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.processes import Running


def ros2(*arguments: str | Path, options: Mapping[str, Any] | None = None, **environment: str) -> Running:
    """Start the command with what :class:`Running` takes."""
    path = shutil.which("ros2") or shutil.which("ros2", path=str(Path(sys.executable).parent))
    if path is None:
        pytest.skip("there is no command ros2: source install/setup.bash")
    return Running([path, *arguments], None, options, **environment)


def run(*arguments: str | Path, options: Mapping[str, Any] | None = None, **environment: str) -> Running:
    """Run the command to its end."""
    with ros2(*arguments, options=options, **environment) as command:
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
