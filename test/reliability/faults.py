"""What breaks around the node on a vehicle, and input that wishes it ill."""

from __future__ import annotations

import json
import os
import signal
import statistics
import struct
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from sensor_msgs.msg import CompressedImage, Image

from reliability.bad_frames import jpeg_declaring
from reliability.graph import Graph, picture
from reliability.harness import (
    FRONT,
    SMALL,
    Bench,
    Published,
    active_node,
    node_command,
    start_launch,
    start_node,
    until_labelled,
)
from reliability.report import Check, Row
from reliability.sender import Stream, encoded, sent_by, start_sender
from squeeze_segnet_ros.memory import peak_resident_bytes
from squeeze_segnet_ros.stamps import nanoseconds
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, output_base
from support.processes import Running, TooLate, descendants

BACK_S = 10.0
"""Within so many seconds after the node was killed there are labelled frames again."""
EXIT_S = 2.0
"""Within so many seconds after a signal the node has ended."""
SLOWER = 1.2
"""A frame may take so many times as long while a subscriber does not read."""
PEAK_MB = 20.0
"""Refusing may raise the node's peak memory by so much, in 10**6 bytes."""
_SIZE = (64, 96)
_BOMB = 60_000
_DISK_KB, _LEFT_KB = 64, 8
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Rows = Generator[Row]


class Frames:
    """Sends pictures to the front camera's topic and waits for their labels."""

    def __init__(self, bench: Bench, encoding: str = "rgb8") -> None:
        self.bench = bench
        self.seen = Published(bench.graph)
        compressed = encoding != "rgb8"
        topic = FRONT + COMPRESSED_SUFFIX if compressed else FRONT
        self._camera = bench.graph.camera(topic, kind=CompressedImage if compressed else Image)
        self._messages = [encoded(picture(seed, *_SIZE), encoding) for seed in range(16)]
        self._sent = 0
        until_labelled(bench, self.send, self.seen.labels)

    def send(self, message: Any = None) -> int:
        """Publish a picture, or a message of your own; the stamp that it got."""
        message = message or self._messages[self._sent % len(self._messages)]
        message.header = self._camera.header()
        self._camera.publisher.publish(message)
        self._sent += 1
        return nanoseconds(message.header.stamp)

    def label(self, count: int) -> list[float]:
        """Send so many frames, each after the label of the last; how long each took, in seconds."""
        times = []
        for _ in range(count):
            started, stamp = time.monotonic(), self.send()
            while stamp not in self.seen.labels:
                if time.monotonic() > started + BACK_S:
                    raise TooLate(f"no label within {BACK_S:g} s; the node printed:\n{self.bench.node.text}")
                time.sleep(0.001)
            times.append(self.seen.labels[stamp].arrived - started)
        return times


def run(short: bool) -> Rows:
    """Yield the rows of all faults."""
    with tempfile.TemporaryDirectory(prefix="reliability_") as folder:
        yield from _beside_a_running_node(short, Path(folder))
        yield from _reported("the node is killed with -9 under respawn", _killed_node(short, Path(folder)))
        yield from _reported("the disk for logs is full", _full_disk(short, Path(folder)))
        for state in _STATES[:1] if short else _STATES:
            yield from _reported(f"SIGINT and SIGTERM, {state.name}", _signals(state))


def _reported(what: str, rows: Rows) -> Rows:
    """Yield the rows; where they end early, one that says why, so that the next fault gets its turn."""
    try:
        yield from rows
    except TooLate as error:
        yield Row(what, "it gets to its end", str(error), False)


def _beside_a_running_node(short: bool, folder: Path) -> Rows:
    from squeeze_segnet_ros.models import weights

    own = folder / "own.safetensors"
    own.write_bytes(weights.released("squeeze_segnet").read_bytes())
    values = {**SMALL, "weights": own, "transport": "compressed", "max_waiting": 30}
    with active_node(values) as bench:
        frames = Frames(bench, "jpeg")
        yield from _reported("the camera is killed", _killed_camera(bench, frames, short))
        yield from _reported("a subscriber stops", _stopped_subscriber(bench, frames, short))
        yield from _reported("the weights file is replaced", _replaced_weights(bench, frames, own, folder))
        yield from _reported("hostile weights", _hostile_weights(bench, frames, folder))
        yield from _reported("bombs", _bombs(bench, frames))


# Around the node


def _killed_camera(bench: Bench, frames: Frames, short: bool) -> Rows:
    rate, seconds = 10.0, 1.0 if short else 5.0
    stream = Stream(FRONT, rate, [_SIZE], ["jpeg"])
    before = len(frames.seen.labels)
    with start_sender([stream], 600.0) as camera:
        bench.graph.wait_for(lambda: len(frames.seen.labels) > before + 5, "labels of the camera's frames")
        camera.send(signal.SIGKILL)
        camera.wait()
    silence = "no frames arrive"
    bench.graph.wait_for(
        lambda: silence in bench.graph.status(FRONT + COMPRESSED_SUFFIX).message,
        f"'{silence}' on /diagnostics",
    )
    before = len(frames.seen.labels)
    with start_sender([stream], seconds) as camera:
        sent = sum(sent_by(camera).messages.values())
    bench.graph.wait_for(lambda: len(frames.seen.labels) >= before + sent, "labels of all frames")
    labelled = len(frames.seen.labels) - before
    yield Row(
        f"the camera's process is killed with -9 and started again, at {rate:g} Hz",
        f"/diagnostics says '{silence}' meanwhile; then every frame is labelled",
        f"it says so; {labelled} of {sent} labelled",
        labelled == sent,
    )


def _stopped_subscriber(bench: Bench, frames: Frames, short: bool) -> Rows:
    count = 40 if short else 300
    with Running(["ros2", "topic", "hz", f"{output_base(FRONT)}/label"]) as subscriber:
        before = len(subscriber.lines)
        bench.graph.wait_for(
            lambda: frames.label(1) and len(subscriber.lines) > before, "a rate from the other subscriber"
        )
        usual = frames.label(count)
        subscriber.send(signal.SIGSTOP, to_all=True)
        stopped = frames.label(count)
    ratio = statistics.median(stopped) / statistics.median(usual)
    slowest = max(stopped) / statistics.median(usual)
    yield Row(
        f"of two subscribers of the labels one stops reading (SIGSTOP), for {count} frames",
        f"the other gets every label, a frame takes at most {SLOWER:g} times as long (median)",
        f"{len(stopped)} of {count} labels; {ratio:.2f} times, the slowest {slowest:.1f} times that median",
        ratio < SLOWER,
        {"ratio": ratio, "slowest": slowest},
    )


def _replaced_weights(bench: Bench, frames: Frames, own: Path, folder: Path) -> Rows:
    sound = folder / "sound.safetensors"
    sound.write_bytes(own.read_bytes())
    sha256 = frames.seen.stats[-1].weights_sha256
    own.write_bytes(b"\xa5" * 1_000_000)
    went_on = len(frames.label(10))
    same = frames.seen.stats[-1].weights_sha256 == sha256
    accepted = bench.graph.set(weights=str(sound))
    refused = bench.graph.set(weights=str(own))
    kept = bench.graph.get("weights") == str(sound)
    went_on += len(frames.label(10))
    yield Row(
        "the weights file is overwritten with garbage under the node; weights are set to a copy, then back",
        "the running network goes on; the garbage is refused with the reason, the old value stays",
        f"{went_on} of 20 frames labelled; "
        f"{f'refused: {_without(refused, folder)}' if refused else 'the garbage was taken'}",
        same and not accepted and bool(refused) and kept,
    )


def _hostile_weights(bench: Bench, frames: Frames, folder: Path) -> Rows:
    files = hostile_weights()
    before, taken = peak_resident_bytes(bench.node.pid), []
    for name, content in files.items():
        path = folder / "hostile.safetensors"
        path.write_bytes(content)
        if not bench.graph.set(weights=str(path)):
            taken.append(name)
    growth = (peak_resident_bytes(bench.node.pid) - before) / 1e6
    frames.label(5)
    yield Row(
        f"weights are set to {len(files)} safetensors files with lying headers ({', '.join(files)})",
        f"each is refused with the reason; peak memory grows by less than {PEAK_MB:g} MB",
        f"{len(files) - len(taken)} of {len(files)} refused"
        + (f", not: {', '.join(taken)}" if taken else "")
        + f"; {growth:+.1f} MB; frames are labelled as before",
        not taken and growth < PEAK_MB,
        {"peak_growth_mb": growth},
    )


def _bombs(bench: Bench, frames: Frames) -> Rows:
    jpeg = jpeg_declaring(bytes(encoded(picture(), "jpeg").data), _BOMB, _BOMB)
    for kind, data in (("PNG", png_bomb()), ("JPEG", jpeg)):
        message = CompressedImage(format=kind.lower())
        message.data.frombytes(data)
        before = peak_resident_bytes(bench.node.pid)
        frames.send(message)
        words = f"{kind} declares {_BOMB}x{_BOMB}"
        bench.node.wait_for_line(words)
        frames.label(1)
        growth = (peak_resident_bytes(bench.node.pid) - before) / 1e6
        yield Row(
            f"a {kind} of {len(data) / 1e3:.0f} kB that declares {_BOMB}x{_BOMB} pixels",
            f"refused with the reason before it is decoded: peak memory grows by less than {PEAK_MB:g} MB",
            f"'{words}'; {growth:+.1f} MB; the next frame is labelled",
            growth < PEAK_MB,
            {"peak_growth_mb": growth},
        )


def _killed_node(short: bool, folder: Path) -> Rows:
    file = folder / "parameters.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(SMALL)}}))
    took = []
    with ExitStack() as stack:
        graph = stack.enter_context(Graph())
        launch = stack.enter_context(start_launch({"params_file": file, "respawn": "true"}))
        frames = Frames(Bench(launch, graph))
        for _ in range(1 if short else 3):
            (node,) = [pid for pid in descendants(launch.pid) if "segnet_node" in _command_line(pid)]
            os.kill(node, signal.SIGKILL)
            killed = time.monotonic()
            until_labelled(frames.bench, frames.send, frames.seen.labels)
            took.append(time.monotonic() - killed)
        launch.send(signal.SIGINT)
        code = launch.wait()
    yield Row(
        f"the node is killed with -9 under `respawn:=true`, {len(took)} times",
        f"labelled frames again within {BACK_S:g} s",
        f"after {', '.join(f'{seconds:.1f} s' for seconds in took)}; the launch ended with exit code {code}",
        max(took) < BACK_S and code == 0,
        {"seconds": max(took)},
    )


def _full_disk(short: bool, folder: Path) -> Rows:
    """Yield a small disk of the node's own, in a mount namespace, and a console that takes nothing either."""
    logs = folder / "logs"
    logs.mkdir()
    mount = (
        f'mount -t tmpfs -o size={_DISK_KB}k tmpfs "$0" && '
        f'dd if=/dev/zero of="$0/filler" bs=1k count={_DISK_KB - _LEFT_KB} 2>/dev/null'
    )
    inside = ["unshare", "--map-root-user", "--mount"]
    shell = ["sh", "-c"]
    probe = subprocess.run([*inside, *shell, mount, str(logs)], capture_output=True, check=False)
    small_disk = probe.returncode == 0
    script = f'{mount} && exec "$@" 2>/dev/full' if small_disk else 'exec "$@" 2>/dev/full'
    command = [*(inside if small_disk else []), *shell, script, str(logs)]
    # Debug messages are plenty.
    command += [*node_command(SMALL), "--log-level", "debug"]
    with ExitStack() as stack:
        graph = stack.enter_context(Graph())
        node = stack.enter_context(Running(command, ROS_LOG_DIR=str(logs)))
        bench = Bench(node, graph)
        bench.wait_until_active()
        frames = Frames(bench)
        count = len(frames.label(20 if short else 200))
        free = os.statvfs(f"/proc/{node.pid}/root{logs}").f_bavail
        node.send(signal.SIGINT)
        code = node.wait()
    where = f"ROS_LOG_DIR is a tmpfs of {_DISK_KB} kB that runs full, and stderr is /dev/full"
    if not small_disk:
        where = "stderr is /dev/full (no tmpfs could be mounted here for ROS_LOG_DIR)"
    yield Row(
        f"the disk for logs is full: {where}; every debug message is logged",
        "frames are labelled as before, SIGINT ends it with exit code 0",
        f"{count} frames labelled, exit code {code}" + (f"; {free} blocks free" if small_disk else ""),
        code == 0 and (not small_disk or free == 0),
    )


# Signals


class _State(NamedTuple):
    """A state in which a signal comes: parameters to start with, and how to get there."""

    name: str
    values: dict[str, object]
    reach: Callable[[Bench], object]


def _reach_loading(bench: Bench) -> None:
    from lifecycle_msgs.srv import ChangeState

    bench.graph.wait_until("unconfigured")
    request = ChangeState.Request()
    request.transition.label = "configure"
    bench.graph.start(ChangeState, "change_state", request)
    time.sleep(0.5)  # importing PyTorch and loading take longer


def _reach_pass(bench: Bench) -> None:
    bench.wait_until_active()
    seen = Published(bench.graph)
    camera = bench.graph.camera(FRONT)
    until_labelled(
        bench, lambda: nanoseconds(camera.send(picture(len(seen.stats), *_SIZE)).stamp), seen.labels
    )
    for seed in range(3):
        camera.send(picture(seed, *_SIZE))
    bench.graph.wait_for(lambda: bench.graph.counts(FRONT)["waiting"], "a frame that is being worked on")


def _reach_inactive(bench: Bench) -> None:
    bench.wait_until_active()
    bench.graph.change_state("deactivate")


_SLOW: dict[str, object] = {"input_size": [1280, 1280], "device": "cpu", "precision": "fp32"}
"""Parameters with which a network pass takes seconds, on one core."""
_STATES = (
    _State("unconfigured", {"autostart": False}, lambda bench: bench.graph.wait_until("unconfigured")),
    _State("while it loads the network", {"autostart": False}, _reach_loading),
    _State("inactive", dict(SMALL), _reach_inactive),
    _State("active", dict(SMALL), Bench.wait_until_active),
    _State("during a network pass of seconds", _SLOW, _reach_pass),
)


def _signals(state: _State) -> Rows:
    found, slowest, good = [], 0.0, True
    for number in _SIGNALS:
        # A name of its own: what is left of the last node in the graph must not answer.
        name = f"{number.name}_{_STATES.index(state)}".lower()
        with Graph(f"/{name}") as graph, start_node(state.values, name, OMP_NUM_THREADS="1") as node:
            state.reach(Bench(node, graph))
            started = time.monotonic()
            node.send(number)
            code = node.wait()
            seconds = time.monotonic() - started
        found.append(f"{number.name}: exit code {code} after {seconds:.1f} s")
        slowest = max(slowest, seconds)
        good = good and code == 0 and seconds < EXIT_S and "Traceback" not in node.text
    yield Row(
        f"SIGINT and SIGTERM, {state.name}",
        f"exit code 0 within {EXIT_S:g} s",
        "; ".join(found),
        good,
        {"seconds": slowest},
    )


# Hostile files


def png_bomb() -> bytes:
    """Return a complete PNG of 60,000 x 60,000 black pixels: half a megabyte that unpacks to 450."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + _BOMB // 8)  # a filter byte, then one bit per pixel
    packed = b"".join(packer.compress(row * 100) for _ in range(_BOMB // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", _BOMB, _BOMB, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def hostile_weights() -> dict[str, bytes]:
    """Return contents of safetensors files that lie, by what they lie about."""

    def file(header: dict[str, Any], data: bytes = bytes(64), length: int | None = None) -> bytes:
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + data

    def tensor(shape: Iterable[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
        return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}

    def metadata(text: str) -> dict[str, Any]:
        return {"__metadata__": {"squeeze_segnet_ros": text}, "x": tensor([16], 0, 64)}

    return {
        "length of the header": file({}, length=2**63 - 1),
        "a gigabyte of header": file({}, length=10**9),
        "offsets behind the end": file({"x": tensor([10**9], 0, 4 * 10**9)}),
        "overlapping tensors": file({"x": tensor([16], 0, 64), "y": tensor([16], 0, 64)}),
        "a shape beyond all numbers": file({"x": tensor([2**40, 2**40], 0, 64)}),
        "a negative shape": file({"x": tensor([-16], 0, 64)}),
        "an unknown type": file({"x": tensor([16], 0, 64, "F99")}),
        "nested brackets": struct.pack("<Q", 10**5) + b"[" * 10**5,
        "no metadata": file({"x": tensor([16], 0, 64)}),
        "nested metadata": file(metadata("[" * 10**5)),
        "a million classes": file(metadata(json.dumps(
            {"model": "squeeze_segnet", "label_set": {"name": "x", "classes": [[0, "x", [0, 0, 0]]] * 10**6}}
        ))),
    }  # fmt: skip


def _without(text: str, folder: Path) -> str:
    """Return a message without the place of a temporary file."""
    return text.replace(f"{folder}/", "")


def _command_line(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


CHECK = Check(
    "faults", "Faults and hostile input", "killed cameras and nodes, signals, full disks, bombs", run
)
