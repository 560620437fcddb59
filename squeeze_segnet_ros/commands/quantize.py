"""Write a weights file that can run in int8: with the range of each layer's input, learned from images."""

from __future__ import annotations

import argparse
from pathlib import Path

from squeeze_segnet_ros.commands import data_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--model", default="squeeze_segnet", help="network [squeeze_segnet]")
    parser.add_argument("--weights", type=Path, help="safetensors file [the released weights]")
    data_arguments.add_dataset(parser, default_split="train")
    parser.add_argument("--images", type=int, default=48, help="of the split, evenly spread [48]")
    parser.add_argument(
        "--agreement", type=float, default=0.99, help="share of labels that are to be those of fp32 [0.99]"
    )
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    import dataclasses

    import torch

    from squeeze_segnet_ros.engine.backends.plain import Normalization
    from squeeze_segnet_ros.engine.fold import fold_batch_norm
    from squeeze_segnet_ros.engine.quantization import quantize
    from squeeze_segnet_ros.errors import ConfigError
    from squeeze_segnet_ros.images.decoding import read_image
    from squeeze_segnet_ros.models import weights

    if args.images < 3:
        raise ConfigError(f"--images is {args.images}: give at least 3, each third of which is compared")
    pairs = data_arguments.dataset(args).pairs(args.split)
    chosen = pairs[:: max(1, len(pairs) // args.images)][: args.images]
    images = [torch.from_numpy(read_image(pair.image)).permute(2, 0, 1)[None] for pair in chosen]
    network, metadata, _ = weights.network_with(args.model, args.weights)
    found = quantize(
        fold_batch_norm(network),
        Normalization(metadata.mean, metadata.std),
        images,
        images[1::3],
        args.agreement,
    )
    weights.save(args.output, network, dataclasses.replace(metadata, int8=found.scales))
    layers = set(found.scales.layers)
    print(f"{'part':<24} {'work':>6}  {'labels changed':>14}")
    for part in found.parts:
        note = "" if layers.issuperset(part.layers) else "  not in int8"
        print(f"{part.name:<24} {part.work:>6.1%}  {part.cost:>14.2%}{note}")
    print(f"{found.agreement:.2%} of the labels are those of fp32; written to {args.output}")
    return 0
