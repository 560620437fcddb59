"""What the view in the browser costs the node: its rate, latency and processor time without it and with it.

Cameras send the next frame when the label of the last one is there, so that what the view takes away shows.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from benchmark.node_rate import Case, Rate, measure, table

CASES = (
    Case(480, 360, cameras=1, in_flight=1, engine_ms=20.0),
    Case(480, 360, cameras=6, in_flight=6, engine_ms=60.0),
    Case(1280, 720, cameras=2, in_flight=2, engine_ms=50.0),
)
"""A network that waits, as with a GPU: then the processor has time, and what is lost is the view's doing."""
NODE = (sys.executable, "-m", "squeeze_segnet_ros.ros.segnet_node")
REAL = Case(480, 360, cameras=1, in_flight=1)
"""With the network on the processor, which is never idle."""
VIEWER = (sys.executable, "-m", "squeeze_segnet_ros.ros.viewer", "--port", "0", "--cameras")


def compare(seconds: float, output: Path) -> None:
    """Measure each case without the view and with it, print a table, write ``view.json`` and ``view.md``."""
    rates: list[Rate] = []
    for case in (*CASES, REAL):
        node, name = (NODE, f"{case}, squeeze_segnet on the processor") if case is REAL else (None, str(case))
        for beside, words in (((), "without the view"), (VIEWER, "with it")):
            rate = replace(measure(case, seconds, node, beside), case=f"{name}, {words}")
            rates.append(rate)
            print(f"{rate.case}: {rate.labels_per_second:.1f} labels/s", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    (output / "view.json").write_text(json.dumps([asdict(rate) for rate in rates], indent=1) + "\n")
    (output / "view.md").write_text(table(rates) + "\n")
    print(table(rates))
