"""Labelling without a graph beside the live node, the engine alone and a plain loop, turn by turn."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.engine import Request, Segmentation, Segmenter
from squeeze_segnet_ros.images.decoding import pixels_of
from squeeze_segnet_ros.images.label_images import png_of
from squeeze_segnet_ros.offline.label import Options, Run, plan
from squeeze_segnet_ros.offline.pipeline import BATCH
from squeeze_segnet_ros.offline.sources import choose_cameras
from squeeze_segnet_ros.topics import LABEL_PNG
from support.processes import Running

BAG = Path(__file__).resolve().parents[2] / "rosbags" / "street_camvid"
ENGINE, OURS, LOOP, NODE, NULL = (
    "engine alone, full batches",
    "label",
    "plain loop",
    "live node, the bag played to it",
    "label, a network that takes no time",
)
_ASK = Request(confidence=False)
_FASTER = 1.5
"""How much faster than the engine the bag is played to the node, which then always has a next frame."""


class _Nothing:
    """Stands for a network that takes no time: what is left is reading, decoding, encoding and writing."""

    def __init__(self, network: Segmenter) -> None:
        self.model, self.weights_sha256, self.classes = network.model, network.weights_sha256, network.classes
        self.device, self.precision = network.device, network.precision

    def segment(
        self, images: Sequence[np.ndarray], ask: Request, encodings: Sequence[str]
    ) -> list[Segmentation]:
        """Return labels as compressible as real ones."""
        return [Segmentation(image[..., 0] // 24 if image.ndim == 3 else image // 24) for image in images]


def compare_offline(args: argparse.Namespace) -> None:
    """Measure and write ``offline.json`` and ``offline.md``."""
    options = Options(device=args.device, precision=args.precision or "auto")
    network = options.load()
    with tempfile.TemporaryDirectory() as folder:
        found = _measure(args, network, options, Path(folder) / BAG.name)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "offline.json").write_text(json.dumps(found, indent=2) + "\n")
    (args.output / "offline.md").write_text(_table(found))
    print(_table(found))


def _measure(args: argparse.Namespace, network: Segmenter, options: Options, bag: Path) -> dict[str, Any]:
    with open_bag(BAG) as sample:
        topics = list(choose_cameras(sample, ()).values())
        recorded = list(sample.messages(topics))
    pixels = [pixels_of(messages.image_message(m.data, m.type)) for m in recorded]
    rate = _rate(network, pixels)
    # Full batches only, so that all ways have the same ones but the loop, which has none.
    count = min(len(recorded), max(2 * BATCH, round(rate * args.seconds))) // BATCH * BATCH
    recorded, pixels = recorded[:count], pixels[:count]
    with BagWriter(bag) as writer:
        for each in recorded:
            writer.write(each.topic, each.type, each.timestamp_ns, each.data)
    stages: dict[str, float] = {}
    labelled: list[float] = []
    hz = (len(recorded) - 1) / ((recorded[-1].timestamp_ns - recorded[0].timestamp_ns) / 1e9)

    def live_node() -> float:
        share, seconds = _live_node(bag, options, _FASTER * rate / hz, len(recorded))
        labelled.append(share)
        return seconds

    ways: dict[str, Callable[[], Any]] = {
        ENGINE: lambda: _engine_alone(network, pixels),
        OURS: lambda: _label(bag, network, options),
        LOOP: lambda: _plain_loop(bag, network, topics),
        NODE: live_node,
        NULL: lambda: stages.update(_label(bag, _Nothing(network), options)),
    }
    if not shutil.which("ros2"):
        print("no figures of the live node: there is no command ros2 here")
        del ways[NODE]
    seconds: dict[str, list[float]] = defaultdict(list)
    processor: dict[str, list[float]] = defaultdict(list)
    for _ in range(args.rounds):
        for name, work in ways.items():
            started, spent = time.perf_counter(), time.process_time()
            took = work()
            seconds[name].append(took if name == NODE else time.perf_counter() - started)
            processor[name].append(time.process_time() - spent)
    per_frame = 1000 / len(recorded)
    return {
        "bag": BAG.name,
        "frames": len(recorded),
        "device": network.device,
        "precision": network.precision,
        "frames_per_second": {name: round(len(recorded) / median(each), 2) for name, each in seconds.items()},
        "label_over_engine": round(_ratio(seconds[ENGINE], seconds[OURS]), 3),
        "plain_loop_over_label": round(_ratio(seconds[LOOP], seconds[OURS]), 3),
        "live_node_over_label": round(_ratio(seconds[NODE], seconds[OURS]), 3) if labelled else None,
        "live_node_labelled": round(median(labelled), 3) if labelled else None,
        "processor_ms_per_frame": {
            name: round(per_frame * median(processor[name]), 2) for name in (ENGINE, OURS, LOOP, NULL)
        },
        "null_network_ms_per_frame": {k: round(per_frame * v, 3) for k, v in stages.items()},
    }


def _rate(network: Segmenter, pixels: Sequence[Any]) -> float:
    """Return about how many frames a second the engine labels; afterwards it is warm, for single ones too."""
    for few in (1, BATCH):
        _engine_alone(network, pixels[:few])
    started = time.perf_counter()
    _engine_alone(network, pixels[:BATCH])
    return BATCH / (time.perf_counter() - started)


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return median(a / b for a, b in zip(above, below, strict=True))


def _engine_alone(network: Segmenter, pixels: Sequence[Any]) -> None:
    for first in range(0, len(pixels), BATCH):
        batch = pixels[first : first + BATCH]
        network.segment([each.array for each in batch], _ASK, [each.encoding for each in batch])


def _label(bag: Path, network: Any, options: Options) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        summary = Run(folder, plan([bag]), options).label(network)
    found: dict[str, float] = summary["bags"][bag.name]["stage_seconds"]
    return {stage: found[stage] for stage in ("read", "decode", "encode", "write")}


def _live_node(bag: Path, options: Options, rate: float, frames: int) -> tuple[float, float]:
    """Play the bag to the launched node; return the share of its frames that got a label, and in what time.

    The time is that of all frames at the rate at which labels came, without that of starting.

    Raises:
        RuntimeError: the launch failed.
    """
    graph = {"ROS_DOMAIN_ID": str(random.randint(1, 101)), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with tempfile.TemporaryDirectory() as folder:
        arguments = {
            "bag": bag, "record": Path(folder) / "labels", "rate": f"{rate:.3f}", "use_sim_time": "false",
            "device": options.device, "precision": options.precision,
        }  # fmt: skip
        command = ["ros2", "launch", "squeeze_segnet_ros", "segnet.launch.py"]
        with Running([*command, *(f"{name}:={value}" for name, value in arguments.items())], **graph) as node:
            if node.wait(600.0):
                raise RuntimeError(node.text)
        with open_bag(Path(folder) / "labels") as labels:
            (topic,) = (name for name in labels.topics if name.endswith(LABEL_PNG.name))
            times = [message.timestamp_ns for message in labels.messages([topic])]
    return len(times) / frames, frames * (times[-1] - times[0]) / 1e9 / max(1, len(times) - 1)


def _plain_loop(bag: Path, network: Segmenter, topics: Sequence[str]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        open_bag(bag) as reader,
        BagWriter(Path(folder) / "x") as writer,
    ):
        for recorded in reader.messages(topics):
            message = messages.image_message(recorded.data, recorded.type)
            image = pixels_of(message)
            labels = network.segment([image.array], _ASK, [image.encoding])[0].labels
            made = messages.make(
                messages.COMPRESSED_IMAGE, header=message.header, format="png", data=png_of(labels)
            )
            writer.write(
                "/label/compressed", made.__msgtype__, recorded.timestamp_ns, messages.serialize(made)
            )


def _table(found: dict[str, Any]) -> str:
    processor = found["processor_ms_per_frame"]
    rows = "\n".join(
        f"| {name} | {rate} | {processor.get(name, '')} |"
        for name, rate in found["frames_per_second"].items()
    )
    stages = ", ".join(f"{stage} {ms}" for stage, ms in found["null_network_ms_per_frame"].items())
    live = ""
    if found["live_node_labelled"] is not None:
        live = (
            f"time of the live node / label: {found['live_node_over_label']}, and it labelled "
            f"{found['live_node_labelled']:.0%} of what was played faster than it can; "
        )
    return (
        f"### label, {found['bag']} ({found['frames']} frames), {found['device']}, {found['precision']}\n\n"
        f"| way | frames/s | processor time, ms a frame |\n|---|---:|---:|\n{rows}\n\n"
        f"label / engine alone: {found['label_over_engine']} (must: 0.95); {live}"
        f"time of the plain loop / label: {found['plain_loop_over_label']} (must on two cores: 1.15). "
        f"Milliseconds a frame beside the network: {stages}.\n"
    )
