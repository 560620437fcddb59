"""What can be set on the node: names, defaults, descriptions and limits of every parameter.

This is their only home. The ROS parameters, ``config/segnet.yaml`` and the README's table follow it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from squeeze_segnet_ros import configuration
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.images import MAX_PIXELS
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX

ALL_CLASSES = "all"
_TOPIC = re.compile(r"(~?/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


class Change(Enum):
    """When a parameter may be set."""

    ANY_TIME = "at any time; takes effect with the next frame"
    SWITCH = "at any time; the new network is loaded beside the running one and takes over between two frames"
    UNCONFIGURED = "only while the node is unconfigured"
    AT_START = "only when the node is started"


class Setting(NamedTuple):
    """One parameter: its dotted ROS name and what may be done with it. ``limits`` includes both ends."""

    name: str
    default: Any
    description: str
    change: Change
    limits: tuple[float, float] | None
    choices: tuple[str, ...]


def _parameter(
    default: Any, description: str, change: Change = Change.UNCONFIGURED, **limits_or_choices: Any
) -> Any:
    return configuration.setting(default, description, change=change, **limits_or_choices)


@dataclass(frozen=True)
class QosConfig:
    """How the cameras are subscribed to."""

    reliability: str = _parameter(
        "auto",
        "Reliability asked of the cameras; auto: reliable where a camera offers it, else best_effort.",
        choices=("auto", "reliable", "best_effort"),
    )
    depth: int = _parameter(5, "Messages that the middleware keeps for each camera.", limits=(1, 1000))


@dataclass(frozen=True)
class OverlayConfig:
    """How the overlay is drawn."""

    alpha: float = _parameter(
        0.5, "Share of the class color in the overlay.", change=Change.ANY_TIME, limits=(0.0, 1.0)
    )


@dataclass(frozen=True)
class NodeConfig:
    """Everything that can be set on the node; fields of a nested class have dotted names (``qos.depth``)."""

    cameras: tuple[str, ...] = _parameter(
        ("/camera/front/image_raw",), "Image topics to segment; outputs go below <base>/segmentation/."
    )
    transport: str = _parameter(
        "raw",
        "raw reads Image; compressed reads CompressedImage (jpeg, png) on <camera>/compressed.",
        choices=("raw", "compressed"),
    )
    model: str = _parameter(
        "squeeze_segnet",
        "Name of the network, or path of the card (.yaml) of one from outside.",
        change=Change.SWITCH,
    )
    weights: str = _parameter(
        "", "Path of a safetensors file; empty takes the network's released weights.", change=Change.SWITCH
    )
    device: str = _parameter(
        "auto", "Compute device: auto, cpu, cuda, cuda:N, or openvino for the .onnx of a card."
    )
    precision: str = _parameter(
        "auto", "Number format of the network.", choices=("auto", "fp32", "bf16", "fp16", "int8")
    )
    input_size: tuple[int, ...] = _parameter(
        (0, 0),
        "Height and width at which the network sees images; [0, 0]: their own. Labels have the image's size.",
        limits=(0, 8192),
    )
    label_size: tuple[int, ...] = _parameter(
        (0, 0),
        "Height and width of label and confidence, each pixel the nearest; [0, 0]: those of the image.",
        change=Change.ANY_TIME,
        limits=(0, 8192),
    )
    qos: QosConfig = QosConfig()
    overlay: OverlayConfig = OverlayConfig()
    shown_classes: tuple[str, ...] = _parameter(
        (ALL_CLASSES,),
        "Names of the classes that the overlay colors; ['all'] for every one.",
        change=Change.ANY_TIME,
    )
    max_age: float = _parameter(
        0.0,
        "Frames whose stamp is older than this are dropped, in seconds; 0.0 keeps every age.",
        change=Change.ANY_TIME,
        limits=(0.0, 3600.0),
    )
    max_pixels: int = _parameter(
        2**24,
        "Images with more pixels are dropped before they are decoded; at their own size, a network takes up "
        "to 1 kB for each.",
        change=Change.ANY_TIME,
        limits=(2**10, MAX_PIXELS),
    )
    max_waiting: int = _parameter(
        1,
        "Frames of one camera that may wait; a newer one replaces the oldest. 1: the latest frame wins.",
        limits=(1, 100000),
    )
    min_confidence: float = _parameter(
        0.0,
        "Pixels whose class has a lower probability become 255 (unlabelled).",
        change=Change.ANY_TIME,
        limits=(0.0, 1.0),
    )
    autostart: bool = _parameter(
        True, "Configure and activate by itself at the start.", change=Change.AT_START
    )

    @property
    def network_size(self) -> tuple[int, int] | None:
        """``input_size`` as the engine takes it."""
        height, width = self.input_size
        return (height, width) if height else None

    def replaced(self, values: Mapping[str, Any]) -> NodeConfig:
        """Return a checked copy with new values by dotted name; sequences may be of any kind.

        Raises:
            ConfigError: a value is of the wrong type or not one that the node can work with.
        """
        changed = configuration.replaced(self, values)
        changed.check()
        return changed

    def values(self) -> dict[str, Any]:
        """Return every value by its dotted name, in the order of :func:`settings`."""
        return {leaf.name: leaf.value for leaf in configuration.leaves(self)}

    def check(self) -> None:
        """Raise ConfigError when a value is not one that the node can work with."""
        configuration.check(self)
        for camera in self.cameras:
            if not _TOPIC.fullmatch(camera):
                raise ConfigError(
                    f"cameras: '{camera}' is not a topic name: write one like /camera/front/image_raw"
                )
            # What ROS's reader of parameter files makes of `cameras:` and `cameras: null`.
            if camera.lower() == "null":
                raise ConfigError("cameras is null: name at least one image topic")
            if camera.endswith(COMPRESSED_SUFFIX):
                raise ConfigError(
                    f"cameras: '{camera}' is a compressed topic: set transport to compressed and name it "
                    f"'{camera.removesuffix(COMPRESSED_SUFFIX)}'"
                )
            if self.cameras.count(camera) > 1:
                raise ConfigError(f"cameras: '{camera}' is named twice: name each camera once")
        if not self.cameras:
            raise ConfigError("cameras is empty: name at least one image topic")
        for name, size in (("input_size", self.input_size), ("label_size", self.label_size)):
            if len(size) != 2 or (0 in size and any(size)):
                raise ConfigError(
                    f"{name} is {list(size)}: give [height, width], or [0, 0] for the images' own"
                )
        if not self.shown_classes:
            raise ConfigError(f"shown_classes is empty: name classes, or ['{ALL_CLASSES}']")


@cache
def settings() -> tuple[Setting, ...]:
    """Return every parameter in the order in which they are documented."""
    return tuple(
        Setting(leaf.name, leaf.default, **leaf.facts) for leaf in configuration.leaves(NodeConfig())
    )
