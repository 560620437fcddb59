"""Where frames come from: the cameras of a bag, pictures, a film."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from squeeze_segnet_ros.bags.cameras import Cameras, find_cameras
from squeeze_segnet_ros.bags.messages import CAMERA_INFO, COMPRESSED_IMAGE, image_message
from squeeze_segnet_ros.bags.reader import (
    NEARLY,
    BagReader,
    Message,
    bags_in,
    is_bag,
    open_bag,
    printable,
)
from squeeze_segnet_ros.errors import BagError, ConfigError, InvalidImageError
from squeeze_segnet_ros.images.decoding import pixels_of, read_image
from squeeze_segnet_ros.images.encodings import DEEP, Pixels
from squeeze_segnet_ros.images.sample_bits import SampleBits
from squeeze_segnet_ros.offline import films
from squeeze_segnet_ros.offline.pipeline import Frame
from squeeze_segnet_ros.stamps import nanoseconds
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, camera_info_topic

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
FILMS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
_PNG_BITS = 24
"""Where a PNG says how many bits a value has."""
_LOOK_BACK_NS = 10 * 10**9
"""How far before a part of a bag its CameraInfo is looked for."""


def find_inputs(paths: Sequence[str | Path]) -> list[Path]:
    """Return what there is to label: bags, pictures and films, folders of bags and pictures opened.

    Raises:
        ConfigError: a path is none of them; says what would be right.
        BagError: it would be a bag, and has to be converted or unpacked before; says how.
    """
    found: list[Path] = []
    for given in paths:
        path = Path(given).expanduser()
        if not path.exists():
            raise ConfigError(f"no such input: {path}")
        if path.suffix in NEARLY:
            open_bag(path)
        if is_bag(path) or path.suffix.lower() in (*PICTURES, *FILMS):
            found.append(path)
        elif not path.is_dir():
            raise ConfigError(
                f"{path}: not a bag (.mcap, .db3 or its folder), a picture ({', '.join(PICTURES)}) "
                f"or a film ({', '.join(FILMS)})"
            )
        elif inside := bags_in(path) or _with_suffix(path, (*PICTURES, *FILMS)):
            found += inside
        else:
            raise ConfigError(f"{path}: a folder without bags, pictures or films in it")
    return found


def _with_suffix(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)


def choose_cameras(bag: BagReader, topics: Sequence[str]) -> dict[str, str]:
    """Return the cameras that are to be labelled, each with its recorded topic.

    Args:
        bag: the bag.
        topics: those that were asked for, with or without ``/compressed``; all cameras when empty.

    Raises:
        BagError: there are none, or not those that were asked for.
    """
    found = find_cameras(bag)
    # The raw ones win: they have not lost anything.
    every = found.compressed | found.raw
    if not topics:
        if not every:
            raise BagError(f"{bag.path}: no camera in it: {_have(bag, found)}")
        return dict(sorted(every.items()))
    chosen = {}
    for topic in topics:
        name = f"/{topic.lstrip('/')}".removesuffix(COMPRESSED_SUFFIX)
        if name not in every:
            raise BagError(f"{bag.path}: no camera {name} in this bag: {_have(bag, found)}")
        chosen[name] = every[name]
    return chosen


def _have(bag: BagReader, found: Cameras) -> str:
    if found.names:
        return f"it has {', '.join(map(printable, found.names))}"
    if found.left_out:
        return f"it has {found.describe_left_out()}"
    return "it has " + ", ".join(f"{printable(t.name)} ({printable(t.type)})" for t in bag.info.values())


def camera_infos(bag: BagReader, cameras: Iterable[str]) -> dict[str, str]:
    """Return the topic of CameraInfo of each camera that has one in the bag."""
    found = {camera: camera_info_topic(camera) for camera in cameras}
    return {camera: topic for camera, topic in found.items() if bag.topics.get(topic) == CAMERA_INFO}


def bag_frames(
    bag: BagReader,
    cameras: dict[str, str],
    start_ns: int | None = None,
    end_ns: int | None = None,
    calibrated: bool = False,
) -> Iterator[Frame]:
    """Yield the frames of the cameras of a bag in the order of their recording.

    Args:
        bag: an open bag.
        cameras: those to read, each with its recorded topic.
        start_ns: recorded at this time or later; None from the first.
        end_ns: recorded before this time; None to the last.
        calibrated: whether to give the last CameraInfo before each frame; the first where none was before.
    """
    info_topics = camera_infos(bag, cameras) if calibrated else {}
    infos = {topic: _info_at(bag, topic, start_ns) for topic in info_topics.values()}
    numbers = {topic: number for number, topic in enumerate(cameras.values())}
    names = list(cameras)
    bits = [SampleBits() for _ in cameras]
    for recorded in bag.messages([*numbers, *infos], start_ns, end_ns):
        if recorded.topic in infos:
            infos[recorded.topic] = _info(recorded) or infos[recorded.topic]
            continue
        number = numbers[recorded.topic]
        name = printable(names[number])
        try:
            message = image_message(recorded.data, recorded.type)
        except InvalidImageError as error:
            yield Frame(number, name, 0, "", recorded.timestamp_ns, partial(_refuse, error))
            continue
        stamp = nanoseconds(message.header.stamp)
        decode = partial(pixels_of, message, bits=bits[number])
        if _has_16_bits(message, recorded.type):
            # What white is, is learned from frame to frame: these are decoded in their order.
            try:
                decode = partial(_pass, decode())
            except InvalidImageError as error:
                decode = partial(_refuse, error)
        info = infos.get(info_topics.get(names[number], ""))
        yield Frame(number, name, stamp, message.header.frame_id, recorded.timestamp_ns, decode, info)


def _info_at(bag: BagReader, topic: str, time_ns: int | None) -> Any:
    first = next(bag.messages([topic]), None)
    before = [] if time_ns is None else bag.messages([topic], time_ns - _LOOK_BACK_NS, time_ns)
    found = [info for recorded in (first, *before) if recorded and (info := _info(recorded))]
    return found[-1] if found else None


def _info(recorded: Message) -> Any:
    """Return a CameraInfo; None for a damaged one, in whose place the one before it stays."""
    try:
        return image_message(recorded.data, recorded.type)
    except InvalidImageError:
        return None


def _has_16_bits(message: Any, kind: str) -> bool:
    if kind == COMPRESSED_IMAGE:
        start = bytes(message.data[: _PNG_BITS + 1])
        return start[1:4] == b"PNG" and start[_PNG_BITS:] == b"\x10"
    return message.encoding in DEEP


def _pass(pixels: Pixels) -> Pixels:
    return pixels


def _refuse(error: InvalidImageError) -> Pixels:
    raise error


def film_frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a film, upright; stamps count from its beginning.

    Raises:
        BagError: it cannot be read, or is damaged further on.
    """
    for index, (time_ns, pixels) in enumerate(films.read(path)):
        yield Frame(0, f"{path} frame {index}", time_ns, "", time_ns, partial(_pass, Pixels(pixels, "rgb8")))


def picture_frames(paths: Sequence[Path]) -> Iterator[Frame]:
    """Yield picture files, each as a camera of its own, upright."""
    for number, path in enumerate(paths):
        yield Frame(number, str(path), 0, "", 0, partial(_read_picture, path))


def _read_picture(path: Path) -> Pixels:
    return Pixels(read_image(path), "rgb8")
