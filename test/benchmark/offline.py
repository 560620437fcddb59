"""Labelling without a graph beside the engine alone and beside a plain loop, in one run, turn by turn."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
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

BAG = Path(__file__).resolve().parents[2] / "rosbags" / "street_camvid"
_ASK = Request(confidence=False)


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
    options = Options(device=args.device, precision=args.precision)
    network = options.load()
    with open_bag(BAG) as bag:
        topics = list(choose_cameras(bag, ()).values())
        recorded = list(bag.messages(topics))
    pixels = [pixels_of(messages.image_message(m.data, m.type)) for m in recorded]
    seconds: dict[str, list[float]] = defaultdict(list)
    stages: dict[str, float] = {}
    network.segment([p.array for p in pixels[:BATCH]], _ASK, [p.encoding for p in pixels[:BATCH]])
    for _ in range(args.rounds):
        for name, work in (
            ("engine alone, full batches", lambda: _engine_alone(network, pixels)),
            ("label", lambda: _label(network, options)),
            ("plain loop", lambda: _plain_loop(network, topics)),
            (
                "label, a network that takes no time",
                lambda: stages.update(_label(_Nothing(network), options)),
            ),
        ):
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    rates = {name: len(recorded) / median(each) for name, each in seconds.items()}
    hidden = median(
        a / b for a, b in zip(seconds["engine alone, full batches"], seconds["label"], strict=True)
    )
    faster = median(a / b for a, b in zip(seconds["plain loop"], seconds["label"], strict=True))
    found = {
        "bag": BAG.name,
        "frames": len(recorded),
        "device": network.device,
        "precision": network.precision,
        "frames_per_second": {name: round(rate, 2) for name, rate in rates.items()},
        "label_over_engine": round(hidden, 3),
        "plain_loop_over_label": round(faster, 3),
        "null_network_ms_per_frame": {k: round(1000 * v / len(recorded), 3) for k, v in stages.items()},
    }
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "offline.json").write_text(json.dumps(found, indent=2) + "\n")
    (args.output / "offline.md").write_text(_table(found))
    print(_table(found))


def _engine_alone(network: Segmenter, pixels: Sequence[Any]) -> None:
    for first in range(0, len(pixels), BATCH):
        batch = pixels[first : first + BATCH]
        network.segment([each.array for each in batch], _ASK, [each.encoding for each in batch])


def _label(network: Any, options: Options) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        summary = Run(folder, plan([BAG]), options).label(network)
    found: dict[str, float] = summary["bags"][BAG.name]["stage_seconds"]
    return {stage: found[stage] for stage in ("read", "decode", "encode", "write")}


def _plain_loop(network: Segmenter, topics: Sequence[str]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        open_bag(BAG) as bag,
        BagWriter(Path(folder) / "x") as writer,
    ):
        for recorded in bag.messages(topics):
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
    rows = "\n".join(f"| {name} | {rate} |" for name, rate in found["frames_per_second"].items())
    stages = ", ".join(f"{stage} {ms}" for stage, ms in found["null_network_ms_per_frame"].items())
    return (
        f"### label, {found['bag']} ({found['frames']} frames), {found['device']}, {found['precision']}\n\n"
        f"| way | frames/s |\n|---|---:|\n{rows}\n\n"
        f"label / engine alone: {found['label_over_engine']} (must: 0.95); "
        f"time of the plain loop / label: {found['plain_loop_over_label']} (must on two cores: 1.15). "
        f"Milliseconds a frame beside the network: {stages}.\n"
    )
