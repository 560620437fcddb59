"""What the launch file decides before it starts anything: from its arguments, the parameter file, the bag."""

from __future__ import annotations

import difflib
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from squeeze_segnet_ros.bags import open_bag
from squeeze_segnet_ros.bags.cameras import find_cameras
from squeeze_segnet_ros.bags.messages import IMAGE
from squeeze_segnet_ros.bags.reader import printable
from squeeze_segnet_ros.errors import BagError, ConfigError
from squeeze_segnet_ros.ros.config import NodeConfig, settings
from squeeze_segnet_ros.ros.parameter_file import ParameterFile
from squeeze_segnet_ros.topics import COMPRESSED_SUFFIX, LABEL_PNG, OUTPUTS, output_bases
from squeeze_segnet_ros.view.web import LOOPBACK, PORT

BAG_FRAMES_WAITING = 10
"""``max_waiting`` with a bag: a hiccup of a busy computer should cost no frame of a recording."""
RVIZ_CAMERA = "/camera/front/image_raw"
"""The camera that the RViz file shows; the one that there is is mapped onto it."""
_LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
_CHOICES = {each.name: each.choices for each in settings() if each.choices}
_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
# What launch and launch_ros keep among the arguments
_NO_ARGUMENTS = ("ros_namespace", "ros_remaps", "global_params")
_OWN = "~/"  # what begins a name below the node's own
_NEAR = 0.8  # similarity from which a name that is not ours is taken for one of ours, misspelled


class BagPlan(NamedTuple):
    """How a bag is to be labelled.

    ``decompress``: whether the player decodes the pictures; ``note``: what the user should hear, or nothing.
    """

    cameras: tuple[str, ...]
    transport: str
    decompress: bool
    note: str = ""


@dataclass(frozen=True)
class Plan:
    """What is to be started.

    Attributes:
        name: the node's name, without its namespace.
        namespace: the one in force, absolute.
        params_file: the parameter file.
        parameters: what wins over the file.
        log_level: the least that the node logs.
        respawn: whether the node is started again whenever it ends.
        cameras: full names of the topics that the node is going to label.
        bag: how to label the bag, if there is one.
        player: the arguments of the bag player.
        rviz: whether RViz is wanted.
        view: address and port of the page in the browser, None for none.
        transport: how the node takes pictures, raw or compressed.
        record: the bag that the outputs are recorded into, or nothing.
        sim_time: whether the time comes from /clock.
        remarks: lines that the user should read.
    """

    name: str
    namespace: str
    params_file: Path
    parameters: dict[str, Any]
    log_level: str
    respawn: bool
    cameras: tuple[str, ...]
    bag: BagPlan | None
    player: tuple[str, ...]
    rviz: bool
    view: tuple[str, int] | None
    transport: str
    record: str
    sim_time: bool
    remarks: tuple[str, ...]

    @property
    def node(self) -> str:
        """The node's full name."""
        return f"{self.namespace.rstrip('/')}/{self.name}"

    @property
    def logger(self) -> str:
        """What the node's messages are logged under."""
        return self.node.strip("/").replace("/", ".")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The full names of the namespaces of the cameras' outputs."""
        return output_bases(self.cameras)

    @property
    def rviz_remappings(self) -> list[tuple[str, str]]:
        """How the first camera and its outputs come into RViz, whose file shows ``RVIZ_CAMERA``."""
        (shown,) = output_bases([RVIZ_CAMERA])
        outputs = [(f"{shown}/{output.name}", f"{self.outputs[0]}/{output.name}") for output in OUTPUTS]
        return [(RVIZ_CAMERA, self.cameras[0]), *outputs]


def make_plan(
    arguments: Mapping[str, str], own_params_file: Path, pushed_namespace: str | None = None
) -> Plan:
    """Decide what is started.

    Args:
        arguments: the launch arguments by name, as they were written.
        own_params_file: the package's own parameter file.
        pushed_namespace: the namespace that an including launch file has put everything into.

    Raises:
        ConfigError: an argument or the parameter file is not valid.
        BagError: the bag cannot be read, or does not hold what was asked for.
    """
    namespace = join_namespaces(pushed_namespace, arguments["namespace"])
    node = f"{namespace.rstrip('/')}/{arguments['name']}"
    params_file = Path(arguments["params_file"]).expanduser()
    file = ParameterFile(params_file)
    in_file = file.parameters(node)
    remarks = [file.complaint(node)]
    given: dict[str, Any] = {name: arguments[name] for name in ("model", "device") if arguments[name]}
    if given.get("model", "").endswith((".yaml", ".yml")):
        given["model"] = str(Path(given["model"]).expanduser().absolute())
    if arguments["weights"]:
        given["weights"] = str(Path(arguments["weights"]).expanduser().absolute())
    for name in ("precision", "transport"):
        if arguments[name]:
            given[name] = one_of(name, arguments[name], _CHOICES[name])
    cameras = names_in(arguments["cameras"])
    rviz, loop = truth("rviz", arguments["rviz"]), truth("loop", arguments["loop"])
    rate = checked_rate(arguments["rate"])
    record = checked_record(arguments["record"])
    bag = None
    if arguments["bag"]:
        # The package's own file names every parameter, and its cameras are not those of the bag.
        asked = {} if params_file == own_params_file else in_file
        path = str(Path(arguments["bag"]).expanduser())
        transport = given.get("transport", asked.get("transport"))
        bag = plan_bag(path, cameras or _names(asked.get("cameras")), transport, rviz)
        cameras = bag.cameras
        given |= {"max_waiting": asked.get("max_waiting", BAG_FRAMES_WAITING)}
        given |= {"transport": bag.transport, "use_sim_time": True}
        remarks.append(bag.note)
    if cameras:
        given["cameras"] = list(cameras)
    if arguments["use_sim_time"]:
        given["use_sim_time"] = truth("use_sim_time", arguments["use_sim_time"])
    player = ("--wait-for-node", node, "--rate", rate, *(["--loop"] if loop else []))
    if bag:
        clock = ("--clock",) if given["use_sim_time"] else ("--stamp", "now")
        player = (path, *player, *clock, *(["--decompress"] if bag.decompress else []))
        if record:
            player += (
                "--wait-for-listeners",
                *(f"{base}/{LABEL_PNG.name}" for base in output_bases(cameras)),
            )
    shown = cameras or _names(in_file.get("cameras")) or NodeConfig().cameras
    return Plan(
        name=arguments["name"],
        namespace=namespace,
        params_file=params_file,
        parameters=given,
        log_level=one_of("log_level", arguments["log_level"], _LOG_LEVELS),
        respawn=truth("respawn", arguments["respawn"]) and bag is None,
        cameras=tuple(
            join_namespaces(node if camera.startswith(_OWN) else namespace, camera.removeprefix(_OWN))
            for camera in shown
        ),
        bag=bag,
        player=player,
        rviz=rviz,
        view=view_place(arguments["view"]),
        transport=str(given.get("transport", in_file.get("transport", NodeConfig().transport))),
        record=record,
        sim_time=bool(given.get("use_sim_time", in_file.get("use_sim_time", False))),
        remarks=tuple(filter(None, remarks)),
    )


def join_namespaces(base: str | None, name: str) -> str:
    """Return ``name`` below ``base``, as launch_ros joins them; an absolute name stays as it is."""
    joined = name if name.startswith("/") else f"{base or ''}/{name}"
    return "/" + joined.strip("/")


def truth(name: str, text: str) -> bool:
    """Return the value of a launch argument that is true or false, in any case.

    Raises:
        ConfigError: it is neither.
    """
    try:
        return _TRUTH[text.lower()]
    except KeyError:
        raise ConfigError(f"{name} is '{text}': give true or false") from None


def view_place(text: str) -> tuple[str, int] | None:
    """Return address and port of the page that the argument ``view`` asks for; None for none.

    Raises:
        ConfigError: it is neither true nor false, nor a port with or without an address.
    """
    if text.lower() in _TRUTH:
        return (LOOPBACK, PORT) if _TRUTH[text.lower()] else None
    bind, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"view is '{text}': give true, false, a port, or ADDRESS:PORT to listen on")
    return bind.strip("[]") or LOOPBACK, int(port)


def one_of(name: str, text: str, choices: Sequence[str]) -> str:
    """Return the value of a launch argument that has choices, which may be written in any case.

    Raises:
        ConfigError: it is none of them.
    """
    if text.lower() not in choices:
        raise ConfigError(f"{name} is '{text}': give one of {', '.join(choices)}")
    return text.lower()


def complaints_about_unknown(given: Iterable[str], known: Sequence[str], included: bool) -> list[str]:
    """Return a line for each launch argument that is none of ours.

    Args:
        given: the names of the arguments, or of all launch configurations.
        known: the names of ours.
        included: whether another launch file includes ours; what is not like one of ours may then be its own.
    """
    lines = []
    for name in given:
        if name in known or name in _NO_ARGUMENTS:
            continue
        near = difflib.get_close_matches(name, known, 1, _NEAR if included else 0.6)
        if near:
            lines.append(f"unknown argument '{name}' is ignored: did you mean '{near[0]}'?")
        elif not included:
            lines.append(f"unknown argument '{name}' is ignored: there are {', '.join(known)}")
    return lines


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


def checked_record(text: str) -> str:
    """Return the path of the bag to record into as the launch argument gives it; nothing for an empty text.

    Raises:
        ConfigError: there is something already, or there can be nothing.
    """
    if not text:
        return ""
    path = Path(text).expanduser().absolute()
    if path.exists():
        raise ConfigError(f"record: {path} exists already: remove it or choose another name for the bag")
    folder = next(parent for parent in path.parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"record: {path} cannot be written: {folder} is no folder that may be written to")
    return str(path)


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


def _names(cameras: Any) -> tuple[str, ...]:
    """Return the cameras of a parameter file, which the node checks: a text stands for a list of one."""
    items = [cameras] if isinstance(cameras, str) else cameras if isinstance(cameras, list) else []
    return tuple(item for item in items if isinstance(item, str))
