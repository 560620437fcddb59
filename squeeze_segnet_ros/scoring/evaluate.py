"""``python -m squeeze_segnet_ros evaluate``: scores a weights file on a split of CamVid.

Writes ``scores.json``, ``scores.md`` (a table beside the paper's), ``confusion.png`` and ``frames.jpg`` (the
best and the worst frames: image, truth, prediction).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from squeeze_segnet_ros.classes import CAMVID, LabelSet
from squeeze_segnet_ros.data.camvid import LabelledImages
from squeeze_segnet_ros.engine import Segmenter
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.scoring.metrics import (
    BoundaryCounts,
    boundary_counts,
    boundary_f1,
    confusion_matrix,
    scores,
)

PAPER_CLASS_AVERAGE = {"Squeeze-SegNet": 0.667, "SegNet": 0.65, "ENet": 0.68}
"""Class average accuracies on CamVid in Table 1 of arXiv 1711.05491."""


def evaluate(segmenter: Segmenter, data: LabelledImages, output: Path) -> dict[str, Any]:
    """Score ``segmenter`` over ``data``, draw into ``output``, and return what scores.json holds."""
    num_classes = len(segmenter.label_set)
    counts = np.zeros((num_classes, num_classes + 1), np.int64)
    boundary = BoundaryCounts(*np.zeros((4, num_classes)))
    frame_ious = []
    for image, truth in tqdm(zip(data.images, data.labels, strict=True), total=len(data), unit="image"):
        predicted = segmenter(image.permute(1, 2, 0).numpy())
        frame_counts = confusion_matrix(predicted, truth.numpy(), num_classes)
        frame_ious.append(scores(frame_counts).mean_iou)
        counts += frame_counts
        boundary = boundary + boundary_counts(predicted, truth.numpy(), num_classes)
    order = np.argsort(frame_ious)
    _draw_frames(segmenter, data, [*order[::-1][:3], *order[:3]], output / "frames.jpg")
    result = scores(counts)
    _draw_confusion(counts, segmenter.label_set, output / "confusion.png")
    names = segmenter.label_set.names
    return {
        "model": segmenter.model,
        "weights": segmenter.weights.name,
        "weights_sha256": segmenter.weights_sha256,
        "device": segmenter.device,
        "precision": segmenter.precision,
        "images": len(data),
        "global_accuracy": result.global_accuracy,
        "class_average_accuracy": result.class_average_accuracy,
        "mean_iou": result.mean_iou,
        "boundary_f1": boundary_f1(boundary),
        "class_accuracy": dict(zip(names, map(_or_none, result.class_accuracy), strict=True)),
        "iou": dict(zip(names, map(_or_none, result.iou), strict=True)),
        "confusion": counts.tolist(),
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def markdown_table(report: dict[str, Any], label_set: LabelSet) -> str:
    """Return the scores beside the paper's Table 1, as Markdown."""
    title = (
        f"{report['model']} on {report['images']} images of CamVid {report['split']}, {report['precision']}"
    )
    lines = [f"### {title}", "", "| class | accuracy | IoU |", "|---|---|---|"]
    for name in label_set.names:
        cells = (report[key][name] for key in ("class_accuracy", "iou"))
        lines.append(f"| {name} | " + " | ".join("-" if c is None else f"{c:.3f}" for c in cells) + " |")
    lines += [
        "",
        "| | class average accuracy | mean IoU | global accuracy | boundary F1 |",
        "|---|---|---|---|---|",
    ]
    keys = ("class_average_accuracy", "mean_iou", "global_accuracy", "boundary_f1")
    lines.append(f"| **{report['model']}** | " + " | ".join(f"{report[key]:.3f}" for key in keys) + " |")
    lines += [
        f"| {name}, 1711.05491 Table 1 | {value} | | | |" for name, value in PAPER_CLASS_AVERAGE.items()
    ]
    return "\n".join(lines) + "\n"


def _draw_confusion(counts: np.ndarray, label_set: LabelSet, path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    shares = counts[:, :-1] / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(7, 6.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(label_set))
    axes.set_xticks(ticks, label_set.names, rotation=60, ha="right")
    axes.set_yticks(ticks, label_set.names)
    axes.set(xlabel="predicted", ylabel="true")
    for row in ticks:
        for column in ticks:
            dark = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, f"{shares[row, column]:.2f}", ha="center", va="center", fontsize=7, color=dark
            )
    figure.savefig(path)


def _draw_frames(segmenter: Segmenter, data: LabelledImages, chosen: list[int], path: Path) -> None:
    palette = segmenter.label_set.palette
    rows = []
    for i in chosen:
        image = data.images[i].permute(1, 2, 0).numpy()
        rows.append(np.hstack([image, palette[data.labels[i].numpy()], palette[segmenter(image)]]))
    shown = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), shown, [cv2.IMWRITE_JPEG_QUALITY, 80])


@torch.inference_mode()
def count_split(
    network: nn.Module, data: LabelledImages, device: torch.device, autocast: AbstractContextManager[Any]
) -> np.ndarray:
    """Return the confusion matrix of a network in training over a split: int64 (K, K + 1)."""
    network.eval()
    counts = np.zeros((len(CAMVID), len(CAMVID) + 1), np.int64)
    batch = 4
    for start in range(0, len(data), batch):
        images = normalize(data.images[start : start + batch].to(device)).contiguous(
            memory_format=torch.channels_last
        )
        with autocast:
            predicted = network(images).argmax(1).to(torch.uint8).cpu()
        counts += confusion_matrix(predicted.numpy(), data.labels[start : start + batch].numpy(), len(CAMVID))
    return counts
