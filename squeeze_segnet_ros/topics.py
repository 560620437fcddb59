"""Topics: what is published for each camera and where, by the node and in a recording alike.

Publishers, RViz, the security policy and the docs follow the table ``OUTPUTS``. To add an output, add a row
and publish it in ``ros/labeller.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

COMPRESSED_SUFFIX = "/compressed"
SEGMENTATION = "segmentation"
"""Last part of the namespace of a camera's outputs."""


class Output(NamedTuple):
    """A topic below a camera's ``segmentation/``.

    Attributes:
        name: its name there.
        type: its message type, as ``ros2 topic info`` writes it.
        what: what it holds, in a few words.
        depth: messages that are kept for a subscriber that falls behind; then it loses the oldest.
        needs_network: whether the network runs for somebody who listens to it.
        latched: whether the last message is kept for those that come later.
    """

    name: str
    type: str
    what: str
    depth: int
    needs_network: bool = True
    latched: bool = False


_IMAGE = "sensor_msgs/msg/Image"

# What a recorder needs is kept longer than the pictures, of which a slow viewer wants only the newest.
LABEL = Output("label", _IMAGE, "class id per pixel; 255 = unlabelled", 30)
LABEL_PNG = Output("label/compressed", "sensor_msgs/msg/CompressedImage", "the same, lossless", 30)
OVERLAY = Output("overlay", _IMAGE, "the camera image with the class colors blended in", 5)
CONFIDENCE = Output("confidence", _IMAGE, "probability of the chosen class, 0..255", 5)
LABEL_INFO = Output(
    "label_info",
    "vision_msgs/msg/LabelInfo",
    "class ids and names; the threshold is `min_confidence`",
    1,
    needs_network=False,
    latched=True,
)
CAMERA_INFO = Output(
    "camera_info",
    "sensor_msgs/msg/CameraInfo",
    "the camera's own, when it publishes one",
    30,
    needs_network=False,
)
STATS = Output(
    "stats",
    "squeeze_segnet_ros/msg/SegmentationStats",
    "pixels per class, time per stage, drops by cause",
    30,
)
OUTPUTS = (LABEL, LABEL_PNG, OVERLAY, CONFIDENCE, LABEL_INFO, CAMERA_INFO, STATS)


def output_base(camera: str) -> str:
    """Return where a camera's outputs are: ``/camera/front/segmentation`` for ``/camera/front/image_raw``."""
    parent = camera.rpartition("/")[0]
    return f"{parent}/{SEGMENTATION}" if parent or camera.startswith("/") else SEGMENTATION


def output_bases(cameras: Sequence[str]) -> tuple[str, ...]:
    """Return where the outputs of each of several cameras are.

    Cameras that would share one place have their own name in it: ``/cam0/segmentation`` for ``/cam0``, where
    ``/cam1`` is beside it.
    """
    bases = [output_base(camera) for camera in cameras]
    while shared := {base for base in bases if bases.count(base) > 1}:
        own = [
            f"{camera}/{SEGMENTATION}" if base in shared else base
            for camera, base in zip(cameras, bases, strict=True)
        ]
        if own == bases:  # the same camera twice
            break
        bases = own
    return tuple(bases)


def camera_info_topic(camera: str) -> str:
    """Return where a camera publishes its CameraInfo, by ROS's convention."""
    return output_base(camera).removesuffix(SEGMENTATION) + "camera_info"


def is_output(topic: str) -> bool:
    """Return whether a topic is an output of ours, by its name."""
    return any(f"/{topic}".endswith(f"/{SEGMENTATION}/{output.name}") for output in OUTPUTS)
