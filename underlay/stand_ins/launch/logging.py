"""Stand-in for `launch.logging`: lines on the screen. There are no log files, so none can fill a disk."""

import logging
import sys


def write_line(line: str) -> None:
    """Print a line; a closed pipe or a full disk behind stdout never stops a launch."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        pass


class _ScreenHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        write_line(f"[{record.levelname}] [{record.name}]: {record.getMessage()}")


_screen = _ScreenHandler()


def get_logger(name: str | None = None) -> logging.Logger:
    """Return the logger of that name, which prints `[LEVEL] [name]: message`."""
    logger = logging.getLogger(name)
    if _screen not in logger.handlers:
        logger.addHandler(_screen)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


def screen_of(output: str | dict[str, str | set[str]]) -> dict[str, bool]:
    """Say for an `output=` argument whether stdout and stderr are shown on the screen."""
    if isinstance(output, str):
        if output not in ("screen", "log", "both", "own_log", "full"):
            raise ValueError(f"output '{output}' is none of screen, log, both, own_log, full")
        everything = output in ("screen", "both", "full")
        return {"stdout": everything, "stderr": everything or output == "log"}
    chosen = {source: {to} if isinstance(to, str) else set(to) for source, to in output.items()}
    if unknown := chosen.keys() - {"stdout", "stderr", "both"}:
        raise ValueError(f"output of {', '.join(sorted(unknown))}: expected stdout, stderr or both")
    return {
        source: "screen" in chosen.get(source, set()) | chosen.get("both", set())
        for source in ("stdout", "stderr")
    }
