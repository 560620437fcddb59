"""The command `ros2`."""

import importlib
import os
import signal
import sys

from .verbs import ELSEWHERE, CommandError

_COMMANDS = {
    "bag": "show and play bags",
    "interface": "show message types",
    "launch": "run a launch file",
    "lifecycle": "show and change the state of managed nodes",
    "node": "show nodes",
    "param": "show and change parameters",
    "pkg": "show packages",
    "run": "run an executable of a package",
    "topic": "show topics and what they carry",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        return _run(argv)
    except CommandError as error:
        print(f"ros2: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: ros2 <command> ...\n")
        for name, text in _COMMANDS.items():
            print(f"  {name:10} {text}")
        print(f"\nThis is a stand-in; {ELSEWHERE}.")
        return 0
    command, *rest = argv
    if command not in _COMMANDS:
        raise CommandError(
            f"this stand-in has no command '{command}', only {', '.join(_COMMANDS)}; {ELSEWHERE}"
        )
    return importlib.import_module(f"{__package__}.{command}_command").main(rest)


if __name__ == "__main__":
    sys.exit(main())
