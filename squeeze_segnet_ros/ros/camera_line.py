"""One camera's way through the node, as one object."""

from __future__ import annotations

import time
from typing import NamedTuple

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from squeeze_segnet_ros.ros.camera_input import CameraInput
from squeeze_segnet_ros.ros.camera_outputs import CameraOutputs
from squeeze_segnet_ros.ros.camera_record import CameraRecord
from squeeze_segnet_ros.ros.config import NodeConfig
from squeeze_segnet_ros.ros.frame_queue import Counts, FrameQueue


class CameraFrame(NamedTuple):
    """A message that waits; ``arrived`` is time.perf_counter()."""

    camera: CameraLine
    message: Image | CompressedImage
    arrived: float


class CameraLine:
    """What comes in of a camera, the frames that wait, what goes out, and what is remembered.

    Attributes:
        name: the camera as the parameter ``cameras`` names it; ``base`` is where its outputs are.
        input, outputs: its topics.
        slot: its place in the queue.
        record: rates, times and findings.
        reported: its counts at the last report on /diagnostics.
        silence: why no frames come, in one line; None while they do.
    """

    def __init__(
        self, node: Node, name: str, base: str, config: NodeConfig, queue: FrameQueue[CameraFrame]
    ) -> None:
        self.name = name
        self.input = CameraInput(node, name, config, self._on_image)
        self.outputs = CameraOutputs(node, base)
        self.slot = queue.add_slot()
        self.record = CameraRecord()
        self.reported = Counts()
        self.silence: str | None = None

    def destroy(self) -> None:
        """Take every topic of this camera off the node."""
        self.input.unsubscribe()
        self.outputs.destroy()

    def _on_image(self, message: Image | CompressedImage, lost: int) -> None:
        if lost:
            self.slot.miss(lost)
        self.record.received.tick()
        self.slot.put(CameraFrame(self, message, time.perf_counter()))
