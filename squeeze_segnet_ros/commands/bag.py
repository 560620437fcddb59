"""Describe a bag, save what is whole of a truncated one, or make one from a data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from squeeze_segnet_ros.bags import messages
from squeeze_segnet_ros.bags.reader import BagReader, bags_in, is_bag, open_bag, printable
from squeeze_segnet_ros.bags.writer import BagWriter
from squeeze_segnet_ros.commands import data_arguments
from squeeze_segnet_ros.data.to_bag import write_bag
from squeeze_segnet_ros.errors import BagError, InvalidImageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions ``info``, ``recover`` and ``dataset``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")

    info = actions.add_parser("info", help="topics, counts, rates and image sizes of a bag")
    info.add_argument("bag", help="bag folder, .mcap or .db3 file, or a folder of such")

    recover = actions.add_parser("recover", help="copy the whole messages of a truncated bag to a new one")
    recover.add_argument("bag", help="bag folder or .mcap file")
    recover.add_argument("--output", required=True, help="bag folder to create")

    dataset = actions.add_parser(
        "dataset", aliases=["camvid"], help="write a data set's frames with their true labels as a bag"
    )
    data_arguments.add_dataset(dataset, default_split="test")
    dataset.add_argument("--output", required=True, help="bag folder to create")
    dataset.add_argument("--rate", type=float, default=10.0, help="frames per second (default: 10)")
    dataset.add_argument(
        "--format", default="png", choices=("png", "jpeg"), help="png is lossless (default: png)"
    )
    dataset.add_argument("--quality", type=int, default=95, help="of jpeg, 1..100 (default: 95)")
    dataset.add_argument("--limit", type=int, help="at most so many frames")


def run(arguments: argparse.Namespace) -> int:
    """Run one action.

    Raises:
        SegmentationError: bad input.
    """
    if arguments.action == "info":
        folder = Path(arguments.bag).expanduser()
        if folder.is_dir() and not is_bag(folder) and (bags := bags_in(folder)):
            print(describe_all(bags))
            return 0
        with open_bag(arguments.bag) as bag:
            print(describe(bag))
        return 0
    if arguments.action == "recover":
        return _recover(arguments.bag, arguments.output)
    if arguments.rate <= 0:
        raise BagError(f"--rate {arguments.rate:g} makes no sense: frames per second, above 0")
    if not 1 <= arguments.quality <= 100:
        raise BagError(f"--quality {arguments.quality} makes no sense: 1 to 100")
    if arguments.limit is not None and arguments.limit < 1:
        raise BagError(f"--limit {arguments.limit} makes no sense: at least 1 frame")
    frames = write_bag(
        data_arguments.dataset(arguments),
        arguments.output,
        arguments.split,
        rate_hz=arguments.rate,
        format=arguments.format,
        quality=arguments.quality,
        limit=arguments.limit,
        progress=_progress if sys.stderr.isatty() else None,
    )
    print(f"{arguments.output}: {frames} frames at {arguments.rate:g} Hz")
    return 0


def _recover(source: str, output: str) -> int:
    with open_bag(source, recover=True) as bag:
        if bag.note:
            print(bag.note)
        bag.register_types(messages.typestore())
        with BagWriter(output) as writer:
            for topic, timestamp, message_type, data in bag.messages():
                writer.write(topic, message_type, timestamp, data, latched=bag.info[topic].latched)
        print(f"{output}: {bag.count} messages")
    return 0


def describe(bag: BagReader) -> str:
    """Return lines about a bag: span of time, and for each topic type, count, rate and size."""
    seconds = bag.duration_ns / 1e9
    lines = [
        f"bag       {printable(str(bag.path))}",
        f"duration  {seconds:.3f} s from {_date(bag.start_ns)}",
        f"messages  {bag.count}",
    ]
    if bag.note:
        lines.append(f"note      {bag.note}")
    rows = [("topic", "type", "messages", "rate", "content")]
    for topic in bag.info.values():
        rate = f"{(topic.count - 1) / seconds:.2f} Hz" if topic.count > 1 and seconds else "-"
        content = _content(bag, topic.name) + (" latched" if topic.latched else "")
        rows.append((printable(topic.name), printable(topic.type), str(topic.count), rate, content.strip()))
    return "\n".join([*lines, "", *_table(rows)])


def describe_all(paths: list[Path]) -> str:
    """Return a line for each of several bags: duration, messages, its image topics, or what is wrong."""
    rows = [("bag", "duration", "messages", "images")]
    for path in paths:
        try:
            with open_bag(path) as bag:
                images = ", ".join(map(printable, bag.images)) or "none"
                rows.append((printable(path.name), f"{bag.duration_ns / 1e9:.1f} s", str(bag.count), images))
        except BagError as error:
            rows.append((printable(path.name), "-", "-", str(error)))
    return "\n".join(_table(rows))


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _date(time_ns: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_ns / 1e9, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):  # later than any date
        return f"{time_ns / 1e9:.0f} s after 1970"


def _content(bag: BagReader, topic: str) -> str:
    if topic not in bag.images:
        return ""
    try:
        message = next(bag.messages([topic]), None)
        if message is None:
            return "(no message comes)"
        image = messages.decode_image(message.data, message.type)
    except (BagError, InvalidImageError) as error:
        return f"({error})"
    kind = {3: "RGB", 2: "one channel"}[image.ndim]
    return f"{image.shape[1]}x{image.shape[0]} {kind}"


def _progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\rframe {done} of {total}", end=end, file=sys.stderr, flush=True)
