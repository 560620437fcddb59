"""The command line: ``python -m squeeze_segnet_ros <command>``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from squeeze_segnet_ros import __version__
from squeeze_segnet_ros.errors import ConfigError, SegmentationError


class Command(NamedTuple):
    """A command: the module with its ``add_arguments`` and ``run``, what it does, the extra that it needs.

    ``folder`` is the folder of the repository that holds the module, for what measures the product or makes
    its data; empty for what is part of the package.
    """

    module: str
    help: str
    extra: str = ""
    folder: str = ""


_PROGRAM = "python -m squeeze_segnet_ros"
COMMANDS = {
    "train": Command("train", "train a network on a data set", "train"),
    "data": Command("data", "look at a data set, or make one from bags", "bags"),
    "average": Command("average", "write the mean of several weights files of one network"),
    "evaluate": Command("evaluate", "score a network on a data set", "train"),
    "quantize": Command("quantize", "write a weights file that can run in int8 on a CPU"),
    "export": Command("export", "write a network for other runtimes", "export"),
    "card": Command("card", "write a card for a network from outside, or try one on a picture", "onnx"),
    "bag": Command("bag", "describe a bag, recover one, or make one from a data set", "bags"),
    "label": Command("label", "label bags, pictures and films without a graph", "films"),
    "view": Command("view", "look at a bag, a film, pictures, a camera or a result in the browser", "view"),
    "benchmark": Command("benchmark.command", "compare networks and engines, side by side", folder="test"),
    "generalization": Command(
        "benchmark.generalization", "score weights on what they were not trained for", "bags", "test"
    ),
    "demo": Command("demo.command", "play a bag through the launched node and score it", "bags", "test"),
    "gpu": Command("benchmark.gpu", "measure and train all that needs a GPU, in its time", "train", "test"),
    "reliability": Command("reliability.command", "measure the node under load and faults", "bags", "test"),
    "render": Command("scenes.render", "render street scenes with exact labels", "scenes", "rosbags"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; bad input gives one line on standard error and the exit code 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Semantic segmentation of camera images.")
    parser.add_argument("--version", action="version", version=f"squeeze_segnet_ros {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    parsers = {name: commands.add_parser(name, help=command.help) for name, command in COMMANDS.items()}
    # Only the command that was asked for is imported: each needs libraries that the others do without.
    asked = next((argument for argument in arguments if argument in COMMANDS), None)
    try:
        if asked:
            _complete(parsers[asked], asked)
            _add_action(arguments, asked)
        parsed = parser.parse_args(arguments)
        return int(parsed.run(parsed))
    except SegmentationError as error:
        reason = str(error)
    except ModuleNotFoundError as error:
        if asked is None or error.name is None or error.name.startswith(__package__):
            raise
        extra = COMMANDS[asked].extra
        hint = f': pip install "squeeze_segnet_ros[{extra}]"' if extra else ""
        reason = f"{error.name} is not installed{hint}"
    print(f"{_PROGRAM} {asked}: {reason}", file=sys.stderr)
    return 2


def _add_action(arguments: list[str], name: str) -> None:
    """Insert a command's first action where it has some and none is named."""
    actions = getattr(_module(name), "ACTIONS", ())
    behind = arguments.index(name) + 1
    if actions and behind < len(arguments) and arguments[behind] not in (*actions, "-h", "--help"):
        arguments.insert(behind, actions[0])


def parser_for(name: str) -> argparse.ArgumentParser:
    """Return the parser of one command's arguments."""
    return _complete(argparse.ArgumentParser(prog=f"{_PROGRAM} {name}"), name)


def _complete(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    module = _module(name)
    parser.description = module.__doc__
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)
    return parser


def _module(name: str) -> ModuleType:
    command = COMMANDS[name]
    if command.folder:
        _add_to_path(_repository(name) / command.folder)
        return importlib.import_module(command.module)
    return importlib.import_module(f"{__package__}.commands.{command.module}")


def _repository(name: str) -> Path:
    """Return the repository that this package is run from, or that is the working folder."""
    for root in (Path.cwd(), Path(__file__).resolve().parents[1]):
        if (root / COMMANDS[name].folder / COMMANDS[name].module.partition(".")[0]).is_dir():
            return root
    raise ConfigError("it is part of the repository, not of the installed package: run it in a clone of that")


def _add_to_path(folder: Path) -> None:
    """Let this process, and those that it starts, import the modules in ``folder``."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = f"{others}{os.pathsep}{folder}" if others else str(folder)


if __name__ == "__main__":
    sys.exit(main())
