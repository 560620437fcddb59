"""One run of labelling: inputs to outputs, each whole or not there, and ``summary.json`` about all."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from squeeze_segnet_ros.bags import open_bag
from squeeze_segnet_ros.bags.reader import BagReader, is_bag, printable
from squeeze_segnet_ros.engine import Request, Segmenter, load
from squeeze_segnet_ros.errors import BagError, ConfigError, SegmentationError, one_line
from squeeze_segnet_ros.offline import BATCH, DEFAULT_OUTPUTS
from squeeze_segnet_ros.offline.pipeline import Frame, Outcome, label_frames
from squeeze_segnet_ros.offline.sinks import BagSink, Extras, PictureSink, outputs_named
from squeeze_segnet_ros.offline.sources import (
    FILMS,
    bag_frames,
    camera_infos,
    choose_cameras,
    film_frames,
    find_inputs,
    picture_frames,
)
from squeeze_segnet_ros.topics import CAMERA_INFO, CONFIDENCE, OVERLAY
from squeeze_segnet_ros.view.recording import Timeline

SUMMARY = "summary.json"
FILM_CAMERA = "/film/image_raw"
"""The camera that a film's frames count as."""
_UNFINISHED = ".unfinished"
_PICTURES = "pictures"


@dataclass(frozen=True)
class Options:
    """What to label with and what to write; as the node's parameters of the same names."""

    model: str = "squeeze_segnet"
    weights: str | None = None
    device: str = "auto"
    precision: str = "auto"
    input_size: tuple[int, int] | None = None
    min_confidence: float = 0.0
    topics: tuple[str, ...] = ()
    outputs: tuple[str, ...] = tuple(output.name for output in DEFAULT_OUTPUTS)
    overlay: bool = False
    video: bool = False
    images: bool = False
    times: bool = False
    rrd: bool = False
    batch: int = BATCH

    @classmethod
    def of(cls, arguments: argparse.Namespace, **others: Any) -> Options:
        """Take what commands that label have in common from their arguments, and ``others`` as given."""
        return cls(
            model=arguments.model,
            weights=arguments.weights,
            device=arguments.device,
            precision=arguments.precision,
            input_size=tuple(arguments.input_size) if arguments.input_size else None,
            min_confidence=arguments.min_confidence,
            topics=tuple(arguments.topics),
            **others,
        )

    def __post_init__(self) -> None:
        outputs_named(self.outputs)
        if self.batch < 1:
            raise ConfigError(f"batch is {self.batch}: at least 1 frame")

    @property
    def request(self) -> Request:
        """What is asked of the network."""
        outputs = outputs_named(self.outputs)
        return Request(
            confidence=CONFIDENCE in outputs,
            overlay=OVERLAY in outputs or self.overlay or self.video,
            min_confidence=self.min_confidence,
        )

    def load(self) -> Segmenter:
        """Load the network."""
        return load(self.model, self.weights, self.device, self.precision, self.input_size)


class Task(NamedTuple):
    """One input and the name of what becomes of it: ``kind`` is bags, films or pictures.

    ``span``: the part of a bag, from a time of recording, in ns, until before another; None for all of it.
    """

    kind: str
    name: str
    paths: tuple[Path, ...]
    span: tuple[int, int] | None = None


class Progress(NamedTuple):
    """How far a run is: of the whole, and of ``name``, in frames. ``total`` is 0 while it is not known."""

    name: str
    done: int
    total: int


Tell = Callable[[Progress], None]


def plan(paths: Sequence[str | Path]) -> list[Task]:
    """Return the tasks of a run, pictures together as one.

    Raises:
        ConfigError: an input is none, or two have one name.
    """
    inputs = list(dict.fromkeys(find_inputs(paths)))
    single = [path for path in inputs if is_bag(path) or path.suffix.lower() in FILMS]
    names = [_name(path) for path in single]
    tasks = []
    for path, name in zip(single, names, strict=True):
        if names.count(name) > 1:
            name = f"{path.absolute().parent.name}_{name}"
        tasks.append(Task("bags" if is_bag(path) else "films", name, (path,)))
    pictures = tuple(path for path in inputs if path not in single)
    if pictures:
        tasks.append(Task("pictures", _PICTURES, pictures))
    for name, count in Counter(task.name for task in tasks).items():
        if count > 1:
            raise ConfigError(f"two inputs are called {name}: label them into folders of their own")
    return tasks


def _name(path: Path) -> str:
    absolute = path.absolute()
    return absolute.name if path.is_dir() else absolute.stem


class Run:
    """Labels tasks into a folder, one after the other, and keeps its summary.

    Args:
        output: the folder; made where it is not there.
        tasks: what to label.
        options: how.
        resume: leave what is whole from a run before, with the same options.
        overwrite: label again what is there.

    Raises:
        ConfigError: the folder lies inside an input, holds something of the same name, or comes from a run
            with other options.
    """

    def __init__(
        self,
        output: str | Path,
        tasks: Sequence[Task],
        options: Options,
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.output = Path(output).expanduser()
        self.tasks, self.options = tuple(tasks), options
        self._check_place()
        self.summary = self._read_summary() if resume else {}
        if resume and self.summary and self.summary.get("options") != as_json(options):
            raise ConfigError(
                f"{self.output / SUMMARY} is of a run with other options: give those, or another folder"
            )
        self.todo = [task for task in self.tasks if not (resume and self._is_whole(task))]
        for task in self.todo:
            there = [path for path in self._outputs_of(task) if path.exists()]
            if there and not (resume or overwrite):
                raise ConfigError(
                    f"{there[0]} exists already: go on with --resume, replace it with --overwrite, "
                    "or choose another folder"
                )
        self._resume = resume

    # -- what there is ----------------------------------------------------------------------------------

    def _check_place(self) -> None:
        place = self.output.resolve()
        for path in (path.resolve() for task in self.tasks for path in task.paths):
            if path.is_dir() and (place == path or path in place.parents):
                raise ConfigError(
                    f"--output {self.output} lies inside the input {path}: choose another folder"
                )
        if place.exists() and not place.is_dir():
            raise ConfigError(f"--output {self.output} is a file: name a folder")

    def _read_summary(self) -> dict[str, Any]:
        path = self.output / SUMMARY
        if not path.exists():
            return {}
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} cannot be read ({error}): remove it to label anew") from None
        if not isinstance(summary, dict):
            raise ConfigError(f"{path} is no summary of a run: remove it to label anew")
        return summary

    def _is_whole(self, task: Task) -> bool:
        entry = self.summary.get(task.kind, {}).get(task.name, {})
        files = entry.get("sha256", {})
        if not files or "error" in entry or entry.get("input_bytes") != _size(task.paths):
            return False
        return all(sha256(self.output / name) == digest for name, digest in files.items())

    def _outputs_of(self, task: Task) -> list[Path]:
        if task.kind != "pictures":
            return [self.output / task.name]
        return [self.output / f"{name}_label.png" for name in picture_names(task.paths)]

    # -- labelling --------------------------------------------------------------------------------------

    def label(self, segmenter: Segmenter, tell: Tell = lambda progress: None) -> dict[str, Any]:
        """Label what is left and return the summary; an input that fails is in it, and the others go on."""
        self.begin(segmenter)
        for task in self.todo:
            self.finish(task, attempt(task, self.output, segmenter, self.options, tell, self._resume))
        return self.end()

    def begin(self, segmenter: Segmenter) -> None:
        """Make the folder and say in the summary what runs."""
        try:
            self.output.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.output / _UNFINISHED, ignore_errors=True)
        except OSError as error:
            raise ConfigError(f"--output {self.output} cannot be made: {error.strerror}") from None
        self.summary |= {
            "model": segmenter.model,
            "weights_sha256": segmenter.weights_sha256,
            "device": segmenter.device,
            "precision": segmenter.precision,
            "options": as_json(self.options),
        }

    def finish(self, task: Task, entry: dict[str, Any]) -> None:
        """Put what came of a task into the summary, which is always whole on the disk."""
        self.summary.setdefault(task.kind, {})[task.name] = entry
        self._write()

    def end(self) -> dict[str, Any]:
        """Return the summary with its sums."""
        self.summary |= sums(self.summary)
        self._write()
        shutil.rmtree(self.output / _UNFINISHED, ignore_errors=True)
        return self.summary

    def _write(self) -> None:
        unfinished = self.output / f".{SUMMARY}.unfinished"
        try:
            unfinished.write_text(json.dumps(self.summary, indent=2) + "\n", encoding="utf-8")
            unfinished.replace(self.output / SUMMARY)
        except OSError as error:
            raise ConfigError(f"{self.output / SUMMARY} cannot be written: {error.strerror}") from None


def sums(summary: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of all inputs together."""
    entries = [e for kind in ("bags", "films", "pictures") for e in summary.get(kind, {}).values()]
    return {
        "frames_in": sum(entry.get("frames_in", 0) for entry in entries),
        "frames_labelled": sum(entry.get("frames_labelled", 0) for entry in entries),
        "frames_refused": sum(len(entry.get("frames_refused", ())) for entry in entries),
        "failed": [entry["error"] for entry in entries if "error" in entry],
    }


def attempt(
    task: Task,
    output: Path,
    segmenter: Segmenter,
    options: Options,
    tell: Tell = lambda progress: None,
    resume: bool = False,
) -> dict[str, Any]:
    """Label one task and return its entry in the summary: with ``error`` where it failed."""
    started = time.perf_counter()
    entry: dict[str, Any] = {
        "path": [str(path) for path in task.paths] if len(task.paths) > 1 else str(task.paths[0])
    }
    try:
        work = {"bags": _label_bag, "films": _label_film}.get(task.kind)
        if work is None:
            entry |= _label_pictures(task, output, segmenter, options, tell, resume)
        else:
            entry |= work(task, output, segmenter, options, tell)
    except SegmentationError as error:
        entry["error"] = str(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        entry["error"] = f"{task.name}: {where}{error.strerror or error}"
    # One input in a hundred must not take the others with it, whatever is in it.
    except Exception as error:
        entry["error"] = f"{task.name}: {one_line(error, named=True)}"
    seconds = time.perf_counter() - started
    entry["seconds"] = round(seconds, 3)
    if "duration_s" in entry:
        entry["realtime_factor"] = round(entry["duration_s"] / seconds, 3)
    return entry


def _label_bag(
    task: Task, output: Path, segmenter: Segmenter, options: Options, tell: Tell
) -> dict[str, Any]:
    with open_bag(task.paths[0], recover=True) as bag:
        cameras = choose_cameras(bag, options.topics)
        total = sum(bag.info[topic].count for topic in cameras.values())
        calibrated = CAMERA_INFO in outputs_named(options.outputs)
        start_ns, end_ns = task.span or (None, None)
        frames = bag_frames(bag, cameras, start_ns, end_ns, calibrated)
        part = task.span is not None
        entry = label_into_bag(
            task, output, list(cameras), frames, total, segmenter, options, tell, may_be_empty=part
        )
        if not part and total != entry["frames_in"]:
            raise BagError(f"{bag.path}: {total} frames announced, {entry['frames_in']} came")
        without = [camera for camera in cameras if calibrated and camera not in camera_infos(bag, cameras)]
        missing = f"no CameraInfo of {', '.join(map(printable, without))} in the bag" if without else None
        note = "; ".join(filter(None, (bag.note, missing))) or None
        return entry | {"duration_s": bag.duration_ns / 1e9, "note": note}


def _label_film(
    task: Task, output: Path, segmenter: Segmenter, options: Options, tell: Tell
) -> dict[str, Any]:
    times = [0]

    def frames() -> Iterable[Frame]:
        for frame in film_frames(task.paths[0]):
            times[0] = frame.recorded_ns
            yield frame

    entry = label_into_bag(task, output, [FILM_CAMERA], frames(), 0, segmenter, options, tell)
    return entry | {"duration_s": times[0] / 1e9}


def label_into_bag(
    task: Task,
    output: Path,
    cameras: Sequence[str],
    frames: Iterable[Frame],
    total: int,
    segmenter: Segmenter,
    options: Options,
    tell: Tell,
    may_be_empty: bool = False,
) -> dict[str, Any]:
    """Label frames into the bag ``output / task.name``, which is there when it is whole, and not empty."""
    # A bag's files are called as its folder, so it is made under its own name elsewhere.
    unfinished = output / _UNFINISHED / task.name
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    timeline = Timeline.TIME if task.kind == "films" else Timeline.STAMP
    extras = Extras(options.video, options.images, options.times, timeline if options.rrd else None)
    outputs = outputs_named(options.outputs)
    with BagSink(unfinished, cameras, outputs, segmenter, options.min_confidence, extras) as sink:
        outcome = label_frames(
            frames, segmenter, options.request, sink, options.batch,
            lambda done: tell(Progress(task.name, done, total)),
        )  # fmt: skip
    if not outcome.labelled:
        shutil.rmtree(unfinished, ignore_errors=True)
        if may_be_empty:
            return _entry(task, outcome, output, [])
        first = f": {outcome.refused[0].reason}" if outcome.refused else ""
        raise BagError(f"{task.paths[0]}: none of its {outcome.frames} frames can be labelled{first}")
    target = output / task.name
    shutil.rmtree(target, ignore_errors=True)
    _keep_on_disk(unfinished)
    unfinished.replace(target)
    return _entry(task, outcome, output, sorted(path for path in target.rglob("*") if path.is_file()))


def _label_pictures(
    task: Task, output: Path, segmenter: Segmenter, options: Options, tell: Tell, resume: bool
) -> dict[str, Any]:
    names = picture_names(task.paths)
    wanted = [n for n, name in enumerate(names) if not (resume and (output / f"{name}_label.png").exists())]
    sink = PictureSink(output, [names[n] for n in wanted], options.overlay)
    outcome = label_frames(
        picture_frames([task.paths[n] for n in wanted]), segmenter, options.request, sink, options.batch,
        lambda done: tell(Progress(task.name, done, len(wanted))),
    )  # fmt: skip
    # Those of a run before count as well.
    outcome.labelled += len(names) - len(wanted)
    suffixes = ("label", "overlay") if options.overlay else ("label",)
    files = [output / f"{name}_{suffix}.png" for name in names for suffix in suffixes]
    return _entry(task, outcome, output, [path for path in files if path.exists()])


def picture_names(paths: Sequence[Path]) -> list[str]:
    """Return what the outputs of pictures are called by: their names, with the suffix where two are equal."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else path.name for path in paths]
    again = Counter(names)
    return [
        name if again[name] == 1 else f"{path.absolute().parent.name}_{name}"
        for path, name in zip(paths, names, strict=True)
    ]


def _entry(task: Task, outcome: Outcome, output: Path, files: Sequence[Path]) -> dict[str, Any]:
    return {
        "frames_in": outcome.frames,
        "frames_labelled": outcome.labelled,
        "frames_refused": [refused._asdict() for refused in outcome.refused],
        "stage_seconds": {stage: round(seconds, 3) for stage, seconds in sorted(outcome.seconds.items())},
        "input_bytes": _size(task.paths),
        "output_bytes": sum(path.stat().st_size for path in files),
        "sha256": {str(path.relative_to(output)): sha256(path) for path in files},
    }


def _size(paths: Iterable[Path]) -> int:
    files = (f for path in paths for f in (path.rglob("*") if path.is_dir() else (path,)))
    return sum(f.stat().st_size for f in files if f.is_file())


def sha256(path: Path) -> str:
    """Return the hash of a file in hexadecimal; nothing where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
        return digest.hexdigest()


def _keep_on_disk(folder: Path) -> None:
    """Wait until the files are on the disk: a name must not be there before its content after a power cut."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def as_json(options: Options) -> dict[str, Any]:
    """Return options, which decide the bytes of the output, as JSON has them."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(options)))
    return plain


def frames_of(task: Task, options: Options) -> tuple[int, float]:
    """Return how many frames an input has, and its length in seconds; 0 of a film, which has to be read.

    Raises:
        SegmentationError: it cannot be read.
    """
    if task.kind != "bags":
        return (len(task.paths) if task.kind == "pictures" else 0), 0.0
    bag: BagReader
    with open_bag(task.paths[0], recover=True) as bag:
        cameras = choose_cameras(bag, options.topics)
        return sum(bag.info[topic].count for topic in cameras.values()), bag.duration_ns / 1e9
