"""Four cameras send ten times as many frames as the computer can label."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack

import numpy as np
from squeeze_segnet_ros.msg import SegmentationStats

from reliability.counting import decided, in_words, settled, sum_of
from reliability.graph import picture
from reliability.harness import Published, active_node
from reliability.report import Check, Row
from reliability.sender import Sent, Stream, sent_by, start_sender
from squeeze_segnet_ros.stamps import nanoseconds

CAMERAS = tuple(f"/camera_{number}/image_raw" for number in range(4))
RATE = 60.0
"""Of each camera, in Hz."""
SIZE = (180, 240)
"""Height and width of the frames: small ones, so that sending and receiving them is not the bottleneck."""
SHARE = 0.1
"""Of the frames that are sent, the computer manages so many."""
SECONDS, SHORT_SECONDS = 30.0, 4.0
LATENCY, UNFAIR = 2.0, 0.1
"""What is required: latency in processing times of a batch; how far a camera's share may be from the mean."""
_STEP = 32
_START_S = 1.0
"""Of the frames, whose latency is not looked at: the first batch of each size takes longer."""


def run(short: bool) -> Generator[Row]:
    """Yield the rows of the overload."""
    input_size, manages = _input_size()
    seconds = SHORT_SECONDS if short else SECONDS
    with ExitStack() as stack:
        bench = stack.enter_context(
            active_node({"cameras": list(CAMERAS), "device": "cpu", "input_size": list(input_size)})
        )
        seen = [Published(bench.graph, camera) for camera in CAMERAS]
        sender = stack.enter_context(
            start_sender(
                # Evenly out of step, as cameras are that know nothing of each other.
                [
                    Stream(camera, RATE, [SIZE], delay=number / len(CAMERAS) / RATE)
                    for number, camera in enumerate(CAMERAS)
                ],
                seconds,
            )
        )
        sent = sent_by(sender)
        counts = [settled(bench.graph, camera) for camera in CAMERAS]
        yield from _rows(sent, counts, seen, input_size, manages)


def _input_size() -> tuple[tuple[int, int], float]:
    """Return an input size at which this computer labels ``SHARE`` of the frames, and the share it does."""
    import squeeze_segnet_ros as ssr

    batch = [picture(seed, *SIZE) for seed in range(len(CAMERAS))]
    wanted = len(batch) / (SHARE * RATE * len(CAMERAS))
    size, took = (2 * SIZE[0], 2 * SIZE[1]), 0.0
    for _ in range(2):
        if took:
            scale = (wanted / took) ** 0.5
            size = (_rounded(size[0] * scale), _rounded(size[1] * scale))
        net = ssr.load(device="cpu", input_size=size)
        times = []
        for _ in range(5):
            started = time.perf_counter()
            net.segment(batch, ssr.Request(confidence=False))
            times.append(time.perf_counter() - started)
        took = float(np.median(times[1:]))
    return size, len(batch) / took / (RATE * len(CAMERAS))


def _rounded(pixels: float) -> int:
    return max(_STEP, round(pixels / _STEP) * _STEP)


def _rows(
    sent: Sent,
    counts: list[dict[str, int]],
    seen: list[Published],
    input_size: tuple[int, int],
    manages: float,
) -> Generator[Row]:
    stats = sorted((message for camera in seen for message in camera.stats), key=_seconds)
    # Nothing replaces the last frame of each camera while it waits: the load has ended then.
    stamps = [_seconds(message) for message in stats] or [0.0]
    start, end = stamps[0] + _START_S, stamps[-1] - 1 / RATE
    under_load = [message for message in stats if start <= _seconds(message) < end]
    p50, p99, most = (float(value) for value in np.percentile(_batches(under_load), [50, 99, 100]))
    last = max(_batches([message for message in stats if _seconds(message) >= end]))
    offered = sum(sent.messages.values()) / sent.seconds
    labelled = [camera["labelled"] for camera in counts]
    share = sum(labelled) / sum(sent.messages.values())
    yield Row(
        f"{len(CAMERAS)} cameras of {SIZE[1]}x{SIZE[0]} at {RATE:g} Hz each for {sent.seconds:.0f} s, "
        f"{offered:.0f} frames/s in all; with the network at {input_size[1]}x{input_size[0]} the computer "
        f"manages {manages:.0%} of them when it has nothing else to do: latency from stamp to label of every "
        "published frame but those of the first second and the last of each camera",
        f"under {LATENCY:g} times the processing time of its batch",
        f"{p50:.2f} (p50), {p99:.2f} (p99), {most:.2f} (max) times, {last:.2f} for the last ones; "
        f"{share:.1%} of the frames were labelled",
        most < LATENCY and offered > 0.95 * RATE * len(CAMERAS) and manages < 1.25 * SHARE,
        {
            "latency_p50": p50,
            "latency_p99": p99,
            "latency_max": most,
            "latency_last": last,
            "offered_hz": offered,
            "manages": manages,
            "labelled_share": share,
            "batch_mean": float(np.mean([message.batch_size for message in under_load] or [0])),
        },
    )
    total = sum_of(counts)
    exact = all(
        decided(camera) == sent.messages[topic] for topic, camera in zip(CAMERAS, counts, strict=True)
    ) and sum(labelled) == sum(len(camera.labels) for camera in seen)
    yield Row(
        "the same: every frame that was sent is counted",
        "sent = labelled + dropped, by cause, for every camera; a label image came for each that is labelled",
        f"{sum(sent.messages.values())} sent, {in_words(total)}; "
        f"{sum(len(camera.labels) for camera in seen)} label images",
        exact,
        {"sent": sum(sent.messages.values()), **total},
    )
    mean = sum(labelled) / len(labelled)
    unfair = max(abs(count - mean) for count in labelled) / max(mean, 1)
    yield Row(
        "the same: the cameras' shares of the labelled frames",
        f"within {UNFAIR:.0%} of their mean",
        f"{' / '.join(str(count) for count in labelled)}: within {unfair:.1%}",
        unfair <= UNFAIR,
        {"unfair": unfair},
    )


def _batches(stats: list[SegmentationStats]) -> list[float]:
    """Return each frame's latency in processing times of its batch; infinite where there is no frame."""
    return [message.latency / _batch_seconds(message) for message in stats] or [np.inf]


def _seconds(message: SegmentationStats) -> float:
    """Return the stamp in seconds."""
    return nanoseconds(message.header.stamp) / 1e9


def _batch_seconds(message: SegmentationStats) -> float:
    """Return the processing time of the batch that a frame was in, by the frame's stats."""
    of_batch = ("upload_time", "network_time", "download_time")
    of_frame = ("decode_time", "publish_time")
    seconds = {name: float(getattr(message, name)) for name in (*of_batch, *of_frame)}
    size = int(message.batch_size)
    return sum(seconds[name] for name in of_batch) + size * sum(seconds[name] for name in of_frame)


CHECK = Check("overload", "Overload", "four cameras send ten times what the computer can label", run)
