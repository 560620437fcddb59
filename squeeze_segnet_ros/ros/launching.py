"""What the launch file decides before it starts anything: which cameras there are, and how they arrive."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from squeeze_segnet_ros.bags import open_bag
from squeeze_segnet_ros.bags.cameras import find_cameras
from squeeze_segnet_ros.bags.messages import IMAGE
from squeeze_segnet_ros.bags.reader import printable
from squeeze_segnet_ros.errors import BagError, ConfigError
from squeeze_segnet_ros.ros.config import NodeConfig
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX


class BagPlan(NamedTuple):
    """How a bag is to be labelled.

    ``decompress``: whether the player decodes the pictures; ``note``: what the user should hear, or nothing.
    """

    cameras: tuple[str, ...]
    transport: str
    decompress: bool
    note: str = ""


def use_own_graph() -> None:
    """Let what is started from here on share a graph of its own, unless the user chose one."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.randint(1, 101)))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


def names_in(text: str) -> tuple[str, ...]:
    """Return topics as a launch argument gives them: ``/a,/b`` or ``[/a, /b]``; none for an empty text."""
    return tuple(name.strip(" '\"") for name in text.strip("[] ").split(",") if name.strip(" '\""))


def checked_rate(text: str) -> str:
    """Return the bag's speed as the launch argument gives it.

    Raises:
        ConfigError: it is not a number above 0.
    """
    try:
        valid = 0 < float(text) < float("inf")
    except ValueError:
        valid = False
    if not valid:
        raise ConfigError(f"rate is '{text}': give a number above 0, such as 0.5 for half the recorded speed")
    return text


def parameters_in(path: Path, node: str) -> dict[str, Any]:
    """Return what a ROS parameter file holds for ``node`` (a full name, such as /segnet), by dotted name.

    Raises:
        ConfigError: there is no such file, or it is not a parameter file.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"params_file {path} cannot be read: {getattr(error, 'strerror', error)}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"params_file {path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(
            f"params_file {path} holds no parameters: write '/**:', 'ros__parameters:' and names below"
        )
    found: dict[str, Any] = {}
    for name, parameters in _nodes(content, ""):
        if _matches(name, node):
            found |= dict(_flat(parameters, ""))
    return found


def plan_bag(
    path: str, wanted: tuple[str, ...] = (), transport: str | None = None, show: bool = False
) -> BagPlan:
    """Decide how to label a bag.

    Args:
        path: bag folder or file.
        wanted: cameras that were asked for; all of the bag when empty.
        transport: what was asked for; what fits the bag when None.
        show: whether somebody wants to see the raw pictures.

    Raises:
        BagError: the bag cannot be read, or does not hold what was asked for.
    """
    with open_bag(path) as bag:
        bag.require_images()
        topics, found = bag.topics, find_cameras(bag)
    raw, compressed, left_out = found
    cameras = tuple(name if name.startswith("/") else f"/{name}" for name in wanted) or tuple(
        sorted(raw | compressed)
    )
    # What was left out may be asked for all the same.
    for camera in cameras:
        for topic in left_out.keys() & {camera, camera + COMPRESSED_SUFFIX}:
            (raw if topics[topic] == IMAGE else compressed)[camera] = topic
    have = ", ".join(map(printable, found.names)) or "none"
    if not cameras:
        images = ", ".join(f"{printable(name)} ({printable(kind)})" for name, kind in topics.items())
        raise BagError(
            f"{path}: no camera in it: needs an Image, or a CompressedImage on .../compressed; has {images}"
        )
    for camera in cameras:
        if camera not in raw and camera not in compressed:
            raise BagError(f"{path}: no camera {camera} in this bag: it has {have}")
    undecoded = [camera for camera in cameras if camera not in raw]
    if transport is None:
        transport = "compressed" if len(undecoded) == len(cameras) and not show else "raw"
    if transport == "compressed" and (missing := [camera for camera in cameras if camera not in compressed]):
        raise BagError(f"{path}: {missing[0]} is recorded raw in this bag: set transport to raw")
    note = f"left out: {found.describe_left_out()}; cameras:=TOPIC asks for one" if left_out else ""
    return BagPlan(cameras, transport, bool(undecoded) and (show or transport == "raw"), note)


def default_cameras() -> tuple[str, ...]:
    """Return the cameras that the node has when it is told none."""
    return NodeConfig().cameras


def _nodes(content: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    """Return node names, or patterns, and their parameters; namespaces may be nested."""
    found: list[tuple[str, Any]] = []
    for key, value in content.items():
        name = f"{prefix}/{str(key).strip('/')}"
        if isinstance(value, dict) and "ros__parameters" in value:
            found.append((name, value["ros__parameters"] or {}))
        elif isinstance(value, dict):
            found += _nodes(value, name)
    return found


def _matches(pattern: str, node: str) -> bool:
    """Match as ROS's wildcards do: ``*`` for one part of a name, ``**`` for any number of parts."""

    def fits(parts: list[str], names: list[str]) -> bool:
        if not parts:
            return not names
        if parts[0] == "**":
            return any(fits(parts[1:], names[i:]) for i in range(len(names) + 1))
        return bool(names) and parts[0] in ("*", names[0]) and fits(parts[1:], names[1:])

    # A name without a namespace fits the node wherever it is.
    parts = pattern.strip("/").split("/")
    return fits(parts, node.strip("/").split("/")) or (
        len(parts) == 1 and parts[0] == node.rpartition("/")[2]
    )


def _flat(parameters: Any, prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in parameters.items() if isinstance(parameters, dict) else ():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found
