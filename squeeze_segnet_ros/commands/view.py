"""Look at a bag, a film, pictures, a camera or what ``label`` made of one, in the browser, without ROS."""

from __future__ import annotations

import argparse

from squeeze_segnet_ros.commands.network_arguments import add_network
from squeeze_segnet_ros.view import web


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "input",
        help="a bag, a film, a picture, a folder of pictures, a camera (/dev/video0), or a folder of label",
    )
    parser.add_argument("--save", metavar="FILE.rrd", help="write a recording for Rerun instead of a page")
    parser.add_argument("--bind", default=web.LOOPBACK, help="IP address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=web.PORT, help="port of the page (default: %(default)s)")
    parser.add_argument(
        "--memory", type=int, default=web.MEMORY_MB, metavar="MB",
        help="what is kept for pages that open later; the oldest goes first (default: %(default)s)",
    )  # fmt: skip
    add_network(parser)
    parser.add_argument(
        "--topics", nargs="+", default=(), metavar="TOPIC", help="cameras (default: all of a bag)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show it until Ctrl-C, or write it.

    Raises:
        SegmentationError: it cannot be read, or the page cannot be served.
    """
    from squeeze_segnet_ros.offline import showing

    return showing.run(arguments)
