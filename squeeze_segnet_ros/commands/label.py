"""Label bags, pictures and films without a graph: a label for each frame, as the live node gives it."""

from __future__ import annotations

import argparse

from squeeze_segnet_ros.commands.network_arguments import add_network
from squeeze_segnet_ros.offline import BATCH, DEFAULT_OUTPUTS
from squeeze_segnet_ros.openmp import spin_briefly


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "inputs", nargs="+", metavar="input", help="bags, pictures, films, or folders of such"
    )
    parser.add_argument("--output", required=True, help="folder for the labels and summary.json")
    add_network(parser)
    parser.add_argument(
        "--topics", nargs="+", default=(), metavar="TOPIC", help="cameras (default: all of a bag)"
    )
    parser.add_argument(
        "--outputs", default=",".join(output.name for output in DEFAULT_OUTPUTS),
        help="topics to write, comma-separated: label, label/compressed, overlay, confidence, camera_info, "
        "stats (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--overlay", action="store_true", help="write <name>_overlay.png for each picture")
    parser.add_argument(
        "--video", action="store_true",
        help="write overlay.mp4 for each camera or film: pictures beside their overlays, legend, time",
    )  # fmt: skip
    parser.add_argument(
        "--times", action="store_true",
        help="say in films and stats how long the network took; no two runs have the same bytes then",
    )  # fmt: skip
    parser.add_argument(
        "--rrd", action="store_true",
        help="write labels.rrd for each bag or film: pictures, labels and figures for the Rerun viewer",
    )  # fmt: skip
    parser.add_argument("--images", action="store_true", help="write a PNG of each frame's labels too")
    parser.add_argument("--batch", type=int, default=BATCH, help="frames in a batch (default: %(default)s)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on where a run before was ended")
    again.add_argument("--overwrite", action="store_true", help="label again what is there")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be labelled, how long, how large"
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.add_argument(
        "--ray", metavar="ADDRESS",
        help="label bags on a Ray cluster: its address, auto for the one of this machine, local to start one",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=0, help="of --ray local (default: one for each core)")
    parser.add_argument("--worker-cpus", type=float, default=1, help="cores of a worker (default: 1)")
    parser.add_argument("--worker-gpus", type=float, default=0, help="GPUs of a worker (default: 0)")
    parser.add_argument(
        "--slice", type=float, default=300.0, metavar="SECONDS",
        help="with --ray, longer bags are labelled in slices of so many seconds (default: 300)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Label everything; the exit code is 1 where an input failed and others did not.

    Raises:
        SegmentationError: nothing could be labelled.
    """
    spin_briefly()  # on the same cores frames are decoded and labels encoded
    from squeeze_segnet_ros.offline import running

    return running.run(arguments)
