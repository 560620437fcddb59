"""Cameras in a process of their own, which cannot be slowed down by whoever observes what comes out.

    python3 -m reliability.sender SECONDS STREAMS

``STREAMS`` is a list of :class:`Stream` in JSON. Starts once the node listens to all of them; at the end it
prints how many messages of each topic it has sent.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from reliability.graph import picture
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX
from support.processes import PATIENCE, Running, TooLate

PICTURES = 16
"""Different pictures of a size and encoding; they take turns, so that no camera looks frozen."""
KEPT = 5
"""So many frames have the same size and encoding, then come the next."""
_QUEUE = 50
_COMPRESSED = {"jpeg": ".jpg", "png": ".png"}


class Stream(NamedTuple):
    """What a camera sends: ``rate`` in Hz, ``sizes`` as (height, width); jpeg and png are encodings too.

    It sends its first frame after ``delay`` seconds. A stream is either compressed or raw throughout.
    ``best_effort`` publishes with sensor data QoS, as camera drivers do.
    """

    topic: str
    rate: float
    sizes: Sequence[tuple[int, int]]
    encodings: Sequence[str] = ("rgb8",)
    delay: float = 0.0
    best_effort: bool = False

    @property
    def compressed(self) -> bool:
        """Whether it goes to the topic's ``/compressed``."""
        return self.encodings[0] in _COMPRESSED


class Sent(NamedTuple):
    """How many messages of each topic were sent, and how long that took, in seconds."""

    messages: dict[str, int]
    seconds: float


def start_sender(streams: Sequence[Stream], seconds: float) -> Running:
    """Start the cameras in a process of their own."""
    return Running([sys.executable, "-m", __name__, str(seconds), json.dumps(streams)])


def sent_by(sender: Running, seconds: float = PATIENCE) -> Sent:
    """Return what a sender sent, once it has ended.

    Raises:
        TooLate: it does not end.
    """
    if sender.wait(seconds):
        raise TooLate(f"the cameras' process failed:\n{sender.text}")
    return Sent(**json.loads(sender.lines[-1]))


def main() -> None:
    """Send for some seconds."""
    seconds = float(sys.argv[1])
    streams = [Stream(*fields) for fields in json.loads(sys.argv[2])]
    rclpy.init(args=[])
    node = Node("cameras", enable_rosout=False, start_parameter_services=False)
    cameras = [_Camera(node, stream) for stream in streams]
    while not all(camera.publisher.get_subscription_count() for camera in cameras):
        time.sleep(0.05)
    # The other side knows of it a moment later.
    time.sleep(0.5)
    sent = dict.fromkeys((stream.topic for stream in streams), 0)
    start = time.monotonic()
    for due, camera in _schedule(cameras, seconds):
        time.sleep(max(0.0, start + due - time.monotonic()))
        camera.send(sent[camera.stream.topic])
        sent[camera.stream.topic] += 1
    took = time.monotonic() - start
    for camera in cameras:
        camera.publisher.wait_for_all_acked()
    if any(stream.best_effort for stream in streams):
        time.sleep(0.5)  # nobody acknowledges the last of those, and they go with this process
    print(json.dumps(Sent(sent, took)._asdict()), flush=True)
    node.destroy_node()
    rclpy.shutdown()


def encoded(pixels: np.ndarray, encoding: str) -> Image | CompressedImage:
    """Return uint8 (H, W, 3) RGB as a message."""
    if encoding in _COMPRESSED:
        compressed = CompressedImage(format=encoding)
        compressed.data.frombytes(cv2.imencode(_COMPRESSED[encoding], pixels[..., ::-1])[1].tobytes())
        return compressed
    gray = np.ascontiguousarray(pixels[..., 1])
    alpha = np.full_like(gray, 255)
    data = {
        "rgb8": pixels,
        "bgr8": pixels[..., ::-1],
        "rgba8": np.dstack([pixels, alpha]),
        "bgra8": np.dstack([pixels[..., ::-1], alpha]),
        "mono8": gray,
        "mono16": gray.astype("<u2") * 257,
        "bayer_rggb8": gray,
    }[encoding].tobytes()
    height, width = gray.shape
    message = Image(height=height, width=width, encoding=encoding, step=len(data) // height)
    message.data.frombytes(data)
    return message


class _Camera:
    def __init__(self, node: Node, stream: Stream) -> None:
        self.stream = stream
        kind = CompressedImage if stream.compressed else Image
        topic = stream.topic + (COMPRESSED_SUFFIX if stream.compressed else "")
        qos = qos_profile_sensor_data if stream.best_effort else QoSProfile(depth=_QUEUE)
        self.publisher = node.create_publisher(kind, topic, qos)
        self._messages = [
            [encoded(picture(seed, *size), encoding) for seed in range(PICTURES)]
            for size in stream.sizes
            for encoding in stream.encodings
        ]

    def send(self, number: int) -> None:
        """Publish a frame with the time as its stamp; ``number`` counts them."""
        variants = self._messages[number // KEPT % len(self._messages)]
        message: Any = variants[number % PICTURES]
        message.header.frame_id = "camera_optical_frame"
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(time.time_ns(), 10**9)
        self.publisher.publish(message)


def _schedule(cameras: Sequence[_Camera], seconds: float) -> list[tuple[float, _Camera]]:
    """Return which camera's turn it is after how many seconds."""
    turns = [
        (camera.stream.delay + turn / camera.stream.rate, number)
        for number, camera in enumerate(cameras)
        for turn in range(round(seconds * camera.stream.rate))
    ]
    return [(due, cameras[number]) for due, number in sorted(turns)]


if __name__ == "__main__":
    main()
