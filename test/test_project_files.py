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


def test_the_minimum_that_is_tried_is_the_one_that_is_claimed():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 has it")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    claimed = [
        *project["dependencies"],
        *extras["plot"],
        *extras["train"],
        *extras["bags"],
        *extras["films"],
        *extras["dev"],
    ]
    least = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(claimed), re.MULTILINE))
    tried = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / ".github/minimum.txt").read_text(), re.MULTILINE))
    assert tried.keys() == least.keys() - {
        "mypy",
        "ruff",
        "pytest-xdist",
    }  # what checks the code is not run there
    for name, version in tried.items():
        assert re.fullmatch(re.escape(least[name]) + r"(\.0)*(\.66)?", version), name


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name
)
def test_a_workflow_runs_what_there_is(path):
    workflow = yaml.safe_load(path.read_text())
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for job in workflow["jobs"].values():
        assert {"runs-on", "steps"} <= job.keys()
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            command = step.get("run", "")
            assert set(re.findall(r"\bmake (\w+)", command)) <= set(targets)
            for file in re.findall(r"-r (\S+)", command):
                assert (ROOT / file).exists()
        distributions = job.get("strategy", {}).get("matrix", {}).get("distribution", [])
        if "container" not in job:
            wheels = {
                folder.name for folder in (ROOT / "underlay" / "requirements").iterdir() if folder.is_dir()
            }
            assert set(distributions) <= wheels
    for ignored in re.findall(r"--ignore=(\S+)", path.read_text()):
        assert (ROOT / ignored).is_dir()
