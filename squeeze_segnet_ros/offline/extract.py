"""Frames of bags as pictures to be labelled, with the network's labels as first drafts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2

from squeeze_segnet_ros.bags.reader import bags_in, is_bag, open_bag
from squeeze_segnet_ros.data.cvat import DRAFTS, IMAGES, LABELS, SEPARATOR, DraftsWriter, write_labels
from squeeze_segnet_ros.engine import Request, Segmenter
from squeeze_segnet_ros.errors import BagError, ConfigError, InvalidImageError
from squeeze_segnet_ros.images.encodings import to_rgb
from squeeze_segnet_ros.offline.pipeline import Frame
from squeeze_segnet_ros.offline.sources import bag_frames, choose_cameras


@dataclass(frozen=True)
class Every:
    """How far apart frames are: nanoseconds, or a number of frames where ``frames`` is not 0."""

    nanoseconds: int = 0
    frames: int = 0

    @classmethod
    def parse(cls, text: str) -> Every:
        """Read ``2s``, ``500ms`` or ``10`` (every tenth frame).

        Raises:
            ConfigError: it is none of these.
        """
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|ms)|([1-9]\d*)", text.strip())
        if not match or (match[1] and float(match[1]) <= 0):
            raise ConfigError(f"--every is '{text}': give a time like 2s or 500ms, or a number of frames")
        if match[3]:
            return cls(frames=int(match[3]))
        return cls(nanoseconds=round(float(match[1]) * (10**9 if match[2] == "s" else 10**6)))


@dataclass
class Extracted:
    """How many frames were written, and what was said of those that could not be read."""

    frames: int
    refused: list[str]


def extract(
    bags: Sequence[str | Path],
    output: Path,
    every: Every,
    topics: Sequence[str] = (),
    segmenter: Segmenter | None = None,
    min_confidence: float = 0.0,
) -> Extracted:
    """Write frames of bags as ``output/images/DRIVE__CAMERA__TIME.png``.

    Args:
        bags: bags, or folders of them.
        output: folder to create; with a segmenter it gets ``drafts.zip`` and ``labels.json`` too, for CVAT.
        every: how far apart the frames of a camera are.
        topics: cameras; all of a bag when empty.
        segmenter: labels them, as first drafts; None for pictures alone.
        min_confidence: pixels that it is less sure of, 0..1, are left to the annotator.

    Raises:
        BagError: a bag cannot be read, or has none of the cameras.
        ConfigError: ``output`` has pictures already.
    """
    pictures = output / IMAGES
    if pictures.is_dir() and any(pictures.iterdir()):
        raise ConfigError(f"{pictures} has pictures already: name another --output")
    paths = [bag for given in bags for bag in _bags(Path(given).expanduser())]
    request = Request(confidence=False, min_confidence=min_confidence)
    result = Extracted(0, [])
    with ExitStack() as stack:
        drafts: DraftsWriter | None = None
        for path in paths:
            for frame in _chosen(path, every, topics):
                try:
                    image = to_rgb(frame.decode())
                except InvalidImageError as error:
                    result.refused.append(f"{path}, {frame.name}: {error}")
                    continue
                if not result.frames:
                    # Only now is it known that there is something to write.
                    pictures.mkdir(parents=True, exist_ok=True)
                    if segmenter:
                        write_labels(output / LABELS, segmenter.label_set)
                        drafts = stack.enter_context(DraftsWriter(output / DRAFTS, segmenter.label_set))
                camera = frame.name.strip("/").replace("/", "_")
                name = SEPARATOR.join((path.stem, camera, f"{frame.stamp_ns or frame.recorded_ns:019d}"))
                cv2.imwrite(str(pictures / f"{name}.png"), image[:, :, ::-1])
                if drafts and segmenter:
                    drafts.write(name, segmenter.segment(image, request).labels)
                result.frames += 1
    if not result.frames:
        raise BagError(
            f"no frame of {', '.join(map(str, paths))} can be read: {(result.refused or ['none'])[0]}"
        )
    return result


def _bags(path: Path) -> list[Path]:
    if path.exists() and is_bag(path):
        return [path]
    inside = bags_in(path) if path.is_dir() else []
    if not inside:
        raise BagError(f"{path}: not a bag, nor a folder of bags")
    return inside


def _chosen(path: Path, every: Every, topics: Sequence[str]) -> Iterator[Frame]:
    """Yield the frames of a bag that are far enough apart."""
    with open_bag(path) as bag:
        seen: dict[int, int] = {}
        due: dict[int, int] = {}
        for frame in bag_frames(bag, choose_cameras(bag, topics)):
            number = seen.get(frame.camera, 0)
            seen[frame.camera] = number + 1
            if every.frames:
                if number % every.frames == 0:
                    yield frame
            elif frame.recorded_ns >= due.get(frame.camera, frame.recorded_ns):
                due[frame.camera] = frame.recorded_ns + every.nanoseconds
                yield frame
