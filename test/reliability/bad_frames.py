"""Thousands of messages that no camera should send, between good ones, to a running node.

Each message comes from a seeded generator and carries its number in ``frame_id``, so that every label can be
traced to what was sent. After a handful of messages comes a good one, and the next handful waits for its
label: the middleware's queues never overflow, and what is lost, the node has lost.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from reliability.graph import picture, stamp_of
from reliability.harness import (
    EVERYTHING,
    FRONT,
    SMALL,
    Bench,
    active_node,
    until_labelled,
)
from reliability.report import Check, Row
from squeeze_segnet_ros.ros.complaints import LINES, PERIOD
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, output_base

MESSAGES, SHORT_MESSAGES = 20_000, 5_000
"""Bad and odd messages of both transports together."""
MEMORY_MB = 5.0
"""By how much the node's resident memory may grow after the warm-up, in 10**6 bytes."""
ABSURD_STAMP = "absurd stamp"
_GROUP = 10
_WARM_UP = 2_000
"""Messages of a transport after which the heap has seen all that it will."""
_HUGE = 60_000
_SEED = 7
_JPEG_FRAME = b"\xff\xc0"


class Expected(Enum):
    """What has to become of a message."""

    REFUSED = "refused"
    LABELLED = "labelled"
    EITHER = "refused or labelled"


class Kind(NamedTuple):
    """A kind of bad or odd message; ``reason`` are words that the node has to print when it refuses one."""

    expected: Expected
    make: Callable[[np.random.Generator], Any]
    reason: str = ""


# Raw images


def _sound(rng: np.random.Generator, encoding: str = "rgb8", pixel: int = 3, padding: int = 0) -> Image:
    """Return an image of a random size whose fields agree; ``pixel`` is in bytes."""
    height, width = (2 * int(size) for size in rng.integers(16, 60, 2))
    message = Image(height=height, width=width, encoding=encoding, step=width * pixel + padding)
    message.data.frombytes(rng.bytes(height * message.step))
    return message


def _changed(message: Any, **fields: Any) -> Any:
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def _step_too_small(rng: np.random.Generator) -> Image:
    message = _sound(rng)
    step = int(rng.integers(message.width * 3))
    return _changed(message, step=step, data=message.data[: step * message.height])


def _wrong_step(rng: np.random.Generator) -> Image:
    message = _sound(rng)
    return _changed(
        message, step=message.step + int(rng.choice([1, 17, 4096, 2**31, 2**32 - 1 - message.step]))
    )


def _short(rng: np.random.Generator) -> Image:
    message = _sound(rng)
    return _changed(message, data=message.data[: int(rng.integers(len(message.data)))])


def _long(rng: np.random.Generator) -> Image:
    message = _sound(rng)
    message.data.frombytes(rng.bytes(int(rng.choice([1, 100, 200_000]))))
    return message


def _zero_size(rng: np.random.Generator) -> Image:
    return _changed(_sound(rng), **{str(rng.choice(["width", "height"])): 0})


def _huge_size(rng: np.random.Generator) -> Image:
    width, height = ((_HUGE, _HUGE), (2**32 - 1, 2**32 - 1), (2**31, 2), (9000, 9000))[rng.integers(4)]
    return _changed(_sound(rng), width=width, height=height, step=min(3 * width, 2**32 - 1))


def _tiny(rng: np.random.Generator) -> Image:
    width, height = (int(size) for size in rng.integers(1, 32, 2))
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.data.frombytes(rng.bytes(3 * width * height))
    return message


def _unknown_encoding(rng: np.random.Generator) -> Image:
    names = ("", "jpeg", "RGB8", "rgb9", "8UC5000", "rgb8\n[FATAL] all is lost", "ü" * 40, "x" * 5000)
    some = "".join(chr(c) for c in rng.integers(33, 1000, 12))
    return _changed(_sound(rng), encoding=str(rng.choice([*names, some])))


def _short_for_its_encoding(rng: np.random.Generator) -> Image:
    names = ("mono16", "rgb16", "bgra16", "bayer_gbrg16", "yuv422", "yuv422_yuy2", "32FC3", "64FC4")
    message = _sound(rng, str(rng.choice(names)), 1)
    return _changed(message, is_bigendian=int(rng.integers(2)))


def _odd_encoding(rng: np.random.Generator) -> Image:
    names = {"rgba8": 4, "bgra8": 4, "mono8": 1, "mono16": 2, "rgb16": 6, "bgr16": 6, "yuv422": 2}
    names |= {f"bayer_{pattern}8": 1 for pattern in ("rggb", "bggr", "gbrg", "grbg")}
    names |= {f"bayer_{pattern}16": 2 for pattern in ("rggb", "grbg")} | {"yuv422_yuy2": 2}
    encoding = str(rng.choice(list(names)))
    message = _sound(rng, encoding, names[encoding], int(rng.choice([0, 2, 64])))
    return _changed(message, is_bigendian=int(rng.integers(2)))


def _absurd_stamp(message: Any, rng: np.random.Generator) -> Any:
    message.header.stamp.sec = int(rng.choice([-(2**31), -1, 0, 1, 2**31 - 1]))
    message.header.stamp.nanosec = int(rng.choice([0, 999_999_999, 10**9, 2**32 - 1]))
    return message


RAW: Mapping[str, Kind] = {
    "step smaller than a row": Kind(Expected.REFUSED, _step_too_small, "has a step of"),
    "step that does not fit the data": Kind(Expected.REFUSED, _wrong_step, "bytes of data"),
    "data cut short": Kind(Expected.REFUSED, _short, "bytes of data"),
    "too much data": Kind(Expected.REFUSED, _long, "bytes of data"),
    "zero size": Kind(Expected.REFUSED, _zero_size, "no pixels"),
    "huge size": Kind(Expected.REFUSED, _huge_size, "expected at most"),
    "smaller than the network takes": Kind(Expected.REFUSED, _tiny, "at least 32x32"),
    "unknown encoding": Kind(Expected.REFUSED, _unknown_encoding, "image with encoding"),
    "16-bit, Bayer, YUV, float with too little data": Kind(
        Expected.REFUSED, _short_for_its_encoding, "cannot be converted"
    ),
    "16-bit, big-endian, Bayer, YUV, padded": Kind(Expected.LABELLED, _odd_encoding),
    ABSURD_STAMP: Kind(Expected.LABELLED, lambda rng: _absurd_stamp(_sound(rng), rng)),
}


# Compressed images


def _encoded(rng: np.random.Generator, suffix: str, *options: int) -> bytes:
    height, width = (int(size) for size in rng.integers(32, 100, 2))
    return bytes(cv2.imencode(suffix, picture(int(rng.integers(1000)), height, width), options)[1])


def _jpeg(rng: np.random.Generator) -> bytes:
    return _encoded(rng, ".jpg")


def _png(rng: np.random.Generator) -> bytes:
    return _encoded(rng, ".png")


def _compressed(data: bytes, format: str = "jpeg") -> CompressedImage:
    message = CompressedImage(format=format)
    message.data.frombytes(data)
    return message


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(40, len(data) - 1))]


def _damaged(data: bytes, rng: np.random.Generator, start: int) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(start, len(data), int(rng.integers(1, 8))):
        changed[place] ^= int(rng.integers(1, 256))
    return bytes(changed)


def _damaged_jpeg(rng: np.random.Generator) -> bytes:
    data = _jpeg(rng)
    # What the header may lie about comes as a kind of its own, whose size has bounds.
    return _damaged(data, rng, data.index(_JPEG_FRAME) + 19)


def jpeg_declaring(data: bytes, width: int, height: int) -> bytes:
    """Return a baseline JPEG whose header says another size."""
    frame = data.index(_JPEG_FRAME)
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def png_declaring(data: bytes, width: int, height: int) -> bytes:
    """Return a PNG whose header says another size, with the right checksum."""
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def _png_with_lying_chunk(rng: np.random.Generator) -> bytes:
    """Return a PNG whose second chunk says that it is a gigabyte or two long."""
    data = _png(rng)
    return data[:33] + struct.pack(">I", int(rng.integers(2**30, 2**31))) + data[37:]


def _size(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.integers(33, 400)), int(rng.integers(33, 300))


def _no_picture(rng: np.random.Generator) -> bytes:
    starts = (b"", b"GIF89a", b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x0cjP  ", b"<svg>", b"\xff\xd8")
    return starts[rng.integers(len(starts))] + bytes(int(rng.integers(200)))


def _odd_picture(rng: np.random.Generator) -> bytes:
    pixels = picture(int(rng.integers(1000)))
    cases: tuple[tuple[str, np.ndarray, tuple[int, ...]], ...] = (
        (".jpg", pixels, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".jpg", pixels[..., 0], ()),
        (".png", pixels[..., 0], ()),
        (".png", pixels.astype(np.uint16) * 257, ()),
        (".png", np.dstack([pixels, pixels[..., :1]]), ()),
        (".png", np.where(pixels[..., 0] > 127, 255, 0).astype(np.uint8), (cv2.IMWRITE_PNG_BILEVEL, 1)),
    )
    suffix, shown, options = cases[rng.integers(len(cases))]
    return bytes(cv2.imencode(suffix, shown, options)[1])


COMPRESSED: Mapping[str, Kind] = {
    "JPEG cut short": Kind(Expected.REFUSED, lambda rng: _compressed(_cut(_jpeg(rng), rng)), "is cut off"),
    "PNG cut short": Kind(Expected.REFUSED, lambda rng: _compressed(_cut(_png(rng), rng)), "is cut off"),
    "JPEG with changed bytes": Kind(Expected.EITHER, lambda rng: _compressed(_damaged_jpeg(rng))),
    "PNG with changed bytes": Kind(
        Expected.REFUSED, lambda rng: _compressed(_damaged(_png(rng), rng, 33)), "damaged"
    ),
    f"JPEG that declares {_HUGE}x{_HUGE}": Kind(
        Expected.REFUSED,
        lambda rng: _compressed(jpeg_declaring(_jpeg(rng), _HUGE, _HUGE)),
        f"JPEG declares {_HUGE}x{_HUGE}",
    ),
    f"PNG that declares {_HUGE}x{_HUGE}": Kind(
        Expected.REFUSED,
        lambda rng: _compressed(png_declaring(_png(rng), _HUGE, _HUGE), "png"),
        f"PNG declares {_HUGE}x{_HUGE}",
    ),
    "PNG with a chunk that declares gigabytes": Kind(
        Expected.REFUSED, lambda rng: _compressed(_png_with_lying_chunk(rng), "png"), "a chunk declares"
    ),
    "JPEG of zero size": Kind(
        Expected.REFUSED, lambda rng: _compressed(jpeg_declaring(_jpeg(rng), 48, 0)), "no pixels"
    ),
    "PNG of zero size": Kind(
        Expected.REFUSED, lambda rng: _compressed(png_declaring(_png(rng), 0, 48)), "no pixels"
    ),
    "JPEG that declares another size": Kind(
        Expected.EITHER, lambda rng: _compressed(jpeg_declaring(_jpeg(rng), *_size(rng)))
    ),
    "PNG that declares another size": Kind(
        Expected.EITHER, lambda rng: _compressed(png_declaring(_png(rng), *_size(rng)))
    ),
    "no JPEG or PNG": Kind(Expected.REFUSED, lambda rng: _compressed(_no_picture(rng)), "expected JPEG"),
    "progressive, grey, 16-bit, alpha, one bit": Kind(
        Expected.LABELLED, lambda rng: _compressed(_odd_picture(rng), "no such format")
    ),
    ABSURD_STAMP: Kind(Expected.LABELLED, lambda rng: _absurd_stamp(_compressed(_jpeg(rng)), rng)),
}


# The run


class _Message(NamedTuple):
    """What a message and its label share."""

    name: str
    stamp: int


@dataclass
class _Sent:
    """What was sent and what came of it, by frame_id; ``kind`` is None for a good frame."""

    kinds: dict[str, str | None] = field(default_factory=dict)
    messages: dict[str, _Message] = field(default_factory=dict)
    labels: dict[str, _Message] = field(default_factory=dict)
    resident: list[int] = field(default_factory=list)
    lines: list[tuple[float, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def of(self, expected: Expected, kinds: Mapping[str, Kind]) -> list[str]:
        """Return messages of the kinds of which this is expected."""
        return [name for name, kind in self.kinds.items() if kind and kinds[kind].expected is expected]


def run(short: bool) -> Generator[Row]:
    """Yield the rows of both transports."""
    for transport, kinds in (("raw", RAW), ("compressed", COMPRESSED)):
        count = (SHORT_MESSAGES if short else MESSAGES) // 2
        queues = {"qos.depth": 3 * _GROUP, "max_waiting": 3 * _GROUP}
        with active_node({**SMALL, **queues, "transport": transport}) as bench:
            sent = _send(bench, kinds, count, raw=transport == "raw")
            yield from _judge(transport, kinds, sent, bench)


def _send(bench: Bench, kinds: Mapping[str, Kind], count: int, raw: bool) -> _Sent:
    """Return ``count`` bad and odd messages in random order, with a good one after each handful."""
    rng, sent, graph = np.random.default_rng(_SEED), _Sent(), bench.graph

    def on_label(message: Image) -> None:
        label = _Message(message.header.frame_id, stamp_of(message))
        sent.labels[label.name] = label

    labels = graph.listen(Image, f"{output_base(FRONT)}/label", EVERYTHING, on_label)
    topic, kind_of_message = (FRONT, Image) if raw else (FRONT + COMPRESSED_SUFFIX, CompressedImage)
    camera = graph.camera(topic, kind=kind_of_message)

    def send(kind: str | None) -> str:
        message = kinds[kind].make(rng) if kind else _sound(rng) if raw else _compressed(_jpeg(rng))
        if kind != ABSURD_STAMP:
            message.header = camera.header()
        name = message.header.frame_id = f"{kind or 'good'} {len(sent.kinds)}"
        sent.kinds[name], sent.messages[name] = kind, _Message(name, stamp_of(message))
        camera.publisher.publish(message)
        return name

    printed = len(bench.node.lines)
    until_labelled(bench, lambda: send(None), sent.labels)
    order = [name for name in kinds for _ in range(-(-count // len(kinds)))][:count]
    for number, kind in enumerate(rng.permutation(order).tolist(), 1):
        send(kind)
        if number % _GROUP == 0 or number == count:
            name = send(None)
            graph.wait_for(partial(sent.labels.get, name), f"the label of '{name}'")
            sent.resident.append(bench.node.usage().resident)
            now = time.monotonic()
            sent.lines += [(now, line) for line in bench.node.lines[printed + len(sent.lines) :]]
    sent.counts = graph.counts(topic)
    graph.stop_listening(labels)
    return sent


def _judge(transport: str, kinds: Mapping[str, Kind], sent: _Sent, bench: Bench) -> Generator[Row]:
    bad = sum(kind is not None for kind in sent.kinds.values())
    what = f"the same, {transport}"
    good = [name for name, kind in sent.kinds.items() if kind is None]
    right = [name for name in good if sent.labels.get(name) == sent.messages[name]]
    unwatched = sent.counts["unwatched"]
    yield Row(
        f"{transport}: {bad} bad and odd messages of {len(kinds)} kinds among {len(good)} good frames",
        "every good frame is labelled, with its own stamp",
        f"{len(right)} of {len(good) - unwatched} labelled",
        len(right) == len(good) - unwatched,
    )
    yield _row_of_fates(what, kinds, sent)
    yield _row_of_counts(what, sent)
    ended = not bench.node.is_running()
    traces = sum("Traceback" in line for line in bench.node.lines)
    yield Row(
        what,
        "none crashes the node, or a part of it",
        f"{'ended' if ended else 'running'}, {traces} tracebacks, {sent.counts['failed']} failed frames",
        not ended and not traces and not sent.counts["failed"],
    )
    warm = sent.resident[_WARM_UP // _GROUP]
    growth = (sent.resident[-1] - warm) / 1e6
    yield Row(
        f"{what}, after a warm-up of {_WARM_UP} of them",
        f"resident memory grows by less than {MEMORY_MB:g} MB",
        f"{growth:+.1f} MB on {warm / 1e6:.0f} MB",
        growth < MEMORY_MB,
        {"growth_mb": growth},
    )
    yield from _rows_of_reasons(what, kinds, sent)


def _row_of_fates(what: str, kinds: Mapping[str, Kind], sent: _Sent) -> Row:
    refused, odd = sent.of(Expected.REFUSED, kinds), sent.of(Expected.LABELLED, kinds)
    wrong = [name for name in refused if name in sent.labels]
    wrong += [name for name in odd if sent.labels.get(name) != sent.messages[name]]
    either = sent.of(Expected.EITHER, kinds)
    decoded = sum(name in sent.labels for name in either)
    measured = f"{len(refused) + len(odd) - len(wrong)} as required"
    if either:
        measured += f"; {decoded} of {len(either)} that can be decoded in spite of their damage are labelled"
    if wrong:
        measured += f"; wrong: {', '.join(wrong[:5])}"
    return Row(
        what,
        f"{len(refused)} unreadable ones are refused, {len(odd)} odd but sound ones labelled",
        measured,
        not wrong,
    )


def _row_of_counts(what: str, sent: _Sent) -> Row:
    counts = sent.counts
    fates = {name: count for name, count in counts.items() if name not in ("received", "waiting")}
    shown = " + ".join(f"{count} {name}" for name, count in fates.items() if count)
    return Row(
        what,
        "the node's own counts: all that was sent = labelled + dropped by cause",
        f"{len(sent.kinds)} sent, {counts['received']} received = {shown}",
        len(sent.kinds) == counts["received"] == sum(fates.values())
        and counts["labelled"] == len(sent.labels),
    )


def _rows_of_reasons(what: str, kinds: Mapping[str, Kind], sent: _Sent) -> Generator[Row]:
    reasons = {name: kind.reason for name, kind in kinds.items() if kind.reason}
    silent = [name for name, reason in reasons.items() if not any(reason in line for _, line in sent.lines)]
    yield Row(
        what,
        "the reason for each kind that is refused is logged",
        f"{len(reasons) - len(silent)} of {len(reasons)} kinds"
        + (f"; not for: {', '.join(silent)}" if silent else ""),
        not silent,
    )
    times = [when for when, _ in sent.lines]
    most = max((sum(t <= other < t + PERIOD for other in times) for t in times), default=0)
    yield Row(
        what,
        f"the log is throttled: at most {LINES} lines in {PERIOD:g} s",
        f"{most} lines in the fullest {PERIOD:g} s, {len(times)} in all",
        most <= LINES,
        {"most_lines": most},
    )


CHECK = Check("bad_frames", "Bad frames", "thousands of broken messages between good ones", run)
