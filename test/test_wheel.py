"""What ``pip install .`` leaves: the wheel holds what the package reads at run time, and finds it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    "squeeze_segnet_ros",
    "config",
    "msg",
    "setup.py",
    "pyproject.toml",
    "package.xml",
    "README.md",
    "LICENSE",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Install a wheel of a copy of the sources into a folder of its own."""
    pytest.importorskip("setuptools", "77", reason="the build needs setuptools 77")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, source)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--target", target, source], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


def test_every_configuration_is_in_the_wheel(installed):
    ours = {path.relative_to(ROOT / "config") for path in (ROOT / "config").rglob("*.*")}
    there = {path.relative_to(installed / "squeeze_segnet_ros" / "config") for path in
             (installed / "squeeze_segnet_ros" / "config").rglob("*.*")}  # fmt: skip
    assert {path for path in there if path.suffix != ".pyc"} == ours


def test_an_installed_package_finds_its_files(installed, tmp_path):
    code = """
import squeeze_segnet_ros
from squeeze_segnet_ros.classes import label_set, names
from squeeze_segnet_ros.data import dataset
from squeeze_segnet_ros.shipped import shipped
print(squeeze_segnet_ros.__file__)
print(len(names()), len(label_set("ade20k")), "cityscapes" in dataset.names())
print(shipped("weights", "enet.safetensors").is_file(), shipped("config", "segnet.yaml").is_file())
"""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    where, *found = done.stdout.splitlines()
    assert Path(where).is_relative_to(installed)
    assert found == ["8 150 True", "True True"]
