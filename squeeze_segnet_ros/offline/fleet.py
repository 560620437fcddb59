"""Label many bags on a Ray cluster: a task for each bag, or for each slice of a long one.

Ray schedules, and tries a task again elsewhere whose worker or node died; a task that fails because of its
data is not tried again. Workers load the network once. Inputs and outputs are paths that every node sees, or
URLs of fsspec.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.engine import Segmenter
from squeeze_segnet_ros.errors import ConfigError, SegmentationError, one_line
from squeeze_segnet_ros.offline import storage
from squeeze_segnet_ros.offline.label import SUMMARY, Options, Task, as_json, attempt, sha256, sums
from squeeze_segnet_ros.offline.sources import choose_cameras, find_inputs
from squeeze_segnet_ros.topics import LABEL_INFO, STATS

LOCAL, AUTO = "local", "auto"
SLICE_S = 300.0
"""Longer bags are labelled in slices of so many seconds, which are joined."""
RETRIES = 3
"""How often a task is tried again whose worker died."""
_PARTS = ".unfinished"
_OBJECT_STORE = 100 * 2**20
"""Bytes of a local Ray's object store: what tasks hand over is small."""


class Fleet(NamedTuple):
    """Where and how tasks run: ``address`` is a cluster's, or ``auto``, or ``local`` for this machine."""

    address: str = LOCAL
    workers: int = 0
    """On this machine alone; 0 for one a core."""
    worker_cpus: float = 1
    worker_gpus: float = 0
    slice_s: float = SLICE_S


@dataclass
class _Bag:
    """A bag on its way through the fleet."""

    name: str
    source: str
    frames: int = 0
    parts: list[dict[str, Any] | None] = field(default_factory=list)


class State(NamedTuple):
    """How far a fleet is: frames and bags that are done, and how many there are, as far as is known."""

    frames: int
    total_frames: int
    bags: int
    total_bags: int


def label_fleet(
    inputs: Sequence[str],
    output: str,
    options: Options,
    fleet: Fleet,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tell: Callable[[State], None] = lambda state: None,
) -> dict[str, Any]:
    """Label bags on a Ray cluster and return the summary, which lies in ``output`` too.

    Args:
        inputs: bags, or folders of bags: paths or URLs.
        output: folder: path or URL.
        options: how to label.
        fleet: where.
        resume: leave what is whole from a run before, with the same options.
        overwrite: label again what is there.
        tell: is told how far it is.

    Raises:
        ConfigError: an input, the output or the cluster is not there, or the output has other labels.
    """
    place = output if storage.is_url(output) else str(Path(output).expanduser().absolute())
    bags = [_Bag(name, source) for name, source in _named(_sources(inputs)).items()]
    summary = _summary_before(place, options, resume)
    done = summary.get("bags", {})
    todo = [bag for bag in bags if not (resume and _is_whole(place, done.get(bag.name, {})))]
    for bag in todo:
        if not (resume or overwrite) and storage.exists(f"{place}/{bag.name}"):
            raise ConfigError(
                f"{place}/{bag.name} exists already: go on with --resume, replace it with --overwrite, "
                "or choose another folder"
            )
    summary |= {"options": as_json(options)}
    summary.setdefault("bags", {})
    with _cluster(fleet) as ray:
        work = _Work(ray, fleet, options, place, todo)
        for bag, entry in work.run(tell):
            summary["bags"][bag.name] = entry
            storage.write_text(f"{place}/{SUMMARY}", _text(summary))
    summary |= sums(summary)
    storage.write_text(f"{place}/{SUMMARY}", _text(summary))
    storage.remove(f"{place}/{_PARTS}")
    return summary


def _sources(inputs: Sequence[str]) -> list[str]:
    found: list[str] = []
    for given in inputs:
        if storage.is_url(given):
            found += storage.bags_at(given)
            continue
        for path in find_inputs([given]):
            if path.suffix and path.suffix not in (".mcap", ".db3") and not path.is_dir():
                raise ConfigError(
                    f"{path}: a fleet labels bags; pictures and films are labelled without --ray"
                )
            found.append(str(path.absolute()))
    return list(dict.fromkeys(found))


def _named(sources: Sequence[str]) -> dict[str, str]:
    """Return sources by name, with their folder's where two are equal."""
    names = [storage.name_of(source) for source in sources]
    named: dict[str, str] = {}
    for source, name in zip(sources, names, strict=True):
        if names.count(name) > 1:
            name = f"{storage.name_of(source.rstrip('/').rpartition('/')[0])}_{name}"
        if name in named:
            raise ConfigError(f"two inputs are called {name}: label them into folders of their own")
        named[name] = source
    return named


def _summary_before(place: str, options: Options, resume: bool) -> dict[str, Any]:
    text = storage.read_text(f"{place}/{SUMMARY}") if resume else None
    if not text:
        return {}
    try:
        summary: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{place}/{SUMMARY} cannot be read ({error}): remove it to label anew") from None
    if summary.get("options") != as_json(options):
        raise ConfigError(f"{place}/{SUMMARY} is of a run with other options: give those, or another folder")
    return summary


def _is_whole(place: str, entry: dict[str, Any]) -> bool:
    files = entry.get("sha256", {})
    return bool(files) and "error" not in entry and all(storage.exists(f"{place}/{name}") for name in files)


def _text(summary: dict[str, Any]) -> str:
    return json.dumps(summary, indent=2) + "\n"


# -- the driver -------------------------------------------------------------------------------------------


@contextmanager
def _cluster(fleet: Fleet) -> Iterator[Any]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError('a fleet needs Ray: pip install "squeeze_segnet_ros[fleet]"') from None
    # Workers must not wait for a terminal that nobody looks at.
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if fleet.address == LOCAL:
            # Ray's own 15 lets everything else on this machine go first.
            os.environ.setdefault("RAY_worker_niceness", "0")
            workers = fleet.workers or os.cpu_count() or 1
            ray.init(
                num_cpus=max(1, round(workers * fleet.worker_cpus)),
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
        else:
            _knock(fleet.address)
            ray.init(address=fleet.address, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        reason = one_line(error)[:200]
        raise ConfigError(f"no Ray cluster at '{fleet.address}': {reason}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nobody answers at HOST:PORT: Ray itself tries for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10.0).close()


class _Work:
    """What the driver holds: which task is for which bag, and what has come back."""

    def __init__(self, ray: Any, fleet: Fleet, options: Options, place: str, bags: Sequence[_Bag]) -> None:
        resources = {"num_cpus": fleet.worker_cpus, "num_gpus": fleet.worker_gpus, "max_retries": RETRIES}
        self._ray, self._fleet, self._options, self._place = ray, fleet, options, place
        self._bags = bags
        self._inspect = ray.remote(num_cpus=fleet.worker_cpus, max_retries=RETRIES)(inspect)
        self._label = ray.remote(**resources)(label)
        self._join = ray.remote(num_cpus=fleet.worker_cpus, max_retries=RETRIES)(join)
        self._pending: dict[Any, tuple[_Bag, str, int]] = {}

    def run(self, tell: Callable[[State], None]) -> Iterator[tuple[_Bag, dict[str, Any]]]:
        """Yield bags with their entries in the summary, as they are done."""
        started = {bag.name: time.perf_counter() for bag in self._bags}
        frames = done = 0
        for bag in self._bags:
            self._pending[self._inspect.remote(bag.source, self._options)] = (bag, "inspect", 0)
        while self._pending:
            (ready,), _ = self._ray.wait(list(self._pending), num_returns=1)
            bag, step, number = self._pending.pop(ready)
            result = self._result(ready, bag)
            if step == "label":
                frames += result.get("frames_in", 0)
            entry = self._next(bag, step, number, result)
            if entry is not None:
                done += 1
                seconds = time.perf_counter() - started[bag.name]
                yield bag, entry | {"path": bag.source, "seconds": round(seconds, 3)}
            tell(State(frames, sum(b.frames for b in self._bags), done, len(self._bags)))

    def _result(self, ready: Any, bag: _Bag) -> dict[str, Any]:
        try:
            result: dict[str, Any] = self._ray.get(ready)
            return result
        # Ray's own: a worker that died too often, no node that could run it; and what a store says.
        except Exception as error:
            return {"error": f"{bag.source}: {one_line(error, named=True)[:300]}"}

    def _next(self, bag: _Bag, step: str, number: int, result: dict[str, Any]) -> dict[str, Any] | None:
        """Start what follows; return the bag's entry where nothing does."""
        if step == "label" and len(bag.parts) > 1:
            bag.parts[number] = result
            parts = [part for part in bag.parts if part is not None]
            if len(parts) < len(bag.parts):
                return None
            failed = [part for part in parts if "error" in part]
            if failed:
                return failed[0]
            task = self._join.remote(bag.name, self._place, parts)
            self._pending[task] = (bag, "join", 0)
            return None
        if step != "inspect" or "error" in result:
            return result
        bag.frames = result["frames"]
        spans = self._spans(result["start_ns"], result["end_ns"])
        bag.parts = [None] * len(spans)
        for index, span in enumerate(spans):
            task = self._label.remote(self._options, bag.source, self._place, bag.name, span, index)
            self._pending[task] = (bag, "label", index)
        return None

    def _spans(self, start_ns: int, end_ns: int) -> list[tuple[int, int] | None]:
        step = int(self._fleet.slice_s * 1e9)
        # A film, a folder of pictures, or a recording for Rerun is one.
        options = self._options
        if end_ns - start_ns <= step or options.video or options.images or options.rrd:
            return [None]
        return [(at, min(at + step, end_ns)) for at in range(start_ns, end_ns, step)]


# -- the workers ------------------------------------------------------------------------------------------


@contextmanager
def _fetched(source: str) -> Iterator[tuple[Path, Path]]:
    """Give a local copy of a bag, or the bag itself, and an empty folder."""
    with tempfile.TemporaryDirectory(prefix="squeeze_segnet_") as folder:
        (Path(folder) / "in").mkdir()
        (Path(folder) / "out").mkdir()
        yield storage.fetch(source, Path(folder) / "in"), Path(folder) / "out"


def inspect(source: str, options: Options) -> dict[str, Any]:
    """Return how many frames a bag has and its span of time; with ``error`` where it cannot be labelled."""
    try:
        with _fetched(source) as (path, _), open_bag(path, recover=True) as bag:
            cameras = choose_cameras(bag, options.topics)
            frames = sum(bag.info[topic].count for topic in cameras.values())
            return {"frames": frames, "start_ns": bag.start_ns, "end_ns": bag.end_ns}
    except (SegmentationError, OSError) as error:
        return {"error": f"{source}: {one_line(error)}"}


@cache
def _network(options: Options, threads: int) -> Segmenter:
    torch.set_num_threads(threads)
    return options.load()


def label(
    options: Options, source: str, place: str, name: str, span: tuple[int, int] | None, number: int
) -> dict[str, Any]:
    """Label a bag, or a part of it, and return its entry in the summary."""
    import ray

    cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
    try:
        network = _network(options, max(1, int(cpus)))
    except SegmentationError as error:
        return {"error": str(error)}
    with _fetched(source) as (path, folder):
        entry = attempt(Task("bags", name, (path,), span), folder, network, options)
        if "error" not in entry:
            target = place if span is None else f"{place}/{_PARTS}/{name}/{number}"
            storage.store(folder, target, _metadata_last(entry["sha256"]))
        runs = {
            "model": network.model,
            "weights_sha256": network.weights_sha256,
            "device": network.device,
            "precision": network.precision,
        }
        return entry | runs | {"part": number}


def join(name: str, place: str, parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the labelled parts of a bag and return its entry in the summary."""
    with tempfile.TemporaryDirectory(prefix="squeeze_segnet_") as folder:
        target, counts = Path(folder) / name, _Counts()
        with BagWriter(target) as writer:
            for part in parts:
                if part["sha256"]:
                    source = f"{place}/{_PARTS}/{name}/{part['part']}/{name}"
                    fetched = storage.fetch(source, Path(folder) / str(part["part"]))
                    _copy(fetched, writer, counts)
                counts.end_part(part)
        files = {f"{name}/{path.name}": sha256(path) for path in sorted(target.iterdir())}
        size = sum(path.stat().st_size for path in target.iterdir())
        storage.store(Path(folder), place, _metadata_last(files))
    stages: Counter[str] = Counter()
    for part in parts:
        stages.update(part["stage_seconds"])
    return parts[0] | {
        "frames_in": sum(part["frames_in"] for part in parts),
        "frames_labelled": sum(part["frames_labelled"] for part in parts),
        "frames_refused": [refused for part in parts for refused in part["frames_refused"]],
        "stage_seconds": dict(stages),
        "output_bytes": size,
        "sha256": files,
        "parts": len(parts),
    }


class _Counts:
    """Carries the counts in ``stats`` from part to part, and says what an id means once."""

    def __init__(self) -> None:
        self.announced: set[str] = set()
        self._before: Counter[tuple[str, str]] = Counter()
        self._now: dict[str, Any] = {}

    def add(self, stats: Any) -> None:
        """Make counts from the part's beginning those from the bag's."""
        self._now[stats.camera] = stats.frames_labelled
        stats.dropped_invalid += self._before[stats.camera, "refused"]
        stats.frames_labelled += self._before[stats.camera, "labelled"]
        stats.frames_received = stats.frames_labelled + stats.dropped_invalid

    def end_part(self, part: dict[str, Any]) -> None:
        """Remember what a part had."""
        for camera, labelled in self._now.items():
            self._before[camera, "labelled"] += labelled
        for refused in part["frames_refused"]:
            self._before[refused["frame"], "refused"] += 1
        self._now = {}


def _copy(part: Path, writer: BagWriter, counts: _Counts) -> None:
    with open_bag(part) as bag:
        for topic, time_ns, kind, data in bag.messages():
            info = bag.info[topic]
            if kind == LABEL_INFO.type:
                if topic in counts.announced:
                    continue
                counts.announced.add(topic)
            elif kind == STATS.type:
                stats = messages.typestore().deserialize_cdr(data, kind)
                counts.add(stats)
                data = messages.serialize(stats)
            writer.write(topic, kind, time_ns, data, latched=info.latched, depth=info.depth)


def _metadata_last(names: Sequence[str] | dict[str, str]) -> list[str]:
    """Return names of a bag's files, that which makes it a bag last."""
    return sorted(names, key=lambda name: (name.endswith("metadata.yaml"), name))
