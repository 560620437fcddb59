"""`ros2 interface`."""

import argparse
import re
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from .verbs import CommandError, Verb, run_verb


def main(argv: list[str]) -> int:
    """Run a verb."""
    return run_verb("interface", _VERBS, argv)


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", help="as std_msgs/msg/String or std_srvs/srv/Trigger")
    parser.add_argument("--no-comments", action="store_true", help="show no comments")


def _show(args: argparse.Namespace) -> int:
    _print(args.type, 0, not args.no_comments)
    return 0


def _print(name: str, depth: int, comments: bool) -> None:
    """Print a definition, and indented below each field of another message type its fields."""
    for line in _definition(name).read_text().splitlines():
        text = line if comments else line.partition("#")[0].rstrip()
        if text.strip():
            print("\t" * depth + text)
        field = re.match(r"(?:([a-z]\w*)/)?(?:msg/)?([A-Z]\w*)(?:\[.*?\])?\s+\w+", line)
        if field:
            package = field[1] or name.partition("/")[0]
            _print(f"{package}/msg/{field[2]}", depth + 1, False)


def _definition(name: str) -> Path:
    package, *kind, type_name = name.split("/") if "/" in name else ("", name)
    try:
        folder = Path(get_package_share_directory(package))
    except (PackageNotFoundError, ValueError):
        raise CommandError(f"Unknown package '{package}' of '{name}', expected package/msg/Type") from None
    for one in kind or ("msg", "srv", "action"):
        if (path := folder / one / f"{type_name}.{one}").is_file():
            return path
    raise CommandError(f"no definition of '{name}' below '{folder}'")


_VERBS = {"show": Verb("show the definition of a type", _show_arguments, _show)}
