"""Write a network, from image to labels, for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path

from squeeze_segnet_ros.errors import ConfigError

_SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--format", required=True, choices=tuple(_SUFFIXES), help="format of the file")
    parser.add_argument("--model", default="squeeze_segnet", help="network [squeeze_segnet]")
    parser.add_argument("--weights", type=Path, help="safetensors file [the released weights]")
    parser.add_argument("--size", default="480x360", help="width x height of the images in pixels [480x360]")
    parser.add_argument("--batch", type=int, default=1, help="images that go through at once [1]")
    parser.add_argument("--output", type=Path, help="file to write [build/export/MODEL_SIZE.onnx or .pt2]")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    import torch

    from squeeze_segnet_ros.engine.export import exported, labels_network, write_onnx
    from squeeze_segnet_ros.engine.segmenter import MIN_SIZE
    from squeeze_segnet_ros.images.sizes import parse_size

    size = parse_size(args.size, MIN_SIZE)
    if args.batch < 1:
        raise ConfigError(f"--batch is {args.batch}: give at least 1")
    default = Path("build/export") / f"{args.model}_{size[1]}x{size[0]}{_SUFFIXES[args.format]}"
    path = args.output or default
    network = labels_network(args.model, args.weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    if args.format == "onnx":
        write_onnx(network, path, size, args.batch)
    else:
        torch.export.save(exported(network, size, args.batch), path)
    print(f"written to {path}: image uint8 ({args.batch}, {size[0]}, {size[1]}, 3) RGB -> labels uint8")
    return 0
