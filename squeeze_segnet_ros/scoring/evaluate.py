"""``python -m squeeze_segnet_ros evaluate``: scores a network on a split of a data set.

Writes ``scores.json``, ``scores.md``, ``confusion.png`` and ``frames.jpg`` (the best and the worst frames:
image, truth, prediction).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from squeeze_segnet_ros.data.dataset import Labelled
from squeeze_segnet_ros.data.loading import Images
from squeeze_segnet_ros.engine import Segmenter
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.scoring.metrics import (
    BoundaryCounts,
    Scores,
    boundary_counts,
    boundary_f1,
    confusion_matrix,
    scores,
)
from squeeze_segnet_ros.scoring.remap import Remap
from squeeze_segnet_ros.view import plots

PAPER_CLASS_AVERAGE = {"Squeeze-SegNet": 0.667, "SegNet": 0.65, "ENet": 0.68}
"""Class average accuracies on CamVid's test split in Table 1 of arXiv 1711.05491."""
PAPER_SPLIT = ("camvid", "test")
"""The data set and the split that these are of."""
_ROW_WIDTH = 480
"""Width in pixels of one picture of frames.jpg, at most."""


@dataclass
class Counts:
    """What scores are made of: confusion matrix, int64 (K, K + 1), boundary pixels, and each frame's IoU."""

    confusion: np.ndarray
    boundary: BoundaryCounts
    frame_ious: list[float]

    @property
    def scores(self) -> Scores:
        """The scores of all frames together."""
        return scores(self.confusion)


def count(
    segmenter: Segmenter,
    images: Iterable[Labelled],
    remap: Remap,
    boundaries: bool = True,
    change: Callable[[int, np.ndarray], np.ndarray] | None = None,
) -> Counts:
    """Return what ``segmenter`` gets right.

    Args:
        segmenter: the network.
        images: with their true labels.
        remap: the classes that both are scored in.
        boundaries: whether to count boundary pixels too.
        change: gives another image in place of the one of a number, uint8 (H, W, 3) RGB.
    """
    classes = len(remap.classes)
    counts = Counts(np.zeros((classes, classes + 1), np.int64), BoundaryCounts(*np.zeros((4, classes))), [])
    for number, (image, labels) in enumerate(images):
        seen = image if change is None else change(number, image)
        predicted, truth = remap.predicted[segmenter(seen)], remap.truth[labels]
        of_frame = confusion_matrix(predicted, truth, classes)
        counts.frame_ious.append(scores(of_frame).mean_iou)
        counts.confusion += of_frame
        if boundaries:
            counts.boundary = counts.boundary + boundary_counts(predicted, truth, classes)
    return counts


def evaluate(segmenter: Segmenter, images: Images, remap: Remap, output: Path) -> dict[str, Any]:
    """Score ``segmenter`` over ``images``, draw into ``output``, and return what scores.json holds."""
    counts = count(segmenter, tqdm(images, total=len(images), unit="image"), remap)
    # A frame that is all void has no IoU, and is neither best nor worst.
    order = [int(i) for i in np.argsort(counts.frame_ious) if not np.isnan(counts.frame_ious[i])]
    _draw_frames(segmenter, images, remap, [*order[::-1][:3], *order[:3]], output / "frames.jpg")
    if not plots.confusion(counts.confusion, remap.classes.names, output / "confusion.png"):
        print('confusion.png is not drawn: matplotlib is missing: pip install "squeeze_segnet_ros[train]"')
    result, names = counts.scores, remap.classes.names
    return {
        "model": segmenter.model,
        "weights": segmenter.weights.name,
        "weights_sha256": segmenter.weights_sha256,
        "device": segmenter.device,
        "precision": segmenter.precision,
        "images": len(images),
        "images_left_out": len(images.broken),
        "classes": remap.classes.name,
        "global_accuracy": _or_none(result.global_accuracy),
        "class_average_accuracy": _or_none(result.class_average_accuracy),
        "mean_iou": _or_none(result.mean_iou),
        "boundary_f1": _or_none(boundary_f1(counts.boundary)),
        "class_accuracy": dict(zip(names, map(_or_none, result.class_accuracy), strict=True)),
        "iou": dict(zip(names, map(_or_none, result.iou), strict=True)),
        "confusion": counts.confusion.tolist(),
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def markdown_table(report: dict[str, Any]) -> str:
    """Return the scores as Markdown; on CamVid's test split beside the paper's Table 1."""
    title = (
        f"{report['model']} on {report['images']} images of {report['data']} {report['split']}, "
        f"{report['precision']}"
    )
    lines = [f"### {title}", "", "| class | accuracy | IoU |", "|---|---|---|"]
    for name in report["iou"]:
        cells = (report[key][name] for key in ("class_accuracy", "iou"))
        lines.append(f"| {name} | " + " | ".join(map(_cell, cells)) + " |")
    lines += [
        "",
        "| | class average accuracy | mean IoU | global accuracy | boundary F1 |",
        "|---|---|---|---|---|",
    ]
    keys = ("class_average_accuracy", "mean_iou", "global_accuracy", "boundary_f1")
    lines.append(f"| **{report['model']}** | " + " | ".join(_cell(report[key]) for key in keys) + " |")
    if (report["data"], report["split"]) == PAPER_SPLIT:
        lines += [
            f"| {name}, 1711.05491 Table 1 | {value} | | | |" for name, value in PAPER_CLASS_AVERAGE.items()
        ]
    return "\n".join(lines) + "\n"


def _draw_frames(
    segmenter: Segmenter, images: Images, remap: Remap, chosen: Sequence[int], path: Path
) -> None:
    palette = remap.classes.palette
    rows = []
    for i in chosen:
        image, labels = images[i]
        row = [image, palette[remap.truth[labels]], palette[remap.predicted[segmenter(image)]]]
        height, width = labels.shape
        shown = (_ROW_WIDTH, max(1, round(height * _ROW_WIDTH / width)))
        rows.append(np.hstack(row if width == _ROW_WIDTH else [_resized(each, shown) for each in row]))
    if rows:
        picture = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


_VALIDATION_PIXELS = 4 * 360 * 480
"""How many pixels a network in training labels at once, at least one image."""


@torch.inference_mode()
def count_split(
    network: nn.Module,
    images: Images,
    num_classes: int,
    device: torch.device,
    autocast: AbstractContextManager[Any],
) -> np.ndarray:
    """Return the confusion matrix of a network in training over a split: int64 (K, K + 1)."""
    network.eval()
    counts = np.zeros((num_classes, num_classes + 1), np.int64)

    def add(batch: Sequence[Labelled]) -> None:
        stacked = torch.from_numpy(np.stack([image for image, _ in batch])).to(device)
        normalized: Tensor = normalize(stacked.permute(0, 3, 1, 2))
        with autocast:
            predicted = network(normalized.contiguous(memory_format=torch.channels_last))
        truth = np.stack([labels for _, labels in batch])
        counts[:] += confusion_matrix(predicted.argmax(1).to(torch.uint8).cpu().numpy(), truth, num_classes)

    batch: list[Labelled] = []
    for labelled in images:
        shape = labelled.labels.shape
        full = (len(batch) + 1) * shape[0] * shape[1] > _VALIDATION_PIXELS
        if batch and (full or batch[0].labels.shape != shape):
            add(batch)
            batch = []
        batch.append(labelled)
    add(batch)
    return counts
