"""A long drive: cameras that change, listeners that come and go, parameters that are set, and no growth."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack

import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from squeeze_segnet_ros.msg import SegmentationStats
from tqdm import tqdm

from reliability.counting import decided, in_words, settled, sum_of
from reliability.graph import Graph
from reliability.harness import start_node
from reliability.report import Check, Row
from reliability.sender import Sent, Stream, sent_by, start_sender
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, output_base
from support.processes import Running, Usage

SECONDS, SHORT_SECONDS = 1800.0, 60.0
WARM_UP = 0.4
"""After this share of the time memory is looked at: every size, output and parameter has come by then."""
MEMORY_MB = 5.0
"""By how much a node's resident memory may grow after the warm-up, in 10**6 bytes."""
STREAMS = {
    "raw": [
        Stream("/soak/raw_0/image_raw", 4.0, [(96, 128), (180, 240)], ["rgb8", "bgr8", "mono8"]),
        Stream("/soak/raw_1/image_raw", 4.0, [(128, 96), (240, 320)], ["bgra8", "rgba8"]),
        Stream("/soak/raw_2/image_raw", 4.0, [(100, 140)], ["mono16", "bayer_rggb8", "rgb8"]),
    ],
    "compressed": [
        Stream("/soak/jpeg/image_raw", 4.0, [(96, 128), (180, 240)], ["jpeg", "png"]),
        Stream("/soak/png/image_raw", 4.0, [(128, 96)], ["png", "jpeg"]),
    ],
}
"""What the cameras of each transport send, each transport to a node of its own."""
_EVENT_S = 0.25
_SAMPLE_S = 0.5
_MB = 1e6


class Observed:
    """A node with its cameras, what listens to it, and what it held at each moment."""

    def __init__(self, transport: str, streams: Sequence[Stream], stack: ExitStack) -> None:
        self.name = transport
        self.streams = streams
        self.usage: list[Usage] = []
        self.graph: Graph = stack.enter_context(Graph(f"/soak_{transport}"))
        cameras = [stream.topic for stream in streams]
        values = {"cameras": cameras, "transport": transport, "device": "cpu", "max_waiting": 5}
        self.node: Running = stack.enter_context(start_node(values, f"soak_{transport}"))
        self._heard: dict[str, list[None]] = {}
        self._events = 0

    def event(self) -> None:
        """Let the next thing happen to the node."""
        from squeeze_segnet_ros.models import weights  # imports PyTorch

        released = str(weights.released("squeeze_segnet"))
        events = (
            lambda: self._listen("label", "stats"),
            lambda: self.graph.set(overlay__alpha=0.2),
            lambda: self._listen("overlay"),
            lambda: self.graph.set(min_confidence=0.5, shown_classes=["car", "road"]),
            lambda: self._listen("confidence", "label/compressed"),
            lambda: self.graph.set(overlay__alpha=3.0),
            lambda: self.graph.set(weights=released),
            lambda: self._leave("overlay", "label"),
            lambda: self.graph.set(min_confidence=0.0, shown_classes=["all"], max_age=5.0),
            lambda: self.graph.set(weights="/nowhere.safetensors"),
            lambda: self._leave("stats", "confidence", "label/compressed"),
            lambda: self.graph.set(weights="", max_age=0.0),
        )
        events[self._events % len(events)]()
        self._events += 1

    def counts(self) -> dict[str, dict[str, int]]:
        """Return what became of each camera's frames."""
        suffix = COMPRESSED_SUFFIX if self.streams[0].compressed else ""
        return {stream.topic: settled(self.graph, stream.topic + suffix) for stream in self.streams}

    def _listen(self, *outputs: str) -> None:
        kinds = {"stats": SegmentationStats, "label/compressed": CompressedImage}
        for output in outputs:
            for stream in self.streams:
                topic = f"{output_base(stream.topic)}/{output}"
                self._heard[topic] = self.graph.listen(
                    kinds.get(output, Image), topic, QoSProfile(depth=10), lambda message: None
                )

    def _leave(self, *outputs: str) -> None:
        for output in outputs:
            for stream in self.streams:
                topic = f"{output_base(stream.topic)}/{output}"
                if topic in self._heard:
                    self.graph.stop_listening(self._heard.pop(topic))


def run(short: bool) -> Generator[Row]:
    """Yield the rows of the soak."""
    yield from soak(SHORT_SECONDS if short else SECONDS)


def soak(seconds: float) -> Generator[Row]:
    """Yield the rows of a soak of this length."""
    with ExitStack() as stack:
        nodes = [Observed(name, streams, stack) for name, streams in STREAMS.items()]
        for node in nodes:
            node.graph.wait_until("active")
        streams = [stream for node in nodes for stream in node.streams]
        sender = stack.enter_context(start_sender(streams, seconds))
        _drive(nodes, sender, seconds)
        sent = sent_by(sender)
        counts = {topic: found for node in nodes for topic, found in node.counts().items()}
        yield from _rows(nodes, sent, counts)


def _drive(nodes: Sequence[Observed], sender: Running, seconds: float) -> None:
    """Let things happen, and look at the nodes, until the cameras stop."""
    start = time.monotonic()
    events = samples = 0
    with tqdm(total=round(seconds), unit="s", desc="soak", disable=None, leave=False) as progress:
        while sender.is_running():
            passed = time.monotonic() - start
            if passed >= samples * _SAMPLE_S:
                for node in nodes:
                    node.usage.append(node.node.usage())
                samples += 1
            if passed >= events * _EVENT_S and passed < seconds:
                nodes[events % len(nodes)].event()
                events += 1
            progress.update(min(round(passed), progress.total) - progress.n)
            time.sleep(0.05)


def _rows(nodes: Sequence[Observed], sent: Sent, counts: dict[str, dict[str, int]]) -> Generator[Row]:
    did = (
        f"{sent.seconds:.0f} seconds, {len(counts)} cameras of changing size and encoding, raw to one "
        "node, jpeg and png to another; listeners come and go, parameters and weights change"
    )
    grown = {node.name: growth([usage.resident / _MB for usage in node.usage]) for node in nodes}
    line = {node.name: fitted([usage.resident / _MB for usage in node.usage]) for node in nodes}
    yield Row(
        f"{did}: resident memory, the median of the last tenth of the time after the warm-up minus that of "
        "the first tenth; and a straight line's growth over the same time",
        f"less than {MEMORY_MB:g} MB of growth",
        "; ".join(
            f"{node.name}: {grown[node.name]:+.1f} MB, line {line[node.name]:+.1f} MB, "
            f"of {node.usage[-1].resident / _MB:.0f} MB"
            for node in nodes
        ),
        max(grown.values()) < MEMORY_MB,
        {f"{name}_mb": value for name, value in grown.items()}
        | {f"{name}_line_mb": value for name, value in line.items()},
    )
    held = {
        f"{node.name} {what}": growth([float(getattr(usage, what)) for usage in node.usage])
        for node in nodes
        for what in ("threads", "handles")
    }
    yield Row(
        "the same: threads and file handles, the same difference",
        "no growth",
        "; ".join(f"{name}: {value:+g}" for name, value in held.items()),
        max(held.values()) <= 0,
        {name.replace(" ", "_"): value for name, value in held.items()},
    )
    total, number = sum_of(list(counts.values())), sum(sent.messages.values())
    yield Row(
        "the same: every frame that was sent is counted",
        "sent = labelled + unwatched + dropped, by cause, for every camera",
        f"{number} sent: {in_words(total)}",
        all(decided(found) == sent.messages[topic] for topic, found in counts.items()),
        {"sent": number, **total},
    )


def _after_warm_up(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values[int(WARM_UP * len(values)) :])


def growth(values: Sequence[float]) -> float:
    """Return the growth from the first to the last tenth after the warm-up, by their medians."""
    looked_at = _after_warm_up(values)
    tenth = max(1, len(looked_at) // 10)
    return float(np.median(looked_at[-tenth:]) - np.median(looked_at[:tenth]))


def fitted(values: Sequence[float]) -> float:
    """Return how much a line through all after the warm-up rises; outliers do not bend it (Theil-Sen)."""
    looked_at = _after_warm_up(values)
    blocks = np.array_split(looked_at, min(len(looked_at), 100))
    means = [float(np.median(block)) for block in blocks]
    slopes = [
        (later - earlier) / (j - i)
        for i, earlier in enumerate(means)
        for j, later in enumerate(means)
        if j > i
    ]
    return float(np.median(slopes)) * (len(means) - 1) if slopes else 0.0


CHECK = Check("soak", "Soak", "30 minutes of changing cameras, listeners and parameters", run)
