"""The documentation says what the code does, and the README is one page with the whole tree."""

import re
import runpy
from pathlib import Path

import pytest

from squeeze_segnet_ros import models
from squeeze_segnet_ros.__main__ import COMMANDS, parser_for

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
tables = runpy.run_path(str(ROOT / "docs" / "tables.py"))


@pytest.mark.parametrize("page", tables["pages"](), ids=lambda page: page.stem)
def test_its_tables_are_those_of_the_code(page):
    text = page.read_text()
    if page.stem in ("commands", "launch_arguments"):
        pytest.importorskip("rclpy", reason="the launch file and the command reliability need ROS 2")
    assert text == tables["updated"](text), "out of date: python docs/tables.py"


def test_every_table_is_on_a_page():
    text = "".join(page.read_text() for page in tables["pages"]())
    assert set(re.findall(r"<!-- table: (\w+) -->", text)) == set(tables["TABLES"])


def test_a_table_that_the_code_has_changed_is_out_of_date():
    page = ROOT / "docs" / "reference" / "parameters.md"
    text = page.read_text().replace("| `max_age` | `0.0` |", "| `max_age` | `0.5` |")
    assert tables["updated"](text) == page.read_text() != text


@pytest.mark.parametrize("name", models.names())
def test_every_network_has_its_row(name):
    rows = (ROOT / "docs" / "reference" / "networks.md").read_text().splitlines()
    assert sum(row.startswith(f"| `{name}` |") for row in rows) == 2  # its source, its figures


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_linked_exists(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def _options(parser):
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for child in action.choices.values():
                yield from _options(child)
        else:
            yield action


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_says_what_it_does(name):
    if name == "reliability":
        pytest.importorskip("rclpy", reason="it needs ROS 2")
    silent = [action.dest for action in _options(parser_for(name)) if not action.help]
    assert not silent


def test_the_readme_is_one_page():
    assert len((ROOT / "README.md").read_text().split()) <= 900


def _tree():
    """Return the paths of the README's tree, folders with a slash at the end."""
    block = (ROOT / "README.md").read_text().split("## The tree")[1].split("```")[1]
    paths, parents = [], []
    for line in block.strip("\n").splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        paths.append("".join(parents))
    return paths


def test_the_tree_names_what_there_is():
    missing = [path for path in _tree() if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("folder", [".", "squeeze_segnet_ros", "config"])
def test_the_tree_names_all_there_is(folder):
    made_by_make = {"build", "install", "log", "runs"}
    there = {
        f"{path.relative_to(ROOT)}/" if path.is_dir() else str(path.relative_to(ROOT))
        for path in (ROOT / folder).iterdir()
        if path.name[0] not in "._"
        and path.name not in made_by_make
        and (path.is_dir() or (folder == "squeeze_segnet_ros" and path.suffix == ".py"))
        and not path.name.endswith(".egg-info")
    }
    assert there <= set(_tree())
