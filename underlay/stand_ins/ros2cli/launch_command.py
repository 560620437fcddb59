"""`ros2 launch`."""

import argparse
import os
import sys
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import (
    AnyLaunchDescriptionSource,
    get_launch_description_from_python_launch_file,
)

from .verbs import CommandError


def main(argv: list[str]) -> int:
    """Run a launch file; return 0, or 1 after an error in it."""
    parser = argparse.ArgumentParser(prog="ros2 launch", description="Run a launch file.")
    parser.add_argument("package_name", help="package of the launch file, or the path of a launch file")
    parser.add_argument("launch_file_name", nargs="?", help="launch file in the package's share folder")
    parser.add_argument(
        "launch_arguments", nargs="*", help="<name>:=<value>; of the same names the last one holds"
    )
    parser.add_argument(
        "-n", "--noninteractive", action="store_true", help="accepted; makes no difference here"
    )
    parser.add_argument(
        "-d", "--debug", action="store_true", help="print tracebacks of errors in launch files"
    )
    parser.add_argument(
        "-s",
        "--show-args",
        "--show-arguments",
        action="store_true",
        help="show the arguments of the launch file",
    )
    parser.add_argument(
        "-a", "--show-all-subprocesses-output", action="store_true", help="show the output of all processes"
    )
    args = parser.parse_intermixed_args(argv)
    given = list(args.launch_arguments)
    if Path(args.package_name).is_file():
        path = args.package_name
        given = [args.launch_file_name, *given] if args.launch_file_name else given
    else:
        path = _find(args.package_name, args.launch_file_name)
    arguments = dict(_parse(argument) for argument in given)
    if args.show_all_subprocesses_output:
        os.environ["OVERRIDE_LAUNCH_PROCESS_OUTPUT"] = "both"
    if args.show_args:
        try:
            _show_arguments(get_launch_description_from_python_launch_file(path))
        except Exception as error:  # whatever a launch file raises
            if args.debug:
                raise
            raise CommandError(f"{path}: {error}") from None
        return 0
    service = LaunchService(
        argv=given, noninteractive=args.noninteractive or not sys.stdin.isatty(), debug=args.debug
    )
    include = IncludeLaunchDescription(AnyLaunchDescriptionSource(path), launch_arguments=arguments.items())
    service.include_launch_description(LaunchDescription([include]))
    return service.run()


def _parse(argument: str) -> tuple[str, str]:
    name, _, value = argument.partition(":=")
    if not name or not value:
        raise CommandError(f"malformed launch argument '{argument}', expected <name>:=<value>")
    return name, value


def _find(package: str, file_name: str | None) -> str:
    if "/" in package or package.endswith(".py"):
        raise CommandError(f"no such launch file: {package}")
    try:
        share = get_package_share_directory(package)
    except (PackageNotFoundError, ValueError):
        searched = os.environ.get("AMENT_PREFIX_PATH")
        raise CommandError(f"package '{package}' not found (searched: {searched})") from None
    there = sorted(Path(share).rglob("*launch.*"))
    names = ", ".join(path.name for path in there) or "none"
    if file_name is None:
        raise CommandError(f"which launch file of '{package}'? There is: {names}")
    found = [path for path in there if path.name == file_name]
    if len(found) > 1:
        raise CommandError(f"launch file '{file_name}' is in '{share}' more than once")
    if not found:
        raise CommandError(f"launch file '{file_name}' not found in '{share}', which holds: {names}")
    return str(found[0])


def _show_arguments(description: LaunchDescription) -> None:
    arguments = description.get_launch_arguments()
    print("Arguments (pass arguments as '<name>:=<value>'):")
    for argument in arguments:
        star = "*" if argument.conditionally_included else ""
        print(f"\n    '{argument.name}':{star}\n        {argument.description}")
        if argument.default_value is not None:
            print(f"        (default: {' + '.join(part.describe() for part in argument.default_value)})")
    if any(argument.conditionally_included for argument in arguments):
        print("\n* argument(s) which are only used if specific conditions occur")
    if not arguments:
        print("\n  No arguments.")
