"""Cards: a YAML file that says all that must be known to run a network from outside of this package.

name: my_net
file: my_net.onnx            # .onnx, .pt2, or .safetensors of one of our networks; relative to the card
input: {layout: NCHW, dtype: float32, color: rgb, scale: 0.0039, mean: [...], std: [...], ...}
output: {kind: logits, layout: NCHW, name: logits}
classes: cityscapes          # or a list of {name, rgb}
remap: camvid                # optional, with map: {rider: bicyclist, ...}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from squeeze_segnet_ros import yaml_file
from squeeze_segnet_ros.classes import LabelSet, classes_of
from squeeze_segnet_ros.errors import ConfigError

SUFFIXES = (".yaml", ".yml")
"""How a path ends that names a card, wherever a network's name is accepted."""
FILES = (".onnx", ".pt2", ".safetensors")
KINDS = ("logits", "probabilities", "labels")
_LAYOUTS = {"logits": ("NCHW", "NHWC"), "probabilities": ("NCHW", "NHWC"), "labels": ("NHW", "NCHW", "NHWC")}
_MOST_PIXELS_A_SIDE = 2**14


@dataclass(frozen=True)
class CardInput:
    """How a network wants its images: it sees (pixel * scale - mean) / std.

    Attributes:
        layout: NCHW or NHWC; dtype: float32, float16 or uint8; color: rgb or bgr.
        scale: of the pixels, 0..255; mean, std: of each channel, in the order of ``color``.
        size: height and width that it takes; None for any.
        multiple_of: height and width are multiples of this.
    """

    layout: str = "NCHW"
    dtype: str = "float32"
    color: str = "rgb"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    size: tuple[int, int] | None = None
    multiple_of: int = 1


@dataclass(frozen=True)
class CardOutput:
    """What a network gives: one of ``KINDS``, its layout, and which of its outputs; None for the first."""

    kind: str = "logits"
    layout: str = "NCHW"
    name: str | None = None


@dataclass(frozen=True)
class Card:
    """A network from outside.

    Attributes:
        path: of the card.
        name: what stats and diagnostics call the network.
        file: where the network is.
        input, output: how images go in and what comes out.
        classes: the network's own; None for those that the weights file names.
        label_set: those of the labels, which differ with ``remap``.
        targets: the label of each of the network's classes, None for unlabelled; None without ``remap``.
        source: where the network comes from.
    """

    path: Path
    name: str
    file: Path
    input: CardInput
    output: CardOutput
    classes: LabelSet | None
    label_set: LabelSet | None
    targets: tuple[int | None, ...] | None = None
    source: str = ""
    _values: Mapping[str, yaml_file.Value] = field(default_factory=dict, compare=False, repr=False)

    def fail(self, key: str, what: str) -> NoReturn:
        """Raise ConfigError about a key, or where it is not there about what it would stand in."""
        while key not in self._values and "." in key:
            key = key.rpartition(".")[0]
        if key in self._values:
            self._values[key].fail(what)
        raise ConfigError(f"{self.path}: {what}")

    def says(self, key: str) -> bool:
        """Return whether a key, such as ``input.mean``, is in the card."""
        return key in self._values


def is_card(model: str) -> bool:
    """Return whether a network's name is the path of a card."""
    return model.endswith(SUFFIXES)


def read_card(path: Path) -> Card:
    """Read a card.

    Raises:
        ConfigError: it is not one; names the line, the key, what came and what would be right.
    """
    value = yaml_file.read(path)
    keys = value.fields(("name", "file"), ("input", "output", "classes", "remap", "map", "source"))
    found = {"": value, **keys}
    name = keys["name"].text()
    if not name.strip() or not name.isprintable() or len(name) > 100 or "/" in name:
        keys["name"].fail(f"found {name[:100]!r}: expected one line of at most 100 characters without a /")
    file = path.parent / Path(keys["file"].text()).expanduser()
    if file.suffix not in FILES:
        keys["file"].fail(f"found '{keys['file'].text()}': expected a file that ends in {', '.join(FILES)}")
    if not file.is_file():
        keys["file"].fail(f"there is no file {file}")
    ours = file.suffix == ".safetensors"
    inputs = _input(keys["input"], found, ours) if "input" in keys else CardInput()
    output = CardOutput()
    if "output" in keys:
        output = _output(keys["output"], found, ours)
    elif not ours:
        value.fail(f"the key 'output' is missing: needed is its kind, one of {', '.join(KINDS)}")
    classes = None
    if "classes" in keys:
        classes = classes_of(keys["classes"], name)
    elif not ours:
        value.fail("the key 'classes' is missing: give a class set's name, or a list of {name, rgb}")
    label_set, targets = classes, None
    if "remap" in keys:
        if classes is None:
            keys["remap"].fail("found a remap without classes: give the network's own classes too")
        label_set, targets = _remapped(keys["remap"], keys.get("map"), classes, name)
    elif "map" in keys:
        keys["map"].fail("found a map without remap: say which class set it leads to")
    source = keys["source"].text() if "source" in keys else ""
    return Card(path, name, file, inputs, output, classes, label_set, targets, source, found)


def _input(value: yaml_file.Value, found: dict[str, yaml_file.Value], ours: bool) -> CardInput:
    optional = ("layout", "dtype", "color", "scale", "mean", "std", "size", "multiple_of")
    keys = value.fields((), optional)
    found |= {f"input.{key}": each for key, each in keys.items()}
    fields: dict[str, object] = {}
    choices = {"layout": ("NCHW", "NHWC"), "dtype": ("float32", "uint8", "float16"), "color": ("rgb", "bgr")}
    for key in choices.keys() & keys.keys():
        fields[key] = keys[key].text(choices[key])
        if ours and fields[key] != getattr(CardInput(), key):
            keys[key].fail(f"found {fields[key]}: networks of ours take {getattr(CardInput(), key)}")
    if "scale" in keys:
        fields["scale"] = keys["scale"].number()
        if fields["scale"] == 0:
            keys["scale"].fail("found 0: every pixel would be the same; 1/255 is 0.00392156862745098")
    for key in ("mean", "std"):
        if key in keys:
            fields[key] = tuple(item.number() for item in keys[key].items(3))
    for item in keys["std"].items() if "std" in keys else ():
        if item.number() <= 0:
            item.fail(f"found {item.number()}: a standard deviation is more than 0")
    if fields.get("dtype") == "uint8":
        for key in ("scale", "mean", "std"):
            if key in fields and fields[key] != getattr(CardInput(), key):
                keys[key].fail("found beside dtype uint8, which takes pixels as they are: leave it out")
    if "size" in keys:
        height, width = (item.integer(1, _MOST_PIXELS_A_SIDE) for item in keys["size"].items(2))
        fields["size"] = height, width
    if "multiple_of" in keys:
        if ours:
            keys["multiple_of"].fail("networks of ours take any size: leave it out")
        fields["multiple_of"] = multiple = keys["multiple_of"].integer(1, 4096)
        if "size" in fields and (height % multiple or width % multiple):
            keys["size"].fail(f"found {height}, {width}: expected multiples of {multiple}, see multiple_of")
    return CardInput(**fields)  # type: ignore[arg-type]


def _output(value: yaml_file.Value, found: dict[str, yaml_file.Value], ours: bool) -> CardOutput:
    keys = value.fields(("kind",), ("layout", "name"))
    found |= {f"output.{key}": each for key, each in keys.items()}
    kind = keys["kind"].text(KINDS)
    layouts = _LAYOUTS[kind]
    layout = keys["layout"].text(layouts) if "layout" in keys else layouts[0]
    if ours and (kind, layout) != ("logits", "NCHW"):
        value.fail(f"found {kind}, {layout}: networks of ours give logits, NCHW")
    return CardOutput(kind, layout, keys["name"].text() if "name" in keys else None)


def _remapped(
    remap: yaml_file.Value, mapping: yaml_file.Value | None, classes: LabelSet, name: str
) -> tuple[LabelSet, tuple[int | None, ...]]:
    """Return the class set of the labels, and the label of each of the network's classes."""
    label_set = classes_of(remap, f"{name} remapped")
    targets: dict[str, int | None] = {
        own: label_set.names.index(own) for own in classes.names if own in label_set.names
    }
    for key, value in mapping.entries() if mapping is not None else ():
        own = key.text()
        if own not in classes.names:
            key.fail(f"found '{own}': the network's classes are {yaml_file.nearest(own, classes.names)}")
        target = None if value.is_none else value.text(label_set.names)
        targets[own] = None if target is None else label_set.names.index(target)
    for own in classes.names:
        if own not in targets:
            (mapping or remap).fail(
                f"class '{own}' leads nowhere: map it to one of "
                f"{yaml_file.nearest(own, label_set.names)}, or to null for unlabelled"
            )
    return label_set, tuple(targets[own] for own in classes.names)
