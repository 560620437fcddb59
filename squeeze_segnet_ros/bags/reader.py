"""Open a ROS 2 bag and iterate its serialized messages in time order.

A bag is a folder as ``ros2 bag record`` leaves it, or a lone ``.mcap`` or ``.db3`` file. A folder without
``metadata.yaml`` is read file by file. An mcap file without its end, which a recorder leaves when it is
killed, is refused, but can be read as far as it goes with ``open_bag(path, recover=True)``.
"""

from __future__ import annotations

import difflib
import heapq
import io
import os
import re
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat, QosDurability
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_msg
from rosbags.typesys.store import Typestore

from squeeze_segnet_ros.bags.messages import IMAGE_TYPES
from squeeze_segnet_ros.errors import BagError

SUFFIXES = (".mcap", ".db3")
_METADATA = "metadata.yaml"
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
        self.info = _topics([c for reader in readers for c in reader.connections])
        self.start_ns = min((r.start_time for r in readers if r.message_count), default=0)
        self.end_ns = max((r.end_time for r in readers if r.message_count), default=0)

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
            raise BagError(
                f"{self.path}: no topic {', '.join(missing)} in this bag: it has {', '.join(self.info)}"
            )

    def require_images(self, topics: Collection[str] | None = None) -> None:
        """Raise BagError when there is no image topic in the bag (among ``topics`` when given)."""
        if topics is not None:
            self.require(topics)
        if not set(self.images).intersection(self.info if topics is None else topics):
            found = ", ".join(f"{t.name} ({t.type})" for t in self.info.values())
            wanted = " or ".join(IMAGE_TYPES)
            raise BagError(f"{self.path}: no images to play: needs a topic of type {wanted}, has {found}")

    def messages(self, topics: Collection[str] | None = None) -> Iterator[Message]:
        """Return the messages in the order of their recording time, of all topics or of ``topics``.

        One iteration at a time: a second one of the same reader moves the first one's place in the file.

        Raises:
            BagError: a topic is unknown or, while iterating, the file is damaged.
        """
        if topics is not None:
            self.require(topics)
        return self._messages(set(self.info if topics is None else topics))

    def _messages(self, topics: set[str]) -> Iterator[Message]:
        sources = [_in_time_order(reader, topics) for reader in self._readers]
        count = 0
        try:
            for connection, timestamp, data in heapq.merge(*sources, key=lambda item: item[1]):
                count += 1
                yield Message(connection.topic, timestamp, connection.msgtype, data)
        # rosbags lets struct, zstd, sqlite and assertion errors through when the bytes make no sense.
        except Exception as error:
            raise BagError(
                f"{self.path}: damaged after {count} messages ({_line(error)}): {_remedy(self.path)}"
            ) from error

    def register_types(self, store: Typestore) -> None:
        """Add the message definitions that the bag carries to ``store``, but for those that are there."""
        for connection in (c for reader in self._readers for c in reader.connections):
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
    bag = BagReader(path, readers, note)
    try:
        if not bag.count:
            names = ", ".join(sorted({c.topic for r in readers for c in r.connections}))
            announced = f", only the topics {names}" if names else ""
            raise BagError(f"{path}: a bag without messages{announced}: record it again")
        for connection in (c for r in readers for c in r.connections if c.msgcount):
            encoding = getattr(connection.ext, "serialization_format", "cdr")
            if encoding != "cdr":
                raise BagError(
                    f"{path}: {connection.topic} is serialized as '{encoding}', only cdr can be read"
                )
    except BagError:
        bag.close()
        raise
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
        raise BagError(f"{path}: not a bag: no {_METADATA} and no .mcap or .db3 file in this folder")
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
    if path.suffix == ".zstd":
        raise BagError(
            f"{path}: a compressed file: unpack it first with `zstd -d {path}`, or name its bag folder"
        )
    if path.suffix not in SUFFIXES:
        raise BagError(f"{path}: not a bag: needs a bag folder, an .mcap file or a .db3 file")
    reader = Reader(path)
    try:
        reader.open()
    except Exception as error:
        if path.suffix == ".mcap":
            return _open_cut_mcap(path, error, recover)
        raise BagError(f"{path}: truncated or damaged ({_line(error)}): {_remedy(path)}") from error
    return reader, None


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


def _in_time_order(reader: Reader, topics: set[str]) -> Iterator[tuple[Connection, int, bytes]]:
    connections = [c for c in reader.connections if c.topic in topics and c.msgcount]
    if not connections:
        return
    storage: Any = reader.storage
    if getattr(storage, "chunks", True):
        yield from reader.messages(connections)
        return
    # An mcap file without an index of chunks: rosbags refuses it when its messages are out of order.
    stamps = [timestamp for _, timestamp, _ in storage.messages_scan(connections)]
    messages = storage.messages_scan(connections)
    if any(later < earlier for earlier, later in pairwise(stamps)):
        messages = sorted(messages, key=lambda item: item[1])
    yield from messages


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts ``bag_10`` behind ``bag_9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _nearby(path: Path) -> str:
    """Return what to name instead of a path that does not exist: a bag with a like name, or those near it."""
    missing = path.absolute()
    parent = next(p for p in missing.parents if p.is_dir())
    if parent != missing.parent:
        return f": there is no folder {parent / missing.relative_to(parent).parts[0]}"
    try:
        bags = sorted(p.name for p in parent.iterdir() if p.suffix in SUFFIXES or (p / _METADATA).is_file())
    except OSError:
        bags = []
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
    text = " ".join(str(error).split()).rstrip(".")
    return text[:200] or type(error).__name__
