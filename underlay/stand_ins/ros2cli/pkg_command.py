"""`ros2 pkg`."""

import argparse

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
    get_packages_with_prefixes,
)

from .verbs import CommandError, Verb, run_verb


def main(argv: list[str]) -> int:
    """Run a verb."""
    return run_verb("pkg", _VERBS, argv)


def _list(args: argparse.Namespace) -> int:
    print("\n".join(sorted(get_packages_with_prefixes())))
    return 0


def _prefix_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package_name")
    parser.add_argument("--share", action="store_true", help="show the share folder")


def _prefix(args: argparse.Namespace) -> int:
    try:
        print((get_package_share_directory if args.share else get_package_prefix)(args.package_name))
    except (PackageNotFoundError, ValueError):
        raise CommandError("Package not found: " + args.package_name) from None
    return 0


_VERBS = {
    "list": Verb("show the packages", lambda parser: None, _list),
    "prefix": Verb("show the folder that a package is installed in", _prefix_arguments, _prefix),
}
