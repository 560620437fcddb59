"""The arguments that say what to label with, as the node's parameters of the same names."""

from __future__ import annotations

import argparse


def add_network(parser: argparse.ArgumentParser) -> None:
    """Declare ``--model``, ``--weights``, ``--device``, ``--precision``, ``--input-size`` and more."""
    parser.add_argument("--model", default="squeeze_segnet", help="network (default: %(default)s)")
    parser.add_argument("--weights", help="safetensors file (default: the released ones)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (default: %(default)s)")
    parser.add_argument(
        "--input-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
        help="size at which the network sees the images (default: their own)",
    )  # fmt: skip
    parser.add_argument(
        "--min-confidence", type=float, default=0.0, help="labels below, 0..1, become 255 (default: 0)"
    )
