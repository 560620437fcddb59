"""The command line: ``python -m squeeze_segnet_ros <command>``."""

from __future__ import annotations

import argparse
import importlib
import sys

from squeeze_segnet_ros.errors import SegmentationError

_COMMANDS = {
    "train": "squeeze_segnet_ros.training.train",
    "evaluate": "squeeze_segnet_ros.training.evaluate",
    "benchmark": "squeeze_segnet_ros.benchmark",
    "bag": "squeeze_segnet_ros.bags.command",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; bad input gives one line on standard error and the exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m squeeze_segnet_ros", description="Semantic segmentation."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, module_name in _COMMANDS.items():
        module = importlib.import_module(module_name)
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    parsed = parser.parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except SegmentationError as error:
        print(f"{parser.prog} {parsed.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
