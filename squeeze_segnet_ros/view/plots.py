"""Plots of a training run and of scores. Where matplotlib is missing they are left out: each returns whether
it was drawn.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def learning_curve(log: Path, picture: Path) -> bool:
    """Draw the validation scores in a run's ``log.csv`` over its steps."""
    figure = _figure(8, 4.5)
    if figure is None:
        return False
    with log.open() as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    axes = figure.subplots()
    for key in ("global_accuracy", "class_average_accuracy", "mean_iou"):
        axes.plot([row["step"] for row in rows], [row[key] for row in rows], label=key.replace("_", " "))
    axes.set(xlabel="step", ylabel="validation score", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(picture)
    return True


def confusion(counts: np.ndarray, names: Sequence[str], picture: Path) -> bool:
    """Draw the share of each true class's pixels that got each class, of int64 ``counts`` (K, K + 1)."""
    size = max(7.0, 0.45 * len(names))
    figure = _figure(size, size - 0.5)
    if figure is None:
        return False
    shares = counts[:, :-1] / np.maximum(counts.sum(1, keepdims=True), 1)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=60, ha="right")
    axes.set_yticks(ticks, names)
    axes.set(xlabel="predicted", ylabel="true")
    for (row, column), share in np.ndenumerate(shares):
        if len(names) > 26 and share < 0.05:
            continue  # of many classes, the zeros would only be in the way
        color = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{share:.2f}", ha="center", va="center", fontsize=7, color=color)
    figure.savefig(picture)
    return True


def _figure(width: float, height: float) -> Any:
    """Return an empty figure of this size in inches, or None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    return Figure(figsize=(width, height), layout="constrained")
