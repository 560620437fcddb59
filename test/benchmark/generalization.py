"""How well networks label what they were not trained for: the score that trainings are chosen by.

``val`` of CamVid shows seven seconds of a drive of ``train`` and says little about other streets, and
``test`` chooses nothing. The score is the mean of up to four mean IoUs:

* ``val``: the images of CamVid's val as they are;
* ``changed``: every fourth of them in six other lights (:data:`CHANGES`), each counted by itself, averaged;
* ``streets``: other towns, a folder laid out like CamVid (``--streets``), of its ``train`` the images whose
  names contain one of ``--towns``: towns that nothing was trained on;
* ``drive``: every fifth frame of a rendered drive, a bag with true labels.

Differences below 0.005 are noise. Labels are those of the engine at its own precision.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from tqdm import tqdm

from squeeze_segnet_ros.bags.messages import decode_image
from squeeze_segnet_ros.bags.reader import open_bag
from squeeze_segnet_ros.data import ENVIRONMENT
from squeeze_segnet_ros.data.dataset import Dataset, given, open_dataset
from squeeze_segnet_ros.data.to_bag import IMAGE_TOPIC, TRUTH_TOPIC
from squeeze_segnet_ros.errors import ConfigError, DatasetError
from squeeze_segnet_ros.scoring.metrics import confusion_matrix, scores

if TYPE_CHECKING:
    from squeeze_segnet_ros.engine import Segmenter

TOWNS = ("davis", "london", "paris", "madrid", "palma", "gerona", "berkeley", "harvard")
"""Held out of the streets: about a fifth of its images."""
SAMPLE_DRIVE = Path(__file__).resolve().parents[2] / "rosbags" / "street_camvid"
Frames = list[tuple[np.ndarray, np.ndarray]]
"""Images uint8 (H, W, 3) RGB and their labels uint8 (H, W), 255 for void."""


def _contrast(image: np.ndarray) -> np.ndarray:
    level = image.mean()
    return level + 1.6 * (image - level)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "dark": lambda image: 0.5 * image,
    "contrast": _contrast,
    "warm": lambda image: image * np.array([1.2, 1.0, 0.75], np.float32),
    "gray": lambda image: np.repeat(image.mean(2, keepdims=True), 3, 2),
    "blurred": lambda image: cv2.GaussianBlur(image, (7, 7), 1.2),
    "noisy": lambda image: image + np.random.default_rng(0).normal(0, 12, image.shape).astype(np.float32),
}
"""Other lights: of float32 (H, W, 3) RGB in 0..255, clipped afterwards."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("weights", type=Path, nargs="+", help="weights files to compare")
    parser.add_argument("--data", help=f"CamVid root [{ENVIRONMENT}]")
    parser.add_argument("--streets", type=Path, help="other towns, laid out like CamVid [none]")
    parser.add_argument(
        "--towns", nargs="+", default=TOWNS, metavar="WORD", help=f"held out of --streets [{' '.join(TOWNS)}]"
    )
    parser.add_argument("--drive", type=Path, default=SAMPLE_DRIVE, help="bag with labels [the sample bag]")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [a GPU if there is one]")
    parser.add_argument("--output", type=Path, help="JSON file to write the figures to")


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        SegmentationError: data, bag or weights cannot be read.
    """
    from squeeze_segnet_ros.engine import load  # imports PyTorch
    from squeeze_segnet_ros.models import weights

    data = given(args.data)
    parts = _parts(args, data)
    found = {}
    print(" | ".join(["weights", *parts, "score"]))
    for path in args.weights:
        segmenter = load(weights.load(path)[1].model, path, args.device)
        if segmenter.label_set.names != data.label_set.names:
            raise ConfigError(f"{path} has the classes of {segmenter.label_set.name}, not {data.name}'s")
        figures = {name: _mean_iou(segmenter, part) for name, part in parts.items()}
        figures["score"] = sum(figures.values()) / len(figures)
        found[str(path)] = figures
        print(" | ".join([str(path), *(f"{value:.4f}" for value in figures.values())]), flush=True)
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(found, indent=2) + "\n")
    return 0


def _parts(args: argparse.Namespace, data: Dataset) -> dict[str, list[Frames]]:
    """Return the parts of the score, each as groups of frames that are counted together."""
    val = _frames(data, "val")
    parts = {"val": [val], "changed": [list(_changed(val[::4], change)) for change in CHANGES.values()]}
    if args.streets:
        parts["streets"] = [_frames(open_dataset(args.streets), "train", args.towns)]
    parts["drive"] = [_drive(args.drive)[::5]]
    return parts


def _frames(data: Dataset, split: str, words: Iterable[str] = ("",)) -> Frames:
    frames: Frames = [
        data.read(pair) for pair in data.pairs(split) if any(word in pair.name for word in words)
    ]
    if not frames:
        raise DatasetError(f"no image of {data.root / split} has one of {', '.join(words)} in its name")
    return frames


def _changed(
    frames: Frames, change: Callable[[np.ndarray], np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for image, labels in frames:
        yield change(image.astype(np.float32)).round().clip(0, 255).astype(np.uint8), labels


def _drive(path: Path) -> Frames:
    images: dict[int, np.ndarray] = {}
    truths: dict[int, np.ndarray] = {}
    with open_bag(path) as bag:
        for message in bag.messages([IMAGE_TOPIC, TRUTH_TOPIC]):
            of = images if message.topic == IMAGE_TOPIC else truths
            of[len(of)] = decode_image(message.data, message.type)
    return [(images[i], truths[i]) for i in sorted(images.keys() & truths.keys())]


def _mean_iou(segmenter: Segmenter, groups: list[Frames]) -> float:
    """Return the mean IoU over each group, averaged."""
    found = []
    for frames in groups:
        classes = len(segmenter.label_set)
        counts = np.zeros((classes, classes + 1), np.int64)
        for image, labels in tqdm(frames, leave=False, unit="image", disable=None):
            counts += confusion_matrix(segmenter(image), labels, classes)
        found.append(scores(counts).mean_iou)
    return float(np.mean(found))
