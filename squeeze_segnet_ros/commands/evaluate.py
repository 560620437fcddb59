"""Score a weights file on a split of CamVid.

Writes ``scores.json``, ``scores.md`` (a table beside the paper's), ``confusion.png`` and ``frames.jpg`` (the
best and the worst frames: image, truth, prediction).
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.data import SPLITS
from squeeze_segnet_ros.errors import ConfigError, DatasetError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--model", default="squeeze_segnet", help="network [squeeze_segnet]")
    parser.add_argument("--weights", type=Path, help="weights file [the released one]")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("CAMVID_ROOT"), help="CamVid root [CAMVID_ROOT]"
    )
    parser.add_argument("--split", choices=SPLITS, default="val", help="which images [val]")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [a GPU if there is one]")
    parser.add_argument("--precision", default="fp32", help="auto, fp32, bf16 or fp16 [fp32]")
    parser.add_argument("--output", type=Path, help="folder for the results [build/evaluate/<model>_<split>]")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from squeeze_segnet_ros.data.camvid import load_split
    from squeeze_segnet_ros.engine import load
    from squeeze_segnet_ros.scoring.evaluate import evaluate, markdown_table

    if args.data is None:
        raise DatasetError("no data set: give --data or set CAMVID_ROOT to CamVid's root folder")
    segmenter = load(args.model, args.weights, args.device, args.precision)
    if segmenter.label_set.names != CAMVID.names:
        raise ConfigError(f"{segmenter.weights} has the classes of {segmenter.label_set.name}, not CamVid's")
    data = load_split(Path(args.data), args.split)
    output = args.output or Path("build/evaluate") / f"{args.model}_{args.split}"
    output.mkdir(parents=True, exist_ok=True)
    report = evaluate(segmenter, data, output)
    report["split"] = args.split
    (output / "scores.json").write_text(json.dumps(report, indent=2) + "\n")
    table = markdown_table(report, segmenter.label_set)
    (output / "scores.md").write_text(table)
    print(table)
    print(f"written to {output}/")
    return 0
