"""Where labels go: a bag under the live node's topic names, pictures, a film."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from squeeze_segnet_ros.bags import BagWriter, messages
from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.engine import Segmenter
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.images.camera_info import camera_info_of_label
from squeeze_segnet_ros.images.encodings import to_rgb
from squeeze_segnet_ros.images.health import CameraHealth
from squeeze_segnet_ros.images.label_images import class_pixels, png_of
from squeeze_segnet_ros.offline.films import FilmWriter
from squeeze_segnet_ros.offline.pipeline import Labelled
from squeeze_segnet_ros.topics import (
    CAMERA_INFO,
    CONFIDENCE,
    LABEL,
    LABEL_INFO,
    LABEL_PNG,
    OUTPUTS,
    OVERLAY,
    STATS,
    Output,
    output_bases,
)
from squeeze_segnet_ros.view.layout import short_names
from squeeze_segnet_ros.view.recording import Recording, Timeline, figures_of

_BY_NAME = {output.name: output for output in OUTPUTS}


def outputs_named(names: Collection[str]) -> frozenset[Output]:
    """Return the outputs of these names; what the ids mean is always among them.

    Raises:
        ConfigError: there is no such output of a recording.
    """
    unknown = [name for name in names if name not in _BY_NAME]
    if unknown:
        raise ConfigError(f"no output '{unknown[0]}': choose from {', '.join(_BY_NAME)}")
    return frozenset({LABEL_INFO, *(_BY_NAME[name] for name in names)})


class Extras(NamedTuple):
    """What is written beside a bag: a film of each camera, a picture of each frame's labels.

    ``times``: whether films and stats say how long the network's stages took here. ``rerun``: on which
    timeline to write all cameras into a recording for Rerun, or None.
    """

    video: bool = False
    images: bool = False
    times: bool = False
    rerun: Timeline | None = None


_NO_EXTRAS = Extras()


class BagSink:
    """Writes the outputs of every camera into a new bag; a context manager.

    Topics are those of the live node, times those of the frames, so that the bag plays beside its original.
    Times of stages are left at zero in ``stats`` where they are not asked for: they say nothing about a
    vehicle, and the same frames make the same bytes.
    """

    def __init__(
        self,
        path: Path,
        cameras: Sequence[str],
        outputs: Collection[Output],
        segmenter: Segmenter,
        min_confidence: float = 0.0,
        extras: Extras = _NO_EXTRAS,
    ) -> None:
        self.path = path
        self._cameras, self._bases, self._outputs = tuple(cameras), output_bases(cameras), outputs
        self._segmenter, self._min_confidence, self._extras = segmenter, min_confidence, extras
        self._health = [CameraHealth() for _ in cameras]
        self._announced: set[int] = set()
        self._films: dict[int, FilmWriter] = {}
        self._first_ns: dict[int, int] = {}
        self._recording: Recording | None = None
        self._names = short_names(cameras)
        self._stack = ExitStack()

    def __enter__(self) -> BagSink:
        self._bag = self._stack.enter_context(BagWriter(self.path))
        if self._extras.rerun is not None:
            recording = Recording(self._names, self._segmenter.classes, self._extras.rerun)
            self._recording = self._stack.enter_context(recording)
            recording.save(self.path / "labels.rrd")
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.__exit__(*exc)

    def encode(self, labelled: Labelled) -> list[tuple[Output, Any]]:
        """Return what is published of a frame but its stats, in the order of the table of outputs."""
        frame, result = labelled.frame, labelled.result
        header = messages.make_header(frame.stamp_ns, frame.frame_id)
        made: list[tuple[Output, Any]] = []
        if LABEL in self._outputs:
            made.append((LABEL, messages.raw_message(result.labels, header)))
        if LABEL_PNG in self._outputs:
            png = png_of(result.labels)
            made.append((LABEL_PNG, messages.make(
                messages.COMPRESSED_IMAGE, header=header, format="mono8; png compressed mono8", data=png
            )))  # fmt: skip
        if OVERLAY in self._outputs and result.overlay is not None:
            made.append((OVERLAY, messages.raw_message(result.overlay, header)))
        if CONFIDENCE in self._outputs and result.confidence is not None:
            made.append((CONFIDENCE, messages.raw_message(result.confidence, header)))
        if CAMERA_INFO in self._outputs and frame.info is not None:
            sizes = labelled.pixels.array.shape, result.labels.shape
            made.append((CAMERA_INFO, camera_info_of_label(header, frame.info, *sizes)))
        return [(output, messages.serialize(message)) for output, message in made]

    def write(self, labelled: Labelled, encoded: list[tuple[Output, bytes]]) -> None:
        """Write what belongs to a frame."""
        number = labelled.frame.camera
        if number not in self._announced:
            self._announced.add(number)
            self._write(labelled, LABEL_INFO, messages.serialize(self._label_info(labelled)))
        for output, data in encoded:
            self._write(labelled, output, data)
        stats = self._stats(labelled) if STATS in self._outputs or self._recording else None
        if STATS in self._outputs:
            self._write(labelled, STATS, messages.serialize(stats))
        if self._recording:
            name, stamp, result = self._names[number], labelled.frame.stamp_ns, labelled.result
            picture = to_rgb(labelled.pixels)
            self._recording.log_picture(name, stamp, picture, result.labels, result.confidence)
            self._recording.log_figures(name, stamp, figures_of(stats))
            self._recording.flush()
        if self._extras.images:
            self._write_image(labelled)
        if self._extras.video:
            self._write_film(labelled)

    def _write(self, labelled: Labelled, output: Output, data: bytes) -> None:
        self._bag.write(
            f"{self._bases[labelled.frame.camera]}/{output.name}",
            output.type,
            labelled.frame.recorded_ns,
            data,
            latched=output.latched,
            depth=output.depth,
        )

    def _label_info(self, labelled: Labelled) -> Any:
        classes = [
            messages.make("vision_msgs/msg/VisionClass", class_id=label.id, class_name=label.name)
            for label in self._segmenter.classes
        ]
        return messages.make(
            LABEL_INFO.type,
            header=messages.make_header(labelled.frame.stamp_ns, ""),
            class_map=classes,
            threshold=self._min_confidence,
        )

    def _stats(self, labelled: Labelled) -> Any:
        frame, segmenter = labelled.frame, self._segmenter
        pixels = class_pixels(labelled.result.labels)
        findings = self._health[frame.camera].check(labelled.pixels.array, labelled.pixels.damage)
        seconds = dict.fromkeys(("wait", "decode", "upload", "network", "download", "publish"), 0.0)
        if self._extras.times:
            seconds |= {name: took for name, took in labelled.result.seconds.items() if name in seconds}
        drops = ("replaced", "too_old", "failed", "shutting_down")
        return messages.make(
            STATS.type,
            header=messages.make_header(frame.stamp_ns, frame.frame_id),
            camera=self._cameras[frame.camera],
            model=segmenter.model,
            weights_sha256=segmenter.weights_sha256,
            device=segmenter.device,
            precision=segmenter.precision,
            batch_size=labelled.batch_size,
            class_pixels=pixels[: len(segmenter.classes)].astype(np.uint32),
            unlabelled_pixels=int(pixels[UNLABELLED]),
            latency=0.0,
            **{f"{stage}_time": took for stage, took in seconds.items()},
            frames_received=labelled.order + labelled.refused,
            frames_labelled=labelled.order,
            frames_unwatched=0,
            frames_waiting=0,
            dropped_invalid=labelled.refused,
            **{f"dropped_{cause}": 0 for cause in drops},
            health=max((int(finding.level) for finding in findings), default=0),
            health_findings=[str(finding) for finding in findings],
        )

    def _place(self, camera: int) -> str:
        """Return what a camera's own files are called by: nothing where it is the only one."""
        return "" if len(self._cameras) == 1 else self._cameras[camera].strip("/").replace("/", "_")

    def _write_image(self, labelled: Labelled) -> None:
        folder = self.path / "labels" / self._place(labelled.frame.camera)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{labelled.frame.stamp_ns}_{labelled.order}_label.png"
        (folder / name).write_bytes(png_of(labelled.result.labels).tobytes())

    def _write_film(self, labelled: Labelled) -> None:
        camera, frame = labelled.frame.camera, labelled.frame
        if camera not in self._films:
            place = self._place(camera)
            path = self.path / (f"{place}_overlay.mp4" if place else "overlay.mp4")
            film = FilmWriter(path, self._segmenter.classes)
            self._films[camera] = self._stack.enter_context(film)
            self._first_ns[camera] = frame.recorded_ns
        overlay = labelled.result.overlay
        assert overlay is not None
        text = f"{(frame.recorded_ns - self._first_ns[camera]) / 1e9:.2f} s"
        if self._extras.times:
            took = sum(labelled.result.seconds.values()) / labelled.batch_size
            text += f"   {1e3 * took:.0f} ms a frame"
        self._films[camera].write(frame.recorded_ns, to_rgb(labelled.pixels), overlay, text)


class PictureSink:
    """Writes ``<name>_label.png`` for each picture, and ``<name>_overlay.png`` where that is asked for."""

    def __init__(self, folder: Path, names: Sequence[str], overlay: bool) -> None:
        self._folder, self._names, self._overlay = folder, names, overlay
        self.written: list[Path] = []

    def encode(self, labelled: Labelled) -> dict[str, bytes]:
        """Return the files by name."""
        name = self._names[labelled.frame.camera]
        files = {f"{name}_label.png": png_of(labelled.result.labels).tobytes()}
        if self._overlay:
            assert labelled.result.overlay is not None
            bgr = cv2.cvtColor(labelled.result.overlay, cv2.COLOR_RGB2BGR)
            files[f"{name}_overlay.png"] = cv2.imencode(".png", bgr)[1].tobytes()
        return files

    def write(self, labelled: Labelled, encoded: dict[str, bytes]) -> None:
        """Write the files, the label last: what is there is whole."""
        for name, data in reversed(encoded.items()):
            unfinished = self._folder / f".{name}.unfinished"
            unfinished.write_bytes(data)
            unfinished.replace(self._folder / name)
            self.written.append(self._folder / name)
