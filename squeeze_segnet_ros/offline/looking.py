"""Bags, pictures, films, a camera and what ``label`` made of them, looked at in Rerun; without a graph."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from squeeze_segnet_ros.bags import messages, open_bag
from squeeze_segnet_ros.bags.reader import BagReader
from squeeze_segnet_ros.classes import UNLABELLED, LabelClass, with_names
from squeeze_segnet_ros.engine import Request, Segmentation
from squeeze_segnet_ros.errors import BagError, ConfigError, InvalidImageError, one_line
from squeeze_segnet_ros.images.decoding import read_unchanged
from squeeze_segnet_ros.images.encodings import Pixels, to_rgb
from squeeze_segnet_ros.images.health import CameraHealth, Finding
from squeeze_segnet_ros.images.label_images import class_pixels
from squeeze_segnet_ros.offline.label import FILM_CAMERA, SUMMARY, Options, Task, picture_names, plan
from squeeze_segnet_ros.offline.live_camera import LiveCamera, is_device
from squeeze_segnet_ros.offline.pipeline import Frame, Labelled, label_frames
from squeeze_segnet_ros.offline.sources import bag_frames, choose_cameras, film_frames, picture_frames
from squeeze_segnet_ros.topics import CONFIDENCE, LABEL, LABEL_INFO, LABEL_PNG, STATS, output_bases
from squeeze_segnet_ros.view.layout import short_names
from squeeze_segnet_ros.view.recording import Figures, Recording, Timeline, figures_of

Open = Callable[[Sequence[str], Sequence[LabelClass], Timeline], Recording]
"""Gives a recording of cameras of these names, with these classes, on this timeline."""
Tell = Callable[[int], None]
"""Is told how many frames were shown."""
_PICTURES = "pictures"
_TIMELINES = {"bags": Timeline.STAMP, "films": Timeline.TIME, _PICTURES: Timeline.PICTURE}


class RecordingSink:
    """Logs labelled frames into a Rerun recording; a sink of :func:`pipeline.label_frames`.

    Args:
        recording: takes them.
        names: what the recording calls each camera; None where every frame is a picture of its own.
        classes: how many there are.
    """

    def __init__(self, recording: Recording, names: Sequence[str] | None, classes: int) -> None:
        self._recording, self._names, self._classes = recording, names, classes
        self._health = [CameraHealth() for _ in names or ()]

    def encode(self, labelled: Labelled) -> np.ndarray:
        """Return the picture in RGB."""
        return to_rgb(labelled.pixels)

    def write(self, labelled: Labelled, encoded: np.ndarray) -> None:
        """Log it, and wait until it is on its way, so that nothing piles up before a slow page."""
        frame, result, pixels = labelled.frame, labelled.result, labelled.pixels
        counts = {
            "in": labelled.order + labelled.refused,
            "labelled": labelled.order,
            "refused": labelled.refused,
        }
        findings: tuple[Finding, ...] = ()
        if self._names is None:
            name, moment, counts = _PICTURES, frame.camera, {}
        else:
            name, moment = self._names[frame.camera], frame.stamp_ns
            findings = self._health[frame.camera].check(pixels.array, pixels.damage)
        self._recording.log_picture(name, moment, encoded, result.labels, result.confidence)
        figures = _figures(result, self._classes, counts, findings)
        self._recording.log_figures(name, moment, figures)
        self._recording.flush()


def look(given: str, options: Options, open_recording: Open, tell: Tell = lambda frames: None) -> int:
    """Label what is given, or read the labels that ``label`` gave it, and log everything; return the frames.

    Args:
        given: a bag, a film, a picture, a folder of pictures, a camera device, or a folder of ``label``.
        options: how to label.
        open_recording: gives what takes it.
        tell: is told how far it is.

    Raises:
        SegmentationError: it is none of these, or cannot be read.
    """
    if is_device(given):
        return _look_live(given, options, open_recording, tell)
    path = Path(given).expanduser()
    if result := _result(path, given):
        return _look_at_result(result, open_recording, tell)
    tasks = plan([given])
    if len(tasks) > 1:
        raise ConfigError(f"{given} holds {_listed(task.name for task in tasks)}: name one of them")
    return _label(tasks[0], options, open_recording, tell)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


# -- labelled now -----------------------------------------------------------------------------------------


def _label(task: Task, options: Options, open_recording: Open, tell: Tell) -> int:
    with ExitStack() as stack:
        cameras, frames = _frames(task, options.topics, stack)
        segmenter = options.load()
        names = short_names(cameras)
        recording = stack.enter_context(open_recording(names, segmenter.classes, _TIMELINES[task.kind]))
        own = None if task.kind == _PICTURES else names
        outcome = label_frames(
            frames,
            segmenter,
            Request(confidence=segmenter.gives_scores, min_confidence=options.min_confidence),
            RecordingSink(recording, own, len(segmenter.classes)),
            options.batch,
            tell,
        )
    if not outcome.labelled:
        first = f": {outcome.refused[0].reason}" if outcome.refused else ""
        raise BagError(f"{task.paths[0]}: none of its {outcome.frames} frames can be labelled{first}")
    return outcome.labelled


def _frames(task: Task, topics: Sequence[str], stack: ExitStack) -> tuple[list[str], Iterator[Frame]]:
    """Return the cameras of an input, and its frames."""
    if task.kind == "bags":
        bag = stack.enter_context(open_bag(task.paths[0], recover=True))
        cameras = choose_cameras(bag, topics)
        return list(cameras), bag_frames(bag, cameras)
    if task.kind == "films":
        return [FILM_CAMERA], film_frames(task.paths[0])
    return [_PICTURES], picture_frames(task.paths)


def _look_live(device: str, options: Options, open_recording: Open, tell: Tell) -> int:
    shown = 0
    with ExitStack() as stack:
        camera = stack.enter_context(LiveCamera(device))
        segmenter = options.load()
        ask = Request(min_confidence=options.min_confidence)
        name = Path(device).name if not device.isdigit() else f"camera {device}"
        recording = stack.enter_context(open_recording([name], segmenter.classes, Timeline.STAMP))
        health = CameraHealth()
        for stamp, image in camera:
            result = segmenter.segment(image, ask, "bgr8")
            shown += 1
            recording.log_picture(
                name, stamp, to_rgb(Pixels(image, "bgr8")), result.labels, result.confidence
            )
            counts = {"in": camera.received, "labelled": shown, "replaced": camera.received - shown}
            seconds = result.seconds | {"in all": (time.time_ns() - stamp) / 1e9}
            figures = _figures(result, len(segmenter.classes), counts, health.check(image), seconds)
            recording.log_figures(name, stamp, figures)
            recording.flush()
            tell(shown)
    return shown


def _figures(
    result: Segmentation,
    classes: int,
    counts: dict[str, int],
    findings: Sequence[Finding],
    seconds: dict[str, float] | None = None,
) -> Figures:
    pixels, found = class_pixels(result.labels).tolist(), [(each.level, str(each)) for each in findings]
    return Figures(pixels[:classes], pixels[UNLABELLED], seconds or result.seconds, counts, found)


# -- labelled before --------------------------------------------------------------------------------------


class _Result(NamedTuple):
    """What ``label`` made of one input; ``entry`` is what its summary says."""

    folder: Path
    kind: str
    name: str
    entry: dict[str, Any]
    options: dict[str, Any]

    @property
    def originals(self) -> list[Path]:
        """What was labelled.

        Raises:
            ConfigError: it is gone.
        """
        given = self.entry["path"]
        paths = [Path(each) for each in ([given] if isinstance(given, str) else given)]
        if gone := [path for path in paths if not path.exists()]:
            raise ConfigError(
                f"{self.folder}: the original {gone[0]} is gone: bring it back, or label it again "
                "(a relative path counts from where `label` ran)"
            )
        return paths


def _result(path: Path, given: str) -> _Result | None:
    """Return what ``label`` made, where the path is a folder that it wrote, or a bag in one; else None."""
    for folder, wanted in ((path, None), (path.absolute().parent, path.absolute().name)):
        summary = _summary(folder)
        if summary is None:
            continue
        found = [
            _Result(folder, kind, name, entry, summary.get("options", {}))
            for kind in _TIMELINES
            for name, entry in summary.get(kind, {}).items()
            if wanted in (None, name) and "path" in entry and "error" not in entry
        ]
        if len(found) > 1:
            names = _listed(str(Path(given) / each.name) for each in found if each.kind != _PICTURES)
            raise ConfigError(f"{given} holds the labels of several inputs: name one of {names}")
        if found:
            return found[0]
    return None


def _summary(folder: Path) -> dict[str, Any] | None:
    path = folder / SUMMARY
    if not path.is_file():
        return None
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {one_line(error)}") from None
    return summary if isinstance(summary, dict) and summary.keys() & _TIMELINES.keys() else None


def _look_at_result(result: _Result, open_recording: Open, tell: Tell) -> int:
    if result.kind == _PICTURES:
        return _look_at_pictures(result, open_recording, tell)
    shown = 0
    with ExitStack() as stack:
        task = Task(result.kind, result.name, tuple(result.originals))
        topics = result.options.get("topics", ())
        cameras, frames = _frames(task, topics, stack)
        labels = stack.enter_context(open_bag(result.folder / result.name))
        bases = output_bases(cameras)
        names, classes = short_names(cameras), _classes(labels, bases)
        recording = stack.enter_context(open_recording(names, classes, _TIMELINES[result.kind]))
        recorded = _Recorded(labels, bases)
        for frame in frames:
            found = recorded.of(frame)
            label = found.get(LABEL) or found.get(LABEL_PNG)
            if label is None:  # it was refused
                continue
            confidence = found.get(CONFIDENCE)
            try:
                picture = to_rgb(frame.decode())
                recording.log_picture(
                    names[frame.camera],
                    frame.stamp_ns,
                    picture,
                    _decoded(label),
                    confidence and _decoded(confidence),
                )
            except InvalidImageError as error:
                raise BagError(f"{labels.path} is no longer of {task.paths[0]}: {error}") from None
            if STATS in found:
                stats: Any = messages.typestore().deserialize_cdr(*found[STATS])
                recording.log_figures(names[frame.camera], frame.stamp_ns, figures_of(stats))
            recording.flush()
            shown += 1
            tell(shown)
    if not shown:
        raise BagError(f"{labels.path} has no label of a frame of {task.paths[0]}: label it again")
    return shown


class _Recorded:
    """Finds the outputs of a frame in a bag of labels, which has them in the order of the frames."""

    def __init__(self, bag: BagReader, bases: Sequence[str]) -> None:
        outputs = {
            f"{base}/{output.name}": (camera, output)
            for camera, base in enumerate(bases)
            for output in (LABEL, LABEL_PNG, CONFIDENCE, STATS)
        }
        self._places = {topic: place for topic, place in outputs.items() if topic in bag.topics}
        self._messages = bag.messages(list(self._places))
        self._ahead = next(self._messages, None)
        self._waiting: dict[tuple[int, int], dict[Any, tuple[bytes, str]]] = {}

    def of(self, frame: Frame) -> dict[Any, tuple[bytes, str]]:
        """Return the outputs, each as serialized bytes and their type."""
        while self._ahead is not None and self._ahead.timestamp_ns <= frame.recorded_ns:
            camera, output = self._places[self._ahead.topic]
            key = (camera, messages.stamp_ns(self._ahead.data))
            self._waiting.setdefault(key, {})[output] = (self._ahead.data, self._ahead.type)
            self._ahead = next(self._messages, None)
        return self._waiting.pop((frame.camera, frame.stamp_ns), {})


def _decoded(message: tuple[bytes, str]) -> np.ndarray:
    return messages.decode_image(*message)


def _classes(labels: BagReader, bases: Sequence[str]) -> Sequence[LabelClass]:
    """Return the classes of a bag of labels."""
    topics = [f"{base}/{LABEL_INFO.name}" for base in bases if f"{base}/{LABEL_INFO.name}" in labels.topics]
    first = next(labels.messages(topics), None) if topics else None
    if first is None:
        raise BagError(f"{labels.path} does not say what its labels mean: it has no {LABEL_INFO.name}")
    info: Any = messages.typestore().deserialize_cdr(first.data, first.type)
    return with_names([label.class_name for label in info.class_map])


def _look_at_pictures(result: _Result, open_recording: Open, tell: Tell) -> int:
    originals = result.originals
    options = {
        key: result.options[key]
        for key in ("model", "weights", "device", "precision")
        if key in result.options
    }
    classes = Options(**options).load().classes
    with open_recording([_PICTURES], classes, Timeline.PICTURE) as recording:
        shown = 0
        for number, (frame, name) in enumerate(
            zip(picture_frames(originals), picture_names(originals), strict=True)
        ):
            path = result.folder / f"{name}_label.png"
            if not path.exists():  # it was refused
                continue
            labels = read_unchanged(path)
            pixels = class_pixels(labels).tolist()
            recording.log_picture(_PICTURES, number, to_rgb(frame.decode()), labels)
            recording.log_figures(_PICTURES, number, Figures(pixels[: len(classes)], pixels[UNLABELLED]))
            recording.flush()
            shown += 1
            tell(shown)
    return shown
