"""The files around the code agree with each other: version, changelog, pins."""

import re
from pathlib import Path

import pytest
import yaml

import squeeze_segnet_ros

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.filterwarnings("ignore:nodes.Node.traverse:DeprecationWarning")  # catkin_pkg's
def test_the_newest_section_of_the_changelog_is_this_version():
    changelog = pytest.importorskip("catkin_pkg.changelog", reason="needs catkin_pkg, bloom's reader")
    sections = changelog.get_changelog_from_path(str(ROOT)).foreach_version()
    versions = [version for version, _, _ in sections]
    newest = max(versions, key=lambda version: tuple(map(int, version.split("."))))
    assert newest == squeeze_segnet_ros.__version__
    text = (ROOT / "CHANGELOG.rst").read_text()
    assert re.findall(r"^(\d+\.\d+\.\d+) \(", text, re.MULTILINE)[0] == newest


def test_the_citation_has_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == squeeze_segnet_ros.__version__
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format demands


def test_tools_have_one_version():
    pins = {}
    for path in (ROOT / "underlay" / "requirements").rglob("*.txt"):
        pins |= dict(re.findall(r"^([a-z-]+)==([^ ;\n]+)", path.read_text(), re.MULTILINE))
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    used = [dependency.split("==") for hook in hooks for dependency in hook["additional_dependencies"]]
    assert ["ruff", pins["ruff"]] in used
    for name, version in used:
        assert pins.get(name, version) == version


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("requirements.txt")))
def test_what_the_docs_need_is_pinned(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
