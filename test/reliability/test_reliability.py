"""The reliability command: its checks in their short forms, and what it keeps and shows of them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("squeeze_segnet_ros.msg", reason="needs the messages: run `make setup`")

from reliability import bad_frames, faults
from reliability.command import CHECKS, add_arguments, run
from reliability.report import Check, Row
from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.errors import ConfigError
from support.processes import PATIENCE, Running, TooLate

Rows = Generator[Row]


def check(name: str, *rows: Row, after: Callable[[], None] = lambda: None) -> Check:
    """Yield rows that are known."""

    def run(short: bool) -> Rows:
        yield from rows
        after()

    return Check(name, f"Title of {name}", f"about {name}", run)


GOOD = Row("a thing was done", "at least 3 | 4", "5 of 5", True, {"count": 5})
BAD = Row("another was done", "less than 3", "7", False)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command with these checks and arguments, its results in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def command(checks: list[Check], *arguments: str) -> int:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        return run(parser.parse_args(arguments), checks)

    yield command
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_page_and_json_of_every_check(command: Callable[..., int], tmp_path: Path) -> None:
    assert command([check("one", GOOD), check("two", GOOD, GOOD)]) == 0
    page = (tmp_path / "docs/reliability.md").read_text()
    assert "3 of 3 requirements are met" in page
    assert page.index("## Title of one") < page.index("## Title of two")
    assert r"| a thing was done | at least 3 \| 4 | 5 of 5 | yes |" in page
    assert "`python3 -m squeeze_segnet_ros reliability one`" in page
    kept = json.loads((tmp_path / "build/reliability/two.json").read_text())
    assert [row["figures"] for row in kept["rows"]] == [{"count": 5}] * 2
    assert kept["machine"]


def test_a_missed_requirement_is_exit_code_1_and_shown(command: Callable[..., int], tmp_path: Path) -> None:
    assert command([check("one", GOOD, BAD)]) == 1
    assert "| less than 3 | 7 | **no** |" in (tmp_path / "docs/reliability.md").read_text()


def test_a_check_that_is_not_run_again_keeps_its_rows(command: Callable[..., int], tmp_path: Path) -> None:
    assert command([check("one", BAD), check("two", BAD)]) == 1
    assert command([check("one", BAD), check("two", GOOD)], "two") == 0
    page = (tmp_path / "docs/reliability.md").read_text()
    assert "1 of 2 requirements are met" in page
    assert page.count("**no**") == 1


def test_a_rehearsal_leaves_the_page_alone(command: Callable[..., int], tmp_path: Path) -> None:
    assert command([check("one", GOOD)], "--short") == 0
    assert not (tmp_path / "docs").exists()
    assert "one --short`" in (tmp_path / "build/reliability_short/reliability.md").read_text()


def test_a_check_that_does_not_get_to_its_end_is_a_missed_requirement(
    command: Callable[..., int], tmp_path: Path
) -> None:
    def fail() -> None:
        raise TooLate("no label within 3 s")

    assert command([check("one", GOOD, after=fail), check("two", GOOD)]) == 1
    page = (tmp_path / "docs/reliability.md").read_text()
    assert "no label within 3 s | **no** |" in page
    assert "2 of 3 requirements are met" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["three"], "there is no check 'three': choose from one, two"),
        (["--output", "file/folder"], "file/folder cannot be written to: Not a directory"),
        (["--document", "file/page.md"], "file cannot be written to: File exists"),
        (["--output", "damaged"], "damaged/two.json is damaged"),
    ],
)
def test_bad_usage_is_one_line(
    command: Callable[..., int], tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/two.json").write_text('{"rows": [{}]}')
    with pytest.raises(ConfigError, match=words) as caught:
        command([check("one", GOOD), check("two", GOOD)], *arguments)
    assert "\n" not in str(caught.value)


def test_bad_usage_is_found_before_anything_is_measured(command: Callable[..., int], tmp_path: Path) -> None:
    def fail() -> None:
        raise AssertionError("it ran")

    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file/folder"):
        command([check("one", after=fail)], "--output", "file/folder")
    with pytest.raises(ConfigError, match="three"):
        command([check("one", after=fail)], "one", "three")


def test_help_tells_of_each_check(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["reliability", "--help"])
    assert caught.value.code == 0
    help = capsys.readouterr().out
    assert all(f"{each.name} " in help and each.about in help for each in CHECKS)


_SLEEPING = """
import argparse, time
from reliability.command import add_arguments, run
from reliability.report import Check
from support.processes import Running

def sleep(short):
    with Running(["sleep", "600"]) as sleeper:
        print("sleeper", sleeper.pid, flush=True)
        time.sleep(60)
        yield

parser = argparse.ArgumentParser()
add_arguments(parser)
raise SystemExit(run(parser.parse_args([]), [Check("one", "One", "it sleeps", sleep)]))
"""


def test_an_interrupted_run_leaves_nothing_behind(tmp_path: Path) -> None:
    # In a process of its own: a signal to this one would find whatever handler an earlier test has left.
    paths = os.pathsep.join(filter(None, sys.path))
    with Running([sys.executable, "-c", _SLEEPING], None, {"cwd": tmp_path}, PYTHONPATH=paths) as command:
        sleeper = int(command.wait_for_line("sleeper").split()[1])
        os.kill(command.pid, signal.SIGTERM)
        assert command.wait(PATIENCE) == 130
    assert not Path("/proc", str(sleeper)).exists()


@pytest.mark.graph
@pytest.mark.parametrize("real", [bad_frames.CHECK, faults.CHECK], ids=lambda real: real.name)
def test_the_node_meets_the_short_form_of(real: Check) -> None:
    rows = list(real.run(True))
    # How fast it is back, and what a frame costs, is measured on a computer that does nothing else.
    missed = [row for row in rows if not row.passed and not ({"seconds", "ratio"} & row.figures.keys())]
    assert rows
    assert not missed, missed
