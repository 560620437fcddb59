"""Score a network on a split of a data set.

Writes ``scores.json``, ``scores.md``, ``confusion.png`` and ``frames.jpg`` (the best and the worst frames:
image, truth, prediction); with --corruptions also ``corruptions.jpg``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from squeeze_segnet_ros.commands import data_arguments
from squeeze_segnet_ros.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--model", default="squeeze_segnet", help="network, or a card's .yaml [squeeze_segnet]"
    )
    parser.add_argument("--weights", type=Path, help="weights file [the released one]")
    data_arguments.add_dataset(parser)
    parser.add_argument(
        "--remap",
        help="what classes of the network are in the data, or the other way round, where names differ: "
        "rider=bicyclist,truck=car, or a YAML file, or the name of one in config/remap",
    )
    parser.add_argument(
        "--corruptions", nargs="*", metavar="NAME",
        help="score it under corruptions too: noise, blur, weather, JPEG [without names: all fifteen]",
    )  # fmt: skip
    parser.add_argument(
        "--severities", nargs="+", type=int, metavar="N", help="of the corruptions, 1 to 5 [all five]"
    )
    parser.add_argument("--limit", type=int, help="at most so many images, evenly spread [all]")
    data_arguments.add_loading(parser)
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [a GPU if there is one]")
    parser.add_argument("--precision", default="fp32", help="auto, fp32, bf16, fp16 or int8 [fp32]")
    parser.add_argument("--output", type=Path, help="folder for the results [build/evaluate/<model>_<split>]")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from squeeze_segnet_ros.data.loading import Loader, checked, sources_of
    from squeeze_segnet_ros.engine import load
    from squeeze_segnet_ros.scoring import corruptions
    from squeeze_segnet_ros.scoring.corruptions import SEVERITIES
    from squeeze_segnet_ros.scoring.evaluate import evaluate, markdown_table
    from squeeze_segnet_ros.scoring.remap import read_names, remap

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit is {args.limit}: give at least 1")
    names, severities = args.corruptions or tuple(corruptions.CORRUPTIONS), args.severities or SEVERITIES
    corruptions.check(names, severities)
    dataset = data_arguments.dataset(args)
    sources = sources_of(dataset, [args.split])
    if args.limit:
        sources = sources[:: -(-len(sources) // args.limit)]
    segmenter = load(args.model, args.weights, args.device, args.precision)
    mapped = remap(segmenter.label_set, dataset.label_set, read_names(args.remap) if args.remap else None)
    options = data_arguments.loading(args)
    output = args.output or Path("build/evaluate") / f"{Path(args.model).stem}_{args.split}"
    with Loader(sources, options.cache_bytes, options.workers) as loader:
        images = checked(loader, range(len(sources)), f"{dataset.name}/{args.split}", options.skip_broken)
        if images.broken:
            print(f"left out {len(images.broken)} files that cannot be read, first {images.broken[0]}")
        output.mkdir(parents=True, exist_ok=True)
        report = evaluate(segmenter, images, mapped, output)
        if args.corruptions is not None:
            report["corruptions"] = corruptions.robustness(
                segmenter, images, mapped, report["mean_iou"] or 0.0, names, severities
            )
            corruptions.draw(output / "corruptions.jpg", segmenter, images[0].image, mapped, names)
    report |= {"data": dataset.name, "split": args.split}
    (output / "scores.json").write_text(json.dumps(report, indent=2) + "\n")
    table = markdown_table(report)
    if "corruptions" in report:
        table += "\n" + corruptions.markdown_table(report["corruptions"])
    (output / "scores.md").write_text(table)
    print(table)
    print(f"written to {output}/")
    return 0
