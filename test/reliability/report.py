"""What the checks found: kept as JSON by check, and shown as a page that is written from that alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from squeeze_segnet_ros.errors import ConfigError

COMMAND = "python3 -m squeeze_segnet_ros reliability"


@dataclass(frozen=True)
class Row:
    """One requirement.

    ``did`` says what was done, ``required`` what had to come out, ``measured`` what came out, in words with
    units; ``figures`` holds the same as numbers, for those who read the JSON.
    """

    did: str
    required: str
    measured: str
    passed: bool
    figures: dict[str, float] = field(default_factory=dict)


class Check(NamedTuple):
    """A group of requirements that are measured together.

    ``run`` gives the rows as they are found; its argument asks for the short form, a rehearsal. It ends what
    it has started, also when it is closed or an exception comes.
    """

    name: str
    title: str
    about: str
    run: Callable[[bool], Generator[Row]]


def save(folder: Path, check: Check, rows: Sequence[Row], machine: str, short: bool) -> None:
    """Keep the rows of a check, in place of those that it had.

    Raises:
        ConfigError: it cannot be written.
    """
    result = {
        "check": check.name,
        "title": check.title,
        "command": " ".join([COMMAND, check.name, *(["--short"] if short else [])]),
        "machine": machine,
        "rows": [asdict(row) for row in rows],
    }
    _write(_path(folder, check), json.dumps(result, indent=2) + "\n")


def prepare(folder: Path, checks: Sequence[Check], document: Path) -> None:
    """Make the folders and read what is kept, so that nothing is measured in vain.

    Raises:
        ConfigError: a folder cannot be made, or a file that is kept is damaged.
    """
    for path in (folder, document.parent):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written to: {error.strerror}") from None
    _kept(folder, checks)


def write_page(folder: Path, checks: Sequence[Check], document: Path) -> None:
    """Write the page from all that is kept of these checks, in their order.

    Raises:
        ConfigError: a file that is kept is damaged, or the page cannot be written.
    """
    _write(document, page(_kept(folder, checks)))


def page(results: Sequence[dict[str, Any]]) -> str:
    """Return the page of these results, as they are kept in JSON."""
    rows = [row for result in results for row in result["rows"]]
    met = sum(row["passed"] for row in rows)
    lines = [
        "# Reliability",
        "",
        "What the node does under load, faults and bad input. The command above each table ran the real node",
        f"and wrote every row; `{COMMAND}` runs all of them.",
        f"{met} of {len(rows)} requirements are met.",
    ]
    for result in results:
        lines += [
            "",
            f"## {result['title']}",
            "",
            f"`{result['command']}`, on {result['machine']}",
            "",
            "| what was done | required | measured | met |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {_cell(row['did'])} | {_cell(row['required'])} | {_cell(row['measured'])} | "
            f"{'yes' if row['passed'] else '**no**'} |"
            for row in result["rows"]
        ]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Return this computer in words."""
    from benchmark.networks import cpu_name  # imports PyTorch

    cores = len(os.sched_getaffinity(0))
    return f"{cpu_name()}, {cores} core{'s' if cores > 1 else ''}"


def _path(folder: Path, check: Check) -> Path:
    return folder / f"{check.name}.json"


def _kept(folder: Path, checks: Sequence[Check]) -> list[dict[str, Any]]:
    return [_load(path) for check in checks if (path := _path(folder, check)).exists()]


def _load(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text())
        page([result])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged ({error!r}): run its check again") from None
    return result


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
