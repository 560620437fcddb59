"""Rewrite the tables of the documentation that repeat the code or a measurement: ``python docs/tables.py``.

Each stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; a test says when one is out of date.
"""

from __future__ import annotations

import argparse
import json
import re
import runpy
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; bars, and angle brackets outside of code, are escaped."""
    lines = [header, ["---"] * len(header), *(map(_escaped, row) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def topics() -> str:
    """Return the outputs of a camera."""
    from squeeze_segnet_ros.topics import OUTPUTS

    rows = (
        (
            f"`<base>/segmentation/{output.name}`",
            output.type.replace("/msg/", "/") + (", latched" if output.latched else ""),
            output.what,
        )
        for output in OUTPUTS
    )
    return markdown(("topic", "type", "what"), rows)


def parameters() -> str:
    """Return the parameters of the node."""
    from squeeze_segnet_ros.ros.config import settings

    rows = []
    for setting in settings():
        default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        meaning = setting.description
        if setting.choices:
            meaning += f" One of: {', '.join(setting.choices)}."
        if setting.limits:
            meaning += f" From {setting.limits[0]} to {setting.limits[1]}."
        rows.append((f"`{setting.name}`", f"`{json.dumps(default)}`", meaning, setting.change.value))
    return markdown(("parameter", "default", "meaning", "may be set"), rows)


def launch_arguments() -> str:
    """Return the arguments of the launch file."""
    description = runpy.run_path(str(ROOT / "launch" / "segnet.launch.py"))["generate_launch_description"]()
    rows = []
    for argument in description.get_launch_arguments():
        default = "".join(part.describe().strip("'\"") for part in argument.default_value)
        default = "config/segnet.yaml of the package" if "FindPackageShare" in default else default
        choices = [choice for choice in argument.choices or () if choice]
        # Launch puts its own list of the choices behind the description.
        meaning = re.split(r" One of: \[| Valid choices are: ", argument.description)[0]
        meaning += f" One of: {', '.join(choices)}." if choices else ""
        rows.append((f"`{argument.name}`", f"`{default}`" if default else "", meaning))
    return markdown(("argument", "default", "meaning"), rows)


def commands() -> str:
    """Return each command with its options."""
    from squeeze_segnet_ros.__main__ import COMMANDS, parser_for

    text = ""
    for name, command in COMMANDS.items():
        needs = [f'`pip install "squeeze_segnet_ros[{command.extra}]"`'] if command.extra else []
        needs += ["a clone of the repository"] if command.folder else []
        need = f" Needs {' and '.join(needs)}." if needs else ""
        text += f"\n## {name}\n\n{command.help[0].upper()}{command.help[1:]}.{need}\n"
        for path, parser in _with_children(parser_for(name), name):
            rows = [_option(parser, action) for action in parser._actions if _is_shown(action)]
            if rows:
                text += f"\n`python -m squeeze_segnet_ros {path}`\n\n" + markdown(("option", "meaning"), rows)
    return text.lstrip("\n")


def networks() -> str:
    """Return what was measured of the networks on two cores."""
    folder = ROOT / "docs" / "benchmarks" / "amd_epyc_zen5_2_cores"
    lines = (folder / "networks.md").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("|"))


def accuracy() -> str:
    """Return the scores of the released weights on CamVid's test split, beside the paper's Table 1."""
    reports = [
        json.loads(path.read_text()) for path in (ROOT / "docs" / "evaluation").glob("*_test/scores.json")
    ]
    keys = ("class_average_accuracy", "mean_iou", "global_accuracy", "boundary_f1")
    reports.sort(key=lambda report: -float(report["mean_iou"]))
    rows = [
        (
            f"[{report['model']}](../evaluation/{report['model']}_test/scores.md)",
            *(f"{report[key]:.3f}" for key in keys),
        )
        for report in reports
    ]
    papers = {"Squeeze-SegNet": "0.667", "SegNet": "0.65", "ENet": "0.68"}
    rows += [(f"{name}, 1711.05491 Table 1", score, "", "", "") for name, score in papers.items()]
    return markdown(("", "class average accuracy", "mean IoU", "global accuracy", "boundary F1"), rows)


TABLES: dict[str, Callable[[], str]] = {
    each.__name__: each for each in (topics, parameters, launch_arguments, commands, networks, accuracy)
}


def updated(text: str) -> str:
    """Return a page with its tables as the code has them now."""
    return _MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[3]}", text)


def pages() -> list[Path]:
    """Return every page with such a table."""
    return [page for page in sorted((ROOT / "docs").rglob("*.md")) if _MARKED.search(page.read_text())]


def _escaped(cell: str) -> str:
    parts = cell.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def _with_children(
    parser: argparse.ArgumentParser, path: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from _with_children(child, f"{path} {name}")


def _is_shown(action: argparse.Action) -> bool:
    return not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    metavar = " ".join(action.metavar) if isinstance(action.metavar, tuple) else action.metavar
    values: Any = metavar or (action.dest.upper() if action.option_strings else action.dest)
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    if action.choices and not action.metavar:
        values = "{" + ",".join(map(str, action.choices)) + "}"
    if action.nargs == 0:
        return names, parser._get_formatter()._expand_help(action) if action.help else ""
    shown = f"{names} `{values}`" if names else f"`{values}`"
    return shown, parser._get_formatter()._expand_help(action) if action.help else ""


def main() -> None:
    """Rewrite every page."""
    for page in pages():
        page.write_text(updated(page.read_text()))


if __name__ == "__main__":
    main()
