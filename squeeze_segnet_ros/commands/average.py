"""Write the mean of several weights files of one network."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("files", type=Path, nargs="+", help="safetensors files of one network")
    parser.add_argument("--output", type=Path, required=True, help="safetensors file to write")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from squeeze_segnet_ros.models import weights
    from squeeze_segnet_ros.training.average import average

    network, metadata = average(args.files)
    weights.save(args.output, network, metadata)
    print(f"mean of {len(args.files)} files of {metadata.model}, written to {args.output}")
    return 0
