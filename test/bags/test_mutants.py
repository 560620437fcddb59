"""Bags that are damaged on purpose, in many ways, each get one line or are read whole, in bounded memory."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from squeeze_segnet_ros.bags import BagWriter, messages

try:
    from compression import zstd
except ImportError:
    from backports import zstd

START = 1_700_000_000 * 10**9
FLIPS = 24


def write(path: Path, storage: str = "mcap", frames: int = 4, name: str = "/cam/image_raw") -> Path:
    with BagWriter(path, storage=storage) as bag:
        for index in range(frames):
            image = np.full((48, 64, 3), index * 40, np.uint8)
            bag.write_image(name, START + index * 10**8, "cam", image)
            bag.write_image(f"{name}/compressed", START + index * 10**8, "cam", image, format="png")
    return path


def stored(bag: Path) -> Path:
    (file,) = (f for f in bag.iterdir() if f.suffix in (".mcap", ".db3"))
    return file


def mcap(*records: tuple[int, bytes]) -> bytes:
    """Return an mcap file of these records, without an index."""
    magic = b"\x89MCAP0\r\n"
    head = (1, text("ros2") + text("test"))
    foot = (2, struct.pack("<QQI", 0, 0, 0))
    return (
        magic
        + b"".join(bytes([k]) + struct.pack("<Q", len(d)) + d for k, d in (head, *records, foot))
        + magic
    )


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(data)) + data


def schema(name: str = "sensor_msgs/msg/Image") -> tuple[int, bytes]:
    return 3, struct.pack("<H", 1) + text(name) + text("ros2msg") + text("uint8 x\n")


def channel(topic: str | bytes) -> tuple[int, bytes]:
    return 4, struct.pack("<HH", 1, 1) + text(topic) + text("cdr") + text("")


def message(time_ns: int, data: bytes = b"\0\1\0\0" + bytes(60)) -> tuple[int, bytes]:
    return 5, struct.pack("<HIQQ", 1, 0, time_ns, time_ns) + data


def chunk(data: bytes, size: int, packing: str = "zstd") -> tuple[int, bytes]:
    return 6, struct.pack("<QQQI", START, START + 1, size, 0) + text(packing) + struct.pack(
        "<Q", len(data)
    ) + data


def png_bomb() -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(2**24))
    size = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", size) + part(b"IDAT", rows) + part(b"IEND", b"")


def compressed_image(data: bytes) -> bytes:
    header = messages.make_header(START, "cam")
    made = messages.make(
        messages.COMPRESSED_IMAGE, header=header, format="png", data=np.frombuffer(data, np.uint8)
    )
    return messages.serialize(made)


def handmade() -> Iterator[tuple[str, bytes]]:
    """Yield mcap files in which one thing is absurd."""
    camera = (schema(), channel("/cam/image_raw"))
    yield "no image in it", mcap(*camera, message(START))
    yield "time beyond 2 to the 63", mcap(*camera, message(START), message(2**63 + 5))
    yield "time 0", mcap(*camera, message(0), message(2**62))
    yield "empty message", mcap(*camera, message(START, b""))
    yield "lying array", mcap(*camera, message(START, b"\0\1\0\0" + b"\xff" * 60))
    yield "escape sequence", mcap(schema(), channel("/cam\x1b[31m\n/image_raw"), message(START))
    yield "escape in the type", mcap(schema("a/msg/\x1b[2J"), channel("/cam"), message(START))
    yield "name that is no text", mcap(schema(), channel(b"/\xff\xfe"), message(START))
    yield "message of no channel", mcap(schema(), message(START))
    yield "record longer than the file", mcap(*camera, (5, b"x"))[:-30] + struct.pack("<BQ", 5, 2**62)
    yield "nested chunk", mcap(chunk(mcap(chunk(b"", 0, "")), 100, ""))
    yield "unknown packing", mcap(*camera, chunk(b"abc", 3, "rar"))
    # 128 kB that become 4 GB, announced and not.
    bomb = b"".join(zstd.compress(bytes(2**26)) for _ in range(64))
    yield "zstd bomb", mcap(*camera, chunk(bomb, 2**32))
    yield "zstd bomb that lies", mcap(*camera, chunk(bomb, 1000))
    yield "zstd bomb in a message", mcap(*camera, message(START, bomb))
    picture = (schema(messages.COMPRESSED_IMAGE), channel("/cam/image_raw/compressed"))
    yield "PNG bomb", mcap(*picture, message(START, compressed_image(png_bomb())))


def edited(source: Path, target: Path, name: str, old: str, new: str) -> None:
    """Write a copy of a bag with another metadata.yaml."""
    shutil.copytree(source, target / name)
    meta = target / name / "metadata.yaml"
    before = meta.read_text()
    assert old in before
    meta.write_text(before.replace(old, new, 1))


def make_mutants(folder: Path, originals: Path) -> None:
    chance = random.Random(1)
    indexed, sqlite = write(originals / "indexed"), write(originals / "sqlite", "sqlite3")
    for source in (stored(indexed), stored(sqlite)):
        content = source.read_bytes()
        for number in range(FLIPS):
            changed = bytearray(content)
            # The index at the end is as likely to be hit as all the rest.
            start = 0 if number % 2 else max(0, len(content) - 3000)
            for _ in range(1 + number % 3):
                at = chance.randrange(start, len(content))
                changed[at] ^= 1 << chance.randrange(8)
            (folder / f"flip {number}{source.suffix}").write_bytes(changed)
        for share in (1, 4, 7, 9):
            (folder / f"cut {share}{source.suffix}").write_bytes(content[: len(content) * share // 10])
    for name, data in handmade():
        (folder / f"{name}.mcap").write_bytes(data)
    for name, old, new in (
        ("count that is a text", "message_count: 4", "message_count: many"),
        ("count too small", "message_count: 4", "message_count: 2"),
        ("count too large", "message_count: 4", "message_count: 400"),
        ("negative count", "message_count: 4", "message_count: -4"),
        ("duration without end", "nanoseconds: 300000000", f"nanoseconds: {2**70}"),
        ("start that is a list", f"nanoseconds_since_epoch: {START}", "nanoseconds_since_epoch: [1, 2]"),
        ("other file", "indexed.mcap", "nothing.mcap"),
        ("folder outside", "indexed.mcap", "../../../../etc/passwd"),
        ("other plugin", "storage_identifier: mcap", "storage_identifier: sqlite3"),
        ("unknown plugin", "storage_identifier: mcap", "storage_identifier: tape"),
        ("not YAML", "rosbag2_bagfile_information:", "rosbag2_bagfile_information: ["),
        ("deep YAML", "rosbag2_bagfile_information:", "[" * 1000),
        ("message compression said", "compression_mode: ''", "compression_mode: message"),
    ):
        edited(indexed, folder, name, old, new)
    for name, statement in (
        ("time that is a text", "UPDATE messages SET timestamp = 'noon' WHERE id = 2"),
        ("data that is a number", "UPDATE messages SET data = 5 WHERE id = 2"),
        ("data that is a text", "UPDATE messages SET data = 'abc' WHERE id = 3"),
        ("negative time", "UPDATE messages SET timestamp = -5 WHERE id = 2"),
        ("topic that is a number", "UPDATE topics SET name = 7"),
        ("topic with an escape", "UPDATE topics SET name = '/a' || char(27) || '[31m' WHERE id = 1"),
        ("messages of no topic", "UPDATE messages SET topic_id = 99 WHERE id = 2"),
        ("no such table", "DROP TABLE topics"),
        ("qos that is nothing", "UPDATE topics SET offered_qos_profiles = '[1, 2'"),
        ("qos of other fields", "UPDATE topics SET offered_qos_profiles = '- depth: x'"),
        ("schema from the future", "UPDATE schema SET schema_version = 400"),
    ):
        copy = folder / f"{name}.db3"
        shutil.copy(stored(sqlite), copy)
        database = sqlite3.connect(copy)
        database.execute(statement)
        database.commit()
        database.close()


@pytest.mark.slow
def test_no_mutant_gets_a_traceback_a_silent_loss_or_much_memory(tmp_path: Path) -> None:
    folder, originals = tmp_path / "mutants", tmp_path / "originals"
    folder.mkdir()
    originals.mkdir()
    make_mutants(folder, originals)
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("try_bags.py")), str(folder)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout)
    wrong = [f"{name}: {outcome}" for name, outcome, _ in found if outcome.startswith("!")]
    assert not wrong, "\n".join(wrong)
    # Both ends of what is possible were met.
    outcomes = {outcome for _, outcome, _ in found}
    assert "ok" in outcomes
    assert len(outcomes) > 30
