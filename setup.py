"""The Python part alone: `pip install .`. What it is stands in pyproject.toml, the version in package.xml."""

from pathlib import Path
from xml.etree import ElementTree

from setuptools import setup

setup(version=ElementTree.parse(Path(__file__).with_name("package.xml")).findtext("version"))
