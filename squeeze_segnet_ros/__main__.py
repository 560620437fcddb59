"""The command line: ``python -m squeeze_segnet_ros <command>``."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import NamedTuple

from squeeze_segnet_ros.errors import SegmentationError


class Command(NamedTuple):
    """A command: the module with its ``add_arguments`` and ``run``, what it does, the extra that it needs."""

    module: str
    help: str
    extra: str = ""


_COMMANDS = {
    "train": Command("training.train", "train a network on CamVid", "train"),
    "average": Command("training.average", "write the mean of several weights files of one network"),
    "evaluate": Command("training.evaluate", "score a weights file on CamVid", "train"),
    "benchmark": Command("benchmark", "compare networks in size, arithmetic, time and memory"),
    "export": Command("export", "write a network for other runtimes", "export"),
    "bag": Command("bags.command", "describe a bag, recover one, or make one from CamVid", "bags"),
    "render": Command("scenes.render", "render street scenes with exact labels", "scenes"),
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; bad input gives one line on standard error and the exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m squeeze_segnet_ros", description="Semantic segmentation."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    parsers = {name: commands.add_parser(name, help=command.help) for name, command in _COMMANDS.items()}
    # Only the command that was asked for is imported: each needs libraries that the others do without.
    asked = next((argument for argument in arguments if argument in _COMMANDS), None)
    if asked:
        try:
            module = importlib.import_module(f"squeeze_segnet_ros.{_COMMANDS[asked].module}")
        except ModuleNotFoundError as error:
            extra = _COMMANDS[asked].extra
            hint = f': pip install "squeeze_segnet_ros[{extra}]"' if extra else ""
            print(f"{parser.prog} {asked}: {error.name} is not installed{hint}", file=sys.stderr)
            return 2
        parsers[asked].description = module.__doc__
        module.add_arguments(parsers[asked])
        parsers[asked].set_defaults(run=module.run)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except SegmentationError as error:
        print(f"{parser.prog} {parsed.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
