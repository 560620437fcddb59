"""The Python part alone: `pip install .`. What it is stands in pyproject.toml, the version in package.xml."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

here = Path(__file__).parent
config = [
    "config",
    *(f"config.{folder.name}" for folder in sorted((here / "config").iterdir()) if folder.is_dir()),
]
setup(
    version=ElementTree.parse(here / "package.xml").findtext("version"),
    # The configurations lie at the top of the repository, and installed within the package.
    packages=[
        *find_packages(here, include=["squeeze_segnet_ros*"]),
        *(f"squeeze_segnet_ros.{name}" for name in config),
        "squeeze_segnet_ros.msg_definitions",
    ],
    package_dir={"squeeze_segnet_ros.config": "config", "squeeze_segnet_ros.msg_definitions": "msg"},
)
