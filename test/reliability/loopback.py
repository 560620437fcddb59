"""What it costs to turn results into messages and to hand them to another process."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from sensor_msgs.msg import Image

from reliability.graph import picture, stamp_of
from reliability.harness import EVERYTHING, FRONT, Published, active_node, until_labelled
from reliability.report import Check, Row
from squeeze_segnet_ros.stamps import nanoseconds
from squeeze_segnet_ros.topics import output_base

SIZE = (1080, 1920)
FRAMES, SHORT_FRAMES = 30, 4
SHARE = 0.25
"""Of the inference time, conversion and publishing of label and overlay may take so much."""


def run(short: bool) -> Generator[Row]:
    """Yield the row of the loopback."""
    frames = SHORT_FRAMES if short else FRAMES
    height, width = SIZE
    with active_node({"device": "cpu"}) as bench:
        seen = Published(bench.graph)
        overlays = bench.graph.listen(Image, f"{output_base(FRONT)}/overlay", EVERYTHING, stamp_of)
        camera = bench.graph.camera(FRONT)
        pictures = [picture(seed, *SIZE) for seed in range(4)]

        # Until the node knows that we listen, small ones.
        until_labelled(bench, lambda: nanoseconds(camera.send(picture()).stamp), overlays)
        seen.stats.clear()
        for number in range(frames + 1):
            stamp = nanoseconds(camera.send(pictures[number % len(pictures)]).stamp)
            for heard in (overlays, seen.labels):
                bench.graph.wait_for(lambda stamp=stamp, heard=heard: stamp in heard, "a result")  # type: ignore[misc]
        bench.graph.wait_for(lambda: len(seen.stats) > frames, "stats of every frame")
    stats = seen.stats[1:]  # the first frame of a size is slower
    share = np.array([(each.decode_time + each.publish_time) / each.network_time for each in stats])
    # What of the latency is not in the node's stages before the publishing.
    inside = np.array([each.wait_time + each.decode_time + each.network_time for each in stats])
    arriving = np.array([each.latency for each in stats]) - inside
    network = np.array([each.network_time for each in stats])
    p50, most = float(np.median(share)), float(share.max())
    yield Row(
        f"{len(stats)} frames of {width}x{height} rgb8, label and overlay to another process: taking the "
        "pixels out of the message, conversion of both results and publishing them, compared with the "
        f"inference time on the CPU ({stats[0].precision})",
        f"less than {SHARE:.0%} of it",
        f"{p50:.2%} (median), {most:.2%} (max); besides, a frame's way into the node takes up to "
        f"{float(np.median(arriving / network)):.1%}",
        p50 < SHARE,
        {"share_p50": p50, "share_max": most, "arriving_p50": float(np.median(arriving / network))},
    )


CHECK = Check("loopback", "Loopback", "the cost of conversion and publishing at 1920x1080", run)
