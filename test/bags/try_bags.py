"""Does with every bag in a folder what users do with it, in bounded memory; prints what came of each.

``python try_bags.py FOLDER`` prints a JSON list of name, outcome and seconds; the outcome is ``ok``, the one
line of an error, or what must not be, beginning with ``!``.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from squeeze_segnet_ros.bags import messages, open_bag
from squeeze_segnet_ros.commands import bag as bag_command
from squeeze_segnet_ros.errors import InvalidImageError, SegmentationError

MEMORY = 2 * 2**30
SECONDS = 10


def info(path: Path) -> str:
    """Describe it, as ``bag info`` does."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), open_bag(path) as bag:
        print(bag_command.describe(bag))
    text = printed.getvalue()
    return "" if text.replace("\n", "").isprintable() else "!control characters in bag info"


def read(path: Path) -> str:
    """Read everything, decode what are pictures, and compare the counts."""
    with open_bag(path) as bag:
        announced, note = {topic.name: topic.count for topic in bag.info.values()}, bag.note
        came = Counter[str]()
        for message in bag.messages():
            came[message.topic] += 1
            if message.type in messages.IMAGE_TYPES:
                with contextlib.suppress(InvalidImageError):
                    messages.decode_image(message.data, message.type)
    return "" if dict(came) == announced or note else f"!announced {announced}, came {dict(came)}"


def plan(path: Path) -> str:
    """Decide how the launch file would play it."""
    from squeeze_segnet_ros.ros.launching import plan_bag

    plan_bag(str(path))
    return ""


def outcome(use: Callable[[Path], str], path: Path) -> str:
    """Return what came of one use."""
    try:
        return use(path) or "ok"
    except SegmentationError as error:
        line = str(error)
        return line if line.isprintable() and len(line) < 1000 else f"!not one line: {line!r}"
    except Exception as error:
        return f"!{type(error).__name__}: {error}"


def stop(*_: object) -> None:
    """End what takes too long."""
    raise TimeoutError(f"more than {SECONDS} s")


def main() -> None:
    """Try them all."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, stop)
    found = []
    for path in sorted(Path(sys.argv[1]).iterdir()):
        for use in (info, read, plan):
            started = time.monotonic()
            signal.alarm(SECONDS)
            result = outcome(use, path)
            signal.alarm(0)
            found.append((f"{path.name} {use.__name__}", result, time.monotonic() - started))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
