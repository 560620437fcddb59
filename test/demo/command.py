"""Play a bag through the launched node and look at it from outside: ``make demo``."""

from __future__ import annotations

import argparse
from pathlib import Path

from squeeze_segnet_ros.data import SPLITS
from squeeze_segnet_ros.openmp import spin_briefly

LAUNCH_ARGUMENTS = ("model", "weights", "device", "precision")
"""What is handed on to the launch file, where it is given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the demo."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--bag", type=Path, help="a bag with camera images (default: the sample bag)")
    source.add_argument("--camvid", type=Path, help="a CamVid folder: plays its test frames")
    parser.add_argument("--split", default="test", choices=SPLITS, help="of --camvid")
    parser.add_argument("--limit", type=int, help="at most so many frames of --camvid")
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="folder for the results")
    parser.add_argument("--view", action="store_true", help="show it in a browser, until Ctrl-C")
    parser.add_argument("--rate", type=float, help="speed of the bag (default: what this computer manages)")
    for name in LAUNCH_ARGUMENTS:
        parser.add_argument(f"--{name}", help="as the launch argument of this name")


def run(parsed: argparse.Namespace) -> int:
    """Run the demo; 1 when frames are missing or the launch failed, 130 after Ctrl-C.

    Raises:
        SegmentationError: bad input.
    """
    spin_briefly()  # the player, the node and this program share the cores
    from demo import playing

    return playing.run(parsed)
