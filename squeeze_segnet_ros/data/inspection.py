"""What a person looks at before a training: how many pairs, which sizes, which classes, what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.data.dataset import Dataset, Labelled, Pair
from squeeze_segnet_ros.data.loading import Facts, Loader, Source, facts_of

_MOST_LINES = 10


@dataclass
class SplitReport:
    """A split: its pairs, sizes (height, width), pixels of each class id, int64 (256,), and what is wrong."""

    split: str
    pairs: tuple[Pair, ...]
    lone_images: tuple[Path, ...]
    lone_labels: tuple[Path, ...]
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    images_with: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    problems: list[str] = field(default_factory=list)
    good: list[int] = field(default_factory=list)


def inspect(
    dataset: Dataset, splits: Sequence[str], cache_bytes: int, workers: int | None = None
) -> list[SplitReport]:
    """Read every file of some splits and return what there is.

    Raises:
        DatasetError: there is no such split, or a glob matches nothing.
    """
    reports = []
    for split in splits:
        pairing = dataset.pairing(split)
        report = SplitReport(split, pairing.pairs, pairing.lone_images, pairing.lone_labels)
        sources = [Source(dataset, pair) for pair in pairing.pairs]
        with Loader(sources, cache_bytes, workers) as loader:
            for i, result in enumerate(facts_of(loader, range(len(sources)))):
                if isinstance(result, Facts):
                    report.sizes[result.height, result.width] += 1
                    report.pixels += result.pixels
                    report.images_with += result.pixels > 0
                    report.good.append(i)
                else:
                    report.problems.append(str(result))
        reports.append(report)
    return reports


def table(dataset: Dataset, reports: Sequence[SplitReport]) -> str:
    """Return the reports as Markdown."""
    lines = [
        f"{dataset.name}: {len(dataset.label_set)} classes, {dataset.root}",
        "",
        "| split | pairs | cannot be used | images without labels | labels without image | sizes |",
        "|---|---|---|---|---|---|",
    ]
    for report in reports:
        sizes = [f"{w}x{h} ({n})" for (h, w), n in report.sizes.most_common(4)]
        more = len(report.sizes) - len(sizes)
        lines.append(
            f"| {report.split} | {len(report.pairs)} | {len(report.problems)} | {len(report.lone_images)} "
            f"| {len(report.lone_labels)} | {', '.join(sizes)}{f' and {more} more' if more > 0 else ''} |"
        )
    columns = [f"{report.split}: share | images" for report in reports]
    lines += ["", f"| id | class | {' | '.join(columns)} |", "|---|---|" + "---|---|" * len(reports)]
    for label in dataset.label_set.classes:
        lines.append(f"| {label.id} | {label.name} | {_shares(reports, label.id)} |")
    lines.append(f"| {UNLABELLED} | (void) | {_shares(reports, UNLABELLED)} |")
    for report in reports:
        lone = [f"no labels: {path}" for path in report.lone_images]
        lone += [f"no image: {path}" for path in report.lone_labels]
        wrong = report.problems + lone
        lines += ["", *(f"{report.split}: {line}" for line in wrong[:_MOST_LINES])] if wrong else []
        if len(wrong) > _MOST_LINES:
            lines.append(f"{report.split}: and {len(wrong) - _MOST_LINES} more")
    return "\n".join(lines)


def _shares(reports: Sequence[SplitReport], value: int) -> str:
    cells = []
    for report in reports:
        total = report.pixels.sum()
        share = f"{report.pixels[value] / total:.2%}" if total else "-"
        cells.append(f"{share} | {report.images_with[value]}")
    return " | ".join(cells)


def examples(dataset: Dataset, reports: Sequence[SplitReport], count: int) -> list[tuple[str, Labelled]]:
    """Return some labelled images with their names, evenly spread over the splits' usable pairs."""
    usable = [(report.split, report.pairs[i]) for report in reports for i in report.good]
    step = max(len(usable) / count, 1.0)
    chosen = [usable[int(i * step)] for i in range(min(count, len(usable)))]
    return [(f"{split}: {pair.name}", dataset.read(pair)) for split, pair in chosen]
