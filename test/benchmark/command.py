"""Compare the networks, and our engine with others.

Writes ``networks.json`` and ``networks.md`` (see :mod:`benchmark.networks`), ``engines.json``, ``engines.md``
and ``engines.png`` (see :mod:`benchmark.peers`), ``offline.json`` and ``offline.md`` (see
:mod:`benchmark.offline`), ``node.json`` and ``node.md`` (see :mod:`benchmark.node_rate`), ``view.json`` and
``view.md`` (see :mod:`benchmark.view_cost`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from squeeze_segnet_ros.data import ENVIRONMENT
from squeeze_segnet_ros.openmp import spin_briefly

ENGINE_CASES = ["480x360x1", "480x360x4", "1920x1080x1"]
"""Width, height and batch that the engines are compared on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--models", nargs="+", default=["all"], metavar="NAME", help="networks [all]")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [a GPU if there is one]")
    parser.add_argument("--precision", help="auto, fp32, bf16, fp16 or int8 [networks: fp32; offline: auto]")
    parser.add_argument("--size", default="480x360", help="width x height of the image in pixels [480x360]")
    parser.add_argument("--rounds", type=int, default=10, help="timed runs of each network [10]")
    parser.add_argument(
        "--only", choices=("networks", "engines", "offline", "node", "view"), help="one comparison [all]"
    )
    parser.add_argument(
        "--engine-cases", nargs="+", default=ENGINE_CASES, metavar="CASE",
        help=f"width x height x batch for the engines [{' '.join(ENGINE_CASES)}]",
    )  # fmt: skip
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        metavar="NAME",
        help="engines to leave out, by how their names begin",
    )
    parser.add_argument("--seconds", type=float, default=10, help="time for each case of the engines [10]")
    parser.add_argument("--weights", type=Path, help="weights of the engines' network [the released ones]")
    parser.add_argument(
        "--data", default=os.environ.get(ENVIRONMENT),
        help=f"data set, to compare our labels with those in fp32 [{ENVIRONMENT}; none, no comparison]",
    )  # fmt: skip
    parser.add_argument("--split", default="val", help="which of its images [val]")
    parser.add_argument(
        "--output", type=Path, default=Path("build/bench"), help="folder for the results [build/bench]"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.only == "offline":
        spin_briefly()  # as label does
    from benchmark import networks, node_rate, offline, view_cost

    if args.only in (None, "networks"):
        networks.compare_networks(args)
    if args.only in (None, "engines"):
        networks.compare_engines(args)
    if args.only == "offline":
        offline.compare_offline(args)
    if args.only is None:
        # How threads wait is decided once for a process.
        names = ("device", "precision", "rounds", "seconds", "output")
        given = [
            part for name in names if (value := getattr(args, name)) for part in (f"--{name}", str(value))
        ]
        command = [sys.executable, "-m", "squeeze_segnet_ros", "benchmark", "--only", "offline", *given]
        subprocess.run(command, check=True)
    if args.only in (None, "node"):
        node_rate.compare(args.seconds, args.output)
    if args.only in (None, "view"):
        view_cost.compare(args.seconds, args.output)
    print(f"written to {args.output}/")
    return 0
