"""Why no frames come of a camera: what is missing, what there is instead, and the remedy, in one line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from squeeze_segnet_ros.ros import fastdds
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, is_output

PATIENCE = 5.0
"""Seconds without a frame after which it is said why."""
RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def reason(
    topic: str, kind: str, offered: Sequence[str], others: Mapping[str, Sequence[str]], best_effort: bool
) -> str:
    """Return why nothing is received from a topic, as far as the graph shows.

    Args:
        topic: the topic that is subscribed to.
        kind: the type that is subscribed with.
        offered: the types with which it is published, one for each publisher.
        others: every topic that has a publisher, with its types.
        best_effort: whether a publisher of it offers no more than best effort.
    """
    fitting = sum(each == kind for each in offered)
    if fitting:
        return _nothing_received(topic, fitting, best_effort)
    if offered:
        found = ", ".join(sorted(set(offered)))
        return f"{topic} is published as {found}{_instead_of_type(topic, kind, offered)}"
    return f"{topic} has no publisher; {_instead(topic, kind, others)}"


def _instead(topic: str, kind: str, others: Mapping[str, Sequence[str]]) -> str:
    """Return what else there is, and how to take it."""
    compressed, raw = topic + COMPRESSED_SUFFIX, topic.removesuffix(COMPRESSED_SUFFIX)
    if kind == RAW and COMPRESSED in others.get(compressed, ()):
        return f"there is {compressed}: set transport to compressed (transport:=compressed)"
    if kind == COMPRESSED and RAW in others.get(raw, ()):
        return f"there is {raw}: set transport to raw"
    images = [
        name for name, kinds in others.items() if {RAW, COMPRESSED} & set(kinds) and not is_output(name)
    ]
    if images:
        shown = ", ".join(sorted(images)[:6]) + (" ..." if len(images) > 6 else "")
        return f"image topics with one are {shown}: set cameras, or start the driver"
    return (
        "nor has any other image topic: start the driver; if it runs, compare ROS_DOMAIN_ID and "
        "ROS_AUTOMATIC_DISCOVERY_RANGE"
    )


def _instead_of_type(topic: str, kind: str, offered: Sequence[str]) -> str:
    if kind == RAW and COMPRESSED in offered:
        return (
            f", not as {kind}: set transport to compressed and remap {topic}{COMPRESSED_SUFFIX} to it, "
            f"as in -r {topic}{COMPRESSED_SUFFIX}:={topic}"
        )
    return f", not as {kind}: name a topic of images in the parameter cameras"


def _nothing_received(topic: str, publishers: int, best_effort: bool) -> str:
    who = "1 publisher" if publishers == 1 else f"{publishers} publishers"
    offer = ", best effort" if best_effort else ""
    line = f"{topic} has {who}{offer}, and nothing is received: it may be silent"
    if strangers := _other_users():
        line += (
            f"; shared memory of Fast DDS belongs to user {', '.join(strangers)}: one user's frames do not "
            "reach another's node, run both as the same"
        )
    if best_effort and "fastrtps" in os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp"):
        line += "; images above 512 KiB are lost between processes unless "
        if profile := fastdds.chosen_profile(os.environ):
            line += f"the publisher has the Fast DDS profile {profile} too"
        else:
            line += f"both sides have a Fast DDS profile as config/fastdds.xml ({fastdds.PAGE})"
    return line


def _other_users() -> list[str]:
    """Return the users beside this one that have shared memory of Fast DDS on this computer, as numbers."""
    found = set()
    for name in ("fastrtps_*", "fastdds_*"):
        for file in fastdds.SHARED_MEMORY.glob(name):
            try:
                found.add(file.stat().st_uid)
            except OSError:  # gone meanwhile
                continue
    return [str(user) for user in sorted(found - {os.getuid()})]
