"""Open a ROS 2 bag and iterate its serialized messages in time order.

A bag is a folder as ``ros2 bag record`` leaves it, or a lone ``.mcap`` or ``.db3`` file. A folder without
``metadata.yaml`` is read file by file. An mcap file without its end, which a recorder leaves when it is
killed, is refused, but can be read as far as it goes with ``open_bag(path, recover=True)``.

What a bag announces is held against what it holds: fewer messages than announced are an error, never silence.
"""

from __future__ import annotations

import difflib
import heapq
import io
import os
import re
import struct
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from lz4.frame import LZ4FrameDecompressor
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat, QosDurability
from rosbags.rosbag2 import Reader, storage_mcap
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from squeeze_segnet_ros.bags.messages import IMAGE_TYPES
from squeeze_segnet_ros.errors import BagError, one_line

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = (".mcap", ".db3")
NEARLY = (".bag", ".zst", ".zstd")
"""Suffixes of what becomes a bag: opening it says how."""
_METADATA = "metadata.yaml"
_LATEST_NS = 2**63
_MOST_BYTES = 2**29
"""Unpacked bytes of a chunk or a message: more than the largest image that is taken has."""
_ZSTD_START = b"\x28\xb5\x2f\xfd"
_MCAP_MAGIC = b"\x89MCAP0\r\n"
# A footer record that announces no summary, so that a reader scans the file from its start.
_MCAP_END = b"\x02" + struct.pack("<QQQI", 20, 0, 0, 0) + _MCAP_MAGIC


class Message(NamedTuple):
    """One recorded message: ``timestamp_ns`` is when it was recorded, ``data`` its CDR serialization."""

    topic: str
    timestamp_ns: int
    type: str
    data: bytes


@dataclass(frozen=True)
class Topic:
    """One topic of a bag.

    ``latched``: every recorded publisher offered transient local durability, so that late subscribers got
    the last ``depth`` messages.
    """

    name: str
    type: str
    count: int
    latched: bool
    depth: int


class BagReader:
    """An open bag; a context manager. Made by :func:`open_bag`.

    Attributes:
        path: the folder or file that was opened.
        note: None, or one line that says what was missing in the recording.
        info: :class:`Topic` by name, in alphabetical order; only topics with messages.
        start_ns, end_ns: times of the first message and one past the last, in ns since the epoch.
    """

    def __init__(self, path: Path, readers: list[Reader], note: str | None) -> None:
        self.path = path
        self.note = note
        self._readers = readers
        # A folder's own way to the messages loses those whose QoS is not the one in metadata.yaml, word for
        # word, so its files are read one by one.
        self._storages: list[Any] = [
            storage for reader in readers for storage in getattr(reader.storage, "storages", [reader.storage])
        ]
        self._connections = [_checked(c) for storage in self._storages for c in _counted(storage)]
        self.info = _topics(self._connections)
        spans = [s.metadata for s in self._storages if s.metadata.message_count]
        self.start_ns = min((span.start_time for span in spans), default=0)
        self.end_ns = max((span.end_time for span in spans), default=0)
        announced: Counter[str] = Counter()
        for reader in readers:
            for connection in reader.connections:
                announced[connection.topic] += connection.msgcount
        self._announced = {
            name: max(count, self.info[name].count if name in self.info else 0)
            for name, count in announced.items()
        }
        if more := {name for name, count in announced.items() if count < self._announced[name]}:
            self._add_note(f"{_METADATA} knows nothing of some messages of {_shown(more)}")
        if fewer := {
            n for n, c in announced.items() if c and c > (self.info[n].count if n in self.info else 0)
        }:
            self._add_note(f"{_METADATA} announces more messages of {_shown(fewer)} than the files hold")

    def _add_note(self, text: str) -> None:
        self.note = f"{self.note}; {text}" if self.note else text

    @property
    def topics(self) -> dict[str, str]:
        """Message type of each topic, such as ``sensor_msgs/msg/Image``."""
        return {name: topic.type for name, topic in self.info.items()}

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the topics that hold images, raw or compressed."""
        return tuple(name for name, topic in self.info.items() if topic.type in IMAGE_TYPES)

    @property
    def count(self) -> int:
        """Number of messages on all topics together."""
        return sum(topic.count for topic in self.info.values())

    @property
    def duration_ns(self) -> int:
        """From the first message to the last, in nanoseconds."""
        return max(0, self.end_ns - self.start_ns - 1)

    def require(self, topics: Collection[str]) -> None:
        """Raise BagError when one of ``topics`` is not in the bag; the error lists those that are."""
        missing = [topic for topic in topics if topic not in self.info]
        if missing:
            raise BagError(f"{self.path}: no topic {_shown(missing)} in this bag: it has {_shown(self.info)}")

    def require_images(self, topics: Collection[str] | None = None) -> None:
        """Raise BagError when there is no image topic in the bag (among ``topics`` when given)."""
        if topics is not None:
            self.require(topics)
        if not set(self.images).intersection(self.info if topics is None else topics):
            found = _shown(f"{t.name} ({t.type})" for t in self.info.values())
            wanted = " or ".join(IMAGE_TYPES)
            raise BagError(f"{self.path}: no images to play: needs a topic of type {wanted}, has {found}")

    def messages(
        self, topics: Collection[str] | None = None, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Message]:
        """Return an iterator over messages in the order of their recording time.

        One iteration at a time: a second one of the same reader moves the first one's place in the file.

        Args:
            topics: of these alone; None for all.
            start_ns: recorded at this time or later; None from the first.
            end_ns: recorded before this time; None to the last.

        Raises:
            BagError: an unknown topic; while iterating, the file is damaged, or fewer messages come than it
                announces.
        """
        if topics is not None:
            self.require(topics)
        return self._messages(set(self.info if topics is None else topics), start_ns, end_ns)

    def _messages(self, topics: set[str], start_ns: int | None, end_ns: int | None) -> Iterator[Message]:
        sources = [_in_time_order(storage, topics, start_ns, end_ns) for storage in self._storages]
        counts: Counter[str] = Counter()
        try:
            for connection, timestamp, data in heapq.merge(*sources, key=lambda item: item[1]):
                counts[connection.topic] += 1
                if not isinstance(data, bytes) or not 0 <= timestamp < _LATEST_NS:
                    raise ValueError(f"{type(data).__name__} recorded at {timestamp} ns")
                if data.startswith(_ZSTD_START):
                    # A file of a bag whose messages are compressed one by one.
                    data = _unpack_zstd(data, _MOST_BYTES)
                yield Message(connection.topic, timestamp, connection.msgtype, data)
        # rosbags lets struct, zstd, sqlite and assertion errors through when the bytes make no sense.
        except Exception as error:
            raise BagError(
                f"{self.path}: damaged after {counts.total()} messages ({_line(error)}): {_remedy(self.path)}"
            ) from error
        for name in sorted(topics) if start_ns is None and end_ns is None else ():
            if counts[name] != self._announced.get(name, counts[name]):
                raise BagError(
                    f"{self.path}: damaged: {printable(name)} announces {self._announced[name]} messages and "
                    f"has {counts[name]}: {_remedy(self.path)}"
                )

    def register_types(self, store: Typestore) -> None:
        """Add the message definitions that the bag carries to ``store``, but for those that are there."""
        for connection in self._connections:
            if (
                connection.msgtype not in store.types
                and connection.msgdef.format is MessageDefinitionFormat.MSG
            ):
                found = get_types_from_msg(connection.msgdef.data, connection.msgtype)
                store.register({name: fields for name, fields in found.items() if name not in store.types})

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers:
            if reader.is_open:
                reader.close()

    def __enter__(self) -> BagReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_bag(path: str | Path, *, recover: bool = False) -> BagReader:
    """Open a bag folder, a ``.mcap`` file or a ``.db3`` file.

    ``recover`` accepts an mcap file that was cut short and reads its whole records.

    Raises:
        BagError: there is no bag at ``path``, or it is empty, truncated or damaged, or holds no message.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise BagError(f"no such bag: {path}{_nearby(path)}")
    if path.is_dir():
        readers, note = _open_folder(path, recover)
    else:
        reader, note = _open_file(path, recover)
        readers = [reader]
    try:
        return _checked_bag(path, readers, note)
    # What a damaged index makes of names and numbers has no end of kinds.
    except Exception as error:
        for reader in readers:
            if reader.is_open:
                reader.close()
        if isinstance(error, BagError):
            raise
        raise BagError(f"{path}: damaged ({_line(error)}): {_remedy(path)}") from error


def is_bag(path: Path) -> bool:
    """Return whether a path looks like a bag: a file of the kind, or a folder that is no folder of bags."""
    if not path.is_dir():
        return path.suffix in SUFFIXES
    if (path / _METADATA).is_file():
        return True
    inside = list(path.iterdir())
    return any(p.suffix in SUFFIXES for p in inside) and not any((p / _METADATA).is_file() for p in inside)


def bags_in(folder: Path) -> list[Path]:
    """Return the bags that lie in a folder, which is none itself, in alphabetical order."""
    with suppress(OSError):
        return sorted((path for path in folder.iterdir() if is_bag(path)), key=_natural_order)
    return []


def _checked_bag(path: Path, readers: list[Reader], note: str | None) -> BagReader:
    bag = BagReader(path, readers, note)
    if not bag.count:
        names = _shown(sorted({c.topic for r in readers for c in r.connections}))
        announced = f", only the topics {names}" if names else ""
        raise BagError(f"{path}: a bag without messages{announced}: record it again")
    for name in bag.info:
        for connection in (c for c in bag._connections if c.topic == name and c.msgcount):
            encoding = getattr(connection.ext, "serialization_format", "cdr")
            if encoding != "cdr":
                raise BagError(
                    f"{path}: {printable(name)} is serialized as {encoding[:32]!r}, only cdr can be read"
                )
    return bag


def _open_folder(path: Path, recover: bool) -> tuple[list[Reader], str | None]:
    files = sorted((f for f in path.iterdir() if f.suffix in SUFFIXES), key=_natural_order)
    if not (path / _METADATA).exists():
        if files:
            readers, note = _open_files(files, recover)
            return (
                readers,
                note or f"{path} has no {_METADATA}: its {len(files)} file(s) were read by themselves",
            )
        if not any(path.iterdir()):
            raise BagError(f"{path}: an empty folder, not a bag: needs {_METADATA} and an .mcap or .db3 file")
        inside = [bag.name for bag in bags_in(path)]
        raise BagError(
            f"{path}: not a bag: no {_METADATA} and no .mcap or .db3 file in this folder"
            + (f": it holds the bags {', '.join(inside[:5])}" if inside else "")
        )
    if any(_unwritten(file) for file in files):
        return _open_files(files, recover)
    reader = Reader(path)
    try:
        reader.open()
    except Exception as error:
        # The files may be readable where the folder as a whole is not: a copy that was cut short, say.
        if not files:
            raise BagError(f"{path}: cannot be read as a bag: {_line(error)}") from error
        readers, note = _open_files(files, recover)
        return readers, note or f"{path}: {_METADATA} was left aside: {_line(error)}"
    return [reader], None


def _open_files(files: list[Path], recover: bool) -> tuple[list[Reader], str | None]:
    readers: list[Reader] = []
    notes: list[str] = []
    try:
        for file in files:
            reader, note = _open_file(file, recover)
            readers.append(reader)
            notes += [note] if note else []
    except BagError:
        for reader in readers:
            reader.close()
        raise
    return readers, "; ".join(notes) or None


def _open_file(path: Path, recover: bool) -> tuple[Reader, str | None]:
    if not path.stat().st_size:
        raise BagError(f"{path}: the file is empty (0 bytes): record it again or copy it again")
    if path.suffix == ".bag":
        raise BagError(
            f"{path}: a ROS 1 bag: convert it with `rosbags-convert --src {path} --dst {path.stem}`"
        )
    if path.suffix in (".zst", ".zstd"):
        raise BagError(
            f"{path}: a compressed file: unpack it first with `zstd -d {path}`, or name its bag folder"
        )
    if path.suffix not in SUFFIXES:
        raise BagError(f"{path}: not a bag: needs a bag folder, an .mcap file or a .db3 file")
    if path.suffix == ".db3":
        return _open_sqlite(path)
    reader = Reader(path)
    try:
        reader.open()
    except Exception as error:
        return _open_cut_mcap(path, error, recover)
    return reader, None


# -- sqlite, and a recording whose last pages are in its journal -------------------------------------------


class _WithJournal(type(Path())):  # type: ignore[misc]
    """The path of a sqlite file that rosbags opens together with its journal, which it leaves aside else."""

    def __str__(self) -> str:
        # Becomes an option that sqlite does not know: what rosbags appends.
        return f"{quote(super().__str__())}?mode=ro&rest="

    def __fspath__(self) -> str:
        return super().__str__()


def _unwritten(path: Path) -> int:
    """Return the bytes of a sqlite file's journal, which hold its newest messages."""
    journal = path.with_name(f"{path.name}-wal")
    return journal.stat().st_size if path.suffix == ".db3" and journal.is_file() else 0


def _open_sqlite(path: Path) -> tuple[Reader, str | None]:
    size = _unwritten(path)
    reader = Reader(_WithJournal(path) if size else path)
    try:
        reader.open()
    except Exception as error:
        raise BagError(f"{path}: truncated or damaged ({_line(error)}): {_remedy(path)}") from error
    return (
        reader,
        f"{path}: the recorder was killed: read with the {size} bytes of its journal" if size else None,
    )


# -- a recording without its end ------------------------------------------------------------------------


class _CutMcap:
    """The path of an mcap file as far as its records are whole; opens with an end that readers accept."""

    suffix = ".mcap"

    def __init__(self, path: Path, end: int) -> None:
        self._path, self._end = path, end

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        return True

    def is_dir(self) -> bool:
        return False

    def open(self, mode: str = "rb") -> io.BufferedReader:
        return io.BufferedReader(_CutFile(self._path, self._end))


class _CutFile(io.RawIOBase):
    """The first ``end`` bytes of a file followed by an mcap footer; seekable, read only."""

    def __init__(self, path: Path, end: int) -> None:
        self._file = path.open("rb")
        self._end, self._size, self._position = end, end + len(_MCAP_END), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position < self._end:
            self._file.seek(self._position)
            data = self._file.read(min(len(buffer), self._end - self._position))
        else:
            start = self._position - self._end
            data = _MCAP_END[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def _open_cut_mcap(path: Path, error: Exception, recover: bool) -> tuple[Reader, str]:
    """Open an mcap file that lacks its end, or raise BagError saying what is wrong with it."""
    with path.open("rb") as file:
        if file.read(len(_MCAP_MAGIC)) != _MCAP_MAGIC:
            raise BagError(
                f"{path}: not an mcap file (its first bytes are wrong): record it again or copy it again"
            )
    if "profile" in str(error).lower():
        raise BagError(f"{path}: an mcap file, but not a ROS 2 recording: {_line(error)}")
    size, end = path.stat().st_size, _end_of_whole_records(path)
    reader = Reader(_CutMcap(path, end))  # type: ignore[arg-type]
    try:
        reader.open()
    except Exception as nested:
        raise BagError(f"{path}: truncated or damaged ({_line(nested)}): {_remedy(path)}") from nested
    count = reader.message_count
    if not count or not recover:
        reader.close()
    if not count:
        raise BagError(f"{path}: truncated: not one whole message in its {size} bytes: record it again")
    cut = f"{path}: truncated (the recorder was killed, or a copy cut short)"
    if not recover:
        raise BagError(
            f"{cut}: copy it again, or save its {count} whole messages with "
            f"`python3 -m squeeze_segnet_ros bag recover {path} --output NEW_BAG`"
        )
    return reader, f"{cut}: {count} whole messages read, the last {size - end} bytes left out"


def _end_of_whole_records(path: Path) -> int:
    """Return the offset behind the last whole record of the data section of an mcap file."""
    data_end_records = (0x00, 0x02, 0x0F)  # unwritten space, footer, end of the data section
    size, position = path.stat().st_size, len(_MCAP_MAGIC)
    with path.open("rb") as file:
        while True:
            file.seek(position)
            head = file.read(9)
            if len(head) < 9 or head[0] in data_end_records:
                return position
            following = position + 9 + int.from_bytes(head[1:], "little")
            if following > size:
                return position
            position = following


# -- details --------------------------------------------------------------------------------------------


def _unpack_zstd(data: bytes, size: int) -> bytes:
    return _unpack(zstd.ZstdDecompressor(), data, size)


def _unpack_lz4(data: bytes, size: int) -> bytes:
    return _unpack(LZ4FrameDecompressor(), data, size)


def _unpack(decompressor: Any, data: bytes, size: int) -> bytes:
    """Unpack at most ``size`` bytes: a few packed ones can become gigabytes."""
    most = min(size, _MOST_BYTES)
    unpacked: bytes = decompressor.decompress(data, max_length=most + 1)
    if len(unpacked) > most:
        raise ValueError(f"{len(data)} packed bytes become more than {most}")
    return unpacked


# rosbags unpacks a chunk to whatever it becomes and compares the size then.
storage_mcap.DECOMPRESSORS.update(zstd=_unpack_zstd, lz4=_unpack_lz4)


def _counted(storage: Any) -> list[Connection]:
    """Return the connections of a file with the number of messages of each."""
    total, connections = storage.metadata.message_count, list(storage.connections)
    if total and not any(c.msgcount for c in connections) and hasattr(storage, "meta_scan"):
        # The counts by channel may be left out of an mcap file's statistics.
        storage.meta_scan()
        counts = storage.statistics.channel_message_counts
        connections = [c._replace(msgcount=counts.get(c.id, 0)) for c in connections]
    if sum(c.msgcount for c in connections) != total:
        raise ValueError(f"{total} messages announced, but {sum(c.msgcount for c in connections)} by topic")
    return connections


def _checked(connection: Connection) -> Connection:
    name, kind, count = connection.topic, connection.msgtype, connection.msgcount
    if not (isinstance(name, str) and isinstance(kind, str) and isinstance(count, int) and count >= 0):
        raise ValueError(f"topic {name!r} of type {kind!r} with {count!r} messages")
    return connection


def _topics(connections: list[Connection]) -> dict[str, Topic]:
    topics: dict[str, Topic] = {}
    for name in sorted({c.topic for c in connections if c.msgcount}):
        same = [c for c in connections if c.topic == name and c.msgcount]
        profiles = [
            q for c in same if isinstance(c.ext, ConnectionExtRosbag2) for q in c.ext.offered_qos_profiles
        ]
        topics[name] = Topic(
            name=name,
            type=same[0].msgtype,
            count=sum(c.msgcount for c in same),
            latched=bool(profiles) and all(q.durability == QosDurability.TRANSIENT_LOCAL for q in profiles),
            depth=max((q.depth for q in profiles), default=0),
        )
    return topics


def _in_time_order(
    storage: Any, topics: set[str], start_ns: int | None, end_ns: int | None
) -> Iterator[tuple[Connection, int, bytes]]:
    connections = [c for c in storage.connections if c.topic in topics]
    if not connections:
        return
    if getattr(storage, "chunks", True):
        yield from storage.messages(connections, start_ns, end_ns)
        return
    # An mcap file without an index of chunks: rosbags refuses it when its messages are out of order.
    stamps = [timestamp for _, timestamp, _ in storage.messages_scan(connections, start_ns, end_ns)]
    messages = storage.messages_scan(connections, start_ns, end_ns)
    if any(later < earlier for earlier, later in pairwise(stamps)):
        messages = sorted(messages, key=lambda item: item[1])
    yield from messages


def printable(name: str) -> str:
    """Return a name out of a bag as Python would write it, so that none moves a terminal's cursor."""
    return name if name.isprintable() else repr(name)[1:-1]


def _shown(names: Iterable[str]) -> str:
    return ", ".join(map(printable, names))


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts ``bag_10`` behind ``bag_9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _nearby(path: Path) -> str:
    """Return what to name instead of a path that does not exist: a bag with a like name, or those near it."""
    missing = path.absolute()
    parent = next(p for p in missing.parents if p.is_dir())
    if parent != missing.parent:
        return f": there is no folder {parent / missing.relative_to(parent).parts[0]}"
    bags = [bag.name for bag in bags_in(parent)]
    if close := difflib.get_close_matches(path.name, bags, n=1):
        return f": did you mean {path.parent / close[0]}?"
    return f": bags in {parent}: {', '.join(bags[:5]) or 'none'}"


def _remedy(path: Path) -> str:
    if path.suffix == ".mcap":
        return f"try `mcap recover {path} -o mended.mcap`, or copy it again"
    if path.suffix == ".db3":
        return f"try `sqlite3 {path} .recover | sqlite3 mended.db3`, or copy it again"
    return "copy it again"


def _line(error: BaseException) -> str:
    return printable(one_line(error).rstrip(".")[:200])
