"""Which topics of a bag are cameras, by their names and by what their first message holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from squeeze_segnet_ros.bags.messages import COMPRESSED_IMAGE, IMAGE, IMAGE_TYPES, image_message
from squeeze_segnet_ros.bags.reader import BagReader, printable
from squeeze_segnet_ros.errors import BagError, InvalidImageError
from squeeze_segnet_ros.images.decoding import source_encoding
from squeeze_segnet_ros.images.encodings import NO_CAMERA
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, is_output


class Cameras(NamedTuple):
    """The cameras of a bag: each maps the camera's topic, without ``/compressed``, to the recorded topic.

    Attributes:
        raw: those that are recorded raw.
        compressed: those that are recorded compressed.
        left_out: topics of images that hold no scene, and what they hold.
    """

    raw: dict[str, str]
    compressed: dict[str, str]
    left_out: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Every camera, in alphabetical order."""
        return tuple(sorted(self.raw | self.compressed))

    def describe_left_out(self) -> str:
        """Return a line about what was left out, or nothing."""
        return ", ".join(f"{printable(topic)} ({what})" for topic, what in self.left_out.items())


def cameras_in(topics: Mapping[str, str]) -> Cameras:
    """Return the cameras among topics, given with their types, by name. Label images are no cameras."""
    found = Cameras({}, {}, {})
    for topic, kind in topics.items():
        name = topic.removesuffix(COMPRESSED_SUFFIX) if kind == COMPRESSED_IMAGE else topic
        if kind not in IMAGE_TYPES or (kind == COMPRESSED_IMAGE and name == topic):
            continue
        if not is_output(topic) and not name.rpartition("/")[2].startswith("label"):
            (found.raw if kind == IMAGE else found.compressed)[name] = topic
    return found


def find_cameras(bag: BagReader) -> Cameras:
    """Return the cameras of a bag; topics of depth are none, as their first message shows."""
    found = cameras_in(bag.topics)
    for recorded in (found.raw, found.compressed):
        for name, topic in list(recorded.items()):
            if encoding := _depth_encoding(bag, topic):
                del recorded[name]
                found.left_out[topic] = f"{encoding}: {NO_CAMERA[encoding]}"
    return found


def _depth_encoding(bag: BagReader, topic: str) -> str:
    """Return the encoding of a topic that is no camera's, or nothing."""
    try:
        message = next(bag.messages([topic]), None)
        if message is None:
            return ""
        image = image_message(message.data, message.type)
    except (BagError, InvalidImageError):  # told where it is read
        return ""
    encoding = source_encoding(image) if message.type == COMPRESSED_IMAGE else image.encoding
    return encoding if encoding in NO_CAMERA else ""
