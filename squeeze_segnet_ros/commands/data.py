"""Look at a data set before a training, take frames of bags for labelling, or take labels back from CVAT."""

from __future__ import annotations

import argparse
from pathlib import Path

from squeeze_segnet_ros.commands import data_arguments
from squeeze_segnet_ros.errors import DatasetError

ACTIONS = ("check", "extract", "import")
"""The first is meant where none is named: ``data YAML``."""
_EXAMPLES = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")

    check = actions.add_parser(
        "check", help="print a table of a data set and draw twelve labelled images (`data YAML` does too)"
    )
    check.add_argument("data", help="a YAML file, a name in config/datasets, or a folder in CamVid's layout")
    check.add_argument("--root", type=Path, help="folder that the files lie in [as the YAML says]")
    check.add_argument("--split", nargs="+", metavar="SPLIT", help="which [all]")
    check.add_argument("--output", type=Path, help="folder for sheet.jpg [build/data/<name>]")
    data_arguments.add_loading(check, skip=False)

    extract = actions.add_parser("extract", help="write frames of bags as pictures, for labelling in CVAT")
    extract.add_argument("bags", nargs="+", metavar="bag", help="bags, or folders of them")
    extract.add_argument("--every", default="2s", help="time between frames of a camera, or a number [2s]")
    extract.add_argument("--output", type=Path, required=True, help="folder to create")
    extract.add_argument("--topics", nargs="+", default=(), metavar="TOPIC", help="cameras [all of a bag]")
    extract.add_argument(
        "--prelabel", action="store_true", help="write the network's labels too, as drafts for CVAT"
    )
    extract.add_argument("--model", default="squeeze_segnet", help="network that labels [squeeze_segnet]")
    extract.add_argument("--weights", type=Path, help="weights file [the released one]")
    extract.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [a GPU if there is one]")
    extract.add_argument(
        "--min-confidence", type=float, default=0.6, help="pixels below are left to you, 0..1 [0.6]"
    )

    imported = actions.add_parser("import", help="make a data set of CVAT's export, Segmentation mask 1.1")
    imported.add_argument("export", type=Path, help="the zip, or the folder that it was unpacked into")
    imported.add_argument("--images", type=Path, help="folder with the images [those in the export]")
    imported.add_argument("--classes", help="class set whose order and colors hold [the export's]")
    imported.add_argument(
        "--val-share", type=float, default=0.2, help="share of each drive, its end, for validation [0.2]"
    )
    imported.add_argument("--output", type=Path, required=True, help="folder to create")


def run(args: argparse.Namespace) -> int:
    """Run one action; raises SegmentationError for bad input."""
    return {"check": _check, "extract": _extract, "import": _import}[args.action](args)


def _check(args: argparse.Namespace) -> int:
    import numpy as np

    from squeeze_segnet_ros.classes import UNLABELLED
    from squeeze_segnet_ros.data.dataset import open_dataset
    from squeeze_segnet_ros.data.inspection import examples, inspect, table
    from squeeze_segnet_ros.view import contact_sheet

    dataset = open_dataset(args.data, args.root)
    loading = data_arguments.loading(args)
    reports = inspect(dataset, args.split or tuple(dataset.splits), 0, loading.workers)
    print(table(dataset, reports))
    palette = dataset.label_set.palette
    cells, shown = [], np.zeros(256, bool)
    for caption, (image, labels) in examples(dataset, reports, _EXAMPLES):
        colored = (image // 2 + palette[labels] // 2).astype(np.uint8)
        overlay = np.where((labels == UNLABELLED)[:, :, None], image // 4, colored)
        cells.append(contact_sheet.Cell(image, overlay, caption))
        shown |= np.bincount(labels.reshape(-1), minlength=256) > 0
    if cells:
        output = args.output or Path("build/data") / dataset.name
        output.mkdir(parents=True, exist_ok=True)
        legend = [label for label in dataset.label_set.classes if shown[label.id]]
        contact_sheet.write(output / "sheet.jpg", f"{dataset.name}; void is dark", cells, legend)
        print(f"\n{len(cells)} labelled images are drawn in {output / 'sheet.jpg'}")
    wrong = [problem for report in reports for problem in report.problems]
    lone = sum(len(report.lone_images) + len(report.lone_labels) for report in reports)
    if wrong or lone:
        raise DatasetError(
            f"{dataset.name}: {len(wrong)} pairs cannot be used, {lone} files have no partner"
            + (f"; first {wrong[0]}" if wrong else "")
        )
    for report in reports:
        if not report.pixels[: len(dataset.label_set)].any():
            raise DatasetError(f"{dataset.name}/{report.split}: all void: no pixel has a class")
    return 0


def _extract(args: argparse.Namespace) -> int:
    from squeeze_segnet_ros.offline.extract import Every, extract

    every = Every.parse(args.every)
    segmenter = None
    if args.prelabel:
        from squeeze_segnet_ros.engine import load

        segmenter = load(args.model, args.weights, args.device)
    done = extract(args.bags, args.output, every, args.topics, segmenter, args.min_confidence)
    for line in done.refused[:3]:
        print(f"left out: {line}")
    print(
        f"{args.output}: {done.frames} frames" + (f", {len(done.refused)} left out" if done.refused else "")
    )
    return 0


def _import(args: argparse.Namespace) -> int:
    from squeeze_segnet_ros.classes import label_set
    from squeeze_segnet_ros.data.cvat import import_export

    classes = label_set(args.classes) if args.classes else None
    done = import_export(args.export, args.output, args.images, classes, args.val_share)
    left_out = f", {done.left_out} without a label are left out" if done.left_out else ""
    print(f"{done.description}: {done.train} frames to train on, {done.val} to validate{left_out}")
    return 0
