"""A bag of six cameras around a car, through one node with the parameters of the surround view."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

from reliability.graph import Graph
from reliability.harness import Published, start_launch
from reliability.report import Check, Row
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.ros.parameter_file import ParameterFile

BAG = Path("rosbags/street_surround")
PARAMETERS = Path("config/surround_view.yaml")
RATE = 0.1
"""Speed of the bag: every frame is wanted, on any computer, before it is older than the parameters allow."""
RENDER = "render drive --seed 3 --cameras 6 --frames 12 --size 240x180"
"""What makes the bag where the repository does not have it; needs the package's ``scenes`` extra."""
_LAUNCH_S = 600.0


def run(short: bool) -> Generator[Row]:
    """Yield the row of the six cameras."""
    with tempfile.TemporaryDirectory(prefix="six_cameras_") as folder:
        yield play(BAG if BAG.exists() else _rendered(Path(folder)), RATE)


def play(bag: Path, rate: float) -> Row:
    """Play the bag through one node, as on a vehicle."""
    # PyTorch comes with it, for which the help of the command should not wait.
    from demo.playing import Frame, read_frames

    cameras = tuple(ParameterFile(PARAMETERS).parameters("/segnet")["cameras"])
    expected = set(read_frames(bag, cameras).frames)
    with ExitStack() as stack:
        graph = stack.enter_context(Graph())
        seen = {camera: Published(graph, camera) for camera in cameras}
        launch = stack.enter_context(
            start_launch({"params_file": PARAMETERS, "bag": bag, "rate": rate, "log_level": "warn"})
        )
        code = launch.wait(_LAUNCH_S)
    labelled = {Frame(camera, stamp) for camera, node in seen.items() for stamp in node.labels}
    batches = [message.batch_size for node in seen.values() for message in node.stats]
    largest, mean = max(batches, default=0), sum(batches) / max(1, len(batches))
    return Row(
        f"a rendered drive seen by {len(cameras)} cameras, {len(expected)} frames, played at rate {rate:g} "
        f"through one node with {PARAMETERS}",
        "every frame of every camera gets its label; the network takes those of several cameras together",
        f"{len(labelled & expected)} of {len(expected)} labelled, in batches of {mean:.1f} frames on average "
        f"and {largest} at most" + (f"; the launch ended with {code}" if code else ""),
        not code and labelled == expected and largest > 1,
        {
            "expected": len(expected),
            "labelled": len(labelled & expected),
            "batch_mean": mean,
            "batch_max": largest,
        },
    )


def _rendered(folder: Path) -> Path:
    bag = folder / BAG.name
    command = [sys.executable, "-m", "squeeze_segnet_ros", *RENDER.split(), "--output", str(bag)]
    if subprocess.run(command, check=False).returncode:
        raise ConfigError(f"there is no bag {BAG}, and it could not be rendered: pip install '.[scenes]'")
    return bag


CHECK = Check("six_cameras", "Six cameras", "a surround view from a bag through one node", run)
