"""What the commands share: verbs, errors of one line."""

import argparse
from collections.abc import Callable
from typing import NamedTuple

ELSEWHERE = "the `ros2` of a ROS 2 distribution has the rest"


class CommandError(Exception):
    """Something the user has to know: one line, exit code 1."""


class Verb(NamedTuple):
    """What one verb takes and does; `run` returns the exit code."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], object]
    run: Callable[[argparse.Namespace], int]


def run_verb(command: str, verbs: dict[str, Verb], argv: list[str]) -> int:
    """Run the verb that the arguments name."""
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: ros2 {command} <verb> ...\n")
        for name, verb in verbs.items():
            print(f"  {name:12} {verb.help}")
        return 0
    if argv[0] not in verbs:
        raise CommandError(
            f"this stand-in for `ros2 {command}` has no '{argv[0]}', only {', '.join(verbs)}; {ELSEWHERE}"
        )
    verb = verbs[argv[0]]
    parser = argparse.ArgumentParser(prog=f"ros2 {command} {argv[0]}", description=verb.help)
    verb.add_arguments(parser)
    return verb.run(parser.parse_args(argv[1:]))
