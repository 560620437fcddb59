"""`ros2 run`."""

import argparse
import os
import shutil
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from .verbs import CommandError


def main(argv: list[str]) -> int:
    """Replace this process by the executable of a package."""
    parser = argparse.ArgumentParser(prog="ros2 run", description="Run an executable of a package.")
    parser.add_argument("package_name")
    parser.add_argument("executable_name")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the executable")
    args = parser.parse_args(argv)
    try:
        folder = Path(get_package_prefix(args.package_name), "lib", args.package_name)
    except (PackageNotFoundError, ValueError):
        raise CommandError(f"package '{args.package_name}' not found") from None
    path = shutil.which(args.executable_name, path=folder)
    if path is None:
        there = (
            ", ".join(sorted(file.name for file in folder.glob("*") if os.access(file, os.X_OK))) or "none"
        )
        raise CommandError(f"no executable '{args.executable_name}' in '{folder}', there is: {there}")
    os.execv(path, [path, *args.arguments])
