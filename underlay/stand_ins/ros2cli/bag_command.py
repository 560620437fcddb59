"""`ros2 bag`, whose verbs come from the packages of the workspace, as the original's come from plug-ins.

A package offers some with a resource `ros2_bag_verbs` in the ament index: lines of a verb, a module, and the
arguments that go before the user's. The module's `main(arguments)` returns the exit code.
"""

import importlib
from typing import NamedTuple

from ament_index_python import get_resource, get_resources

from .verbs import ELSEWHERE, CommandError

_RESOURCE = "ros2_bag_verbs"
_LONG = {"-r": "--rate", "-l": "--loop"}  # the original's short options; modules know the long ones


class _Verb(NamedTuple):
    package: str
    module: str
    arguments: list[str]


def main(argv: list[str]) -> int:
    """Run a verb."""
    verbs = _verbs()
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: ros2 bag <verb> ...\n")
        for name, verb in verbs.items():
            print(f"  {name:12} of {verb.package}")
        return 0
    if argv[0] not in verbs:
        there = ", ".join(verbs) or "none: no package of this workspace offers any"
        raise CommandError(f"this stand-in for `ros2 bag` has no '{argv[0]}', only {there}; {ELSEWHERE}")
    verb = verbs[argv[0]]
    try:
        module = importlib.import_module(verb.module)
    except ImportError as error:
        raise CommandError(f"`ros2 bag {argv[0]}` of {verb.package} cannot be loaded: {error}") from None
    return int(module.main([*verb.arguments, *(_LONG.get(argument, argument) for argument in argv[1:])]))


def _verbs() -> dict[str, _Verb]:
    found = {}
    for package in get_resources(_RESOURCE):
        for line in get_resource(_RESOURCE, package)[0].splitlines():
            name, module, *arguments = line.split()
            found[name] = _Verb(package, module, arguments)
    return found
