"""The command line as a whole: its version, its help, what it says when a library is missing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import squeeze_segnet_ros
from squeeze_segnet_ros.__main__ import main

_HELP_OF_ALL = """
import contextlib, sys
from squeeze_segnet_ros.__main__ import COMMANDS, main
for command in COMMANDS:
    with contextlib.suppress(SystemExit):
        main([command, "--help"])
print("torch" in sys.modules, file=sys.stderr)
"""


def test_the_version_is_that_of_the_package(capsys, request):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    package = Path(request.config.rootpath, "package.xml").read_text()
    version = re.search(r"<version>(.*)</version>", package)[1]
    assert capsys.readouterr().out == f"squeeze_segnet_ros {version}\n"
    assert squeeze_segnet_ros.__version__ == version


def test_no_command_imports_pytorch_to_tell_its_help():
    pytest.importorskip("rclpy", reason="the command reliability needs ROS 2")
    done = subprocess.run(
        [sys.executable, "-c", _HELP_OF_ALL], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.count("usage: ") > 8
    assert done.stderr == "False\n"


def test_a_command_whose_libraries_are_missing_names_the_extra():
    code = "import sys; sys.modules['rosbags'] = None; from squeeze_segnet_ros.__main__ import main; "
    code += "sys.exit(main(['bag', 'info', 'x']))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "squeeze_segnet_ros[bags]" in done.stderr
    assert done.stderr.count("\n") == 1
