"""Label sets: which class ids exist, what they are called, and the color that each is drawn in.

The lists themselves are the files of ``config/classes``.
"""

from __future__ import annotations

import colorsys
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from squeeze_segnet_ros import yaml_file
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.shipped import shipped

UNLABELLED = 255
"""Class id of a pixel without a class, as Nav2 and vision_msgs/LabelInfo use it."""

DEFAULT = "camvid"
"""The class set of data, and of weights, that do not say which."""


class LabelClass(NamedTuple):
    """One class of a label set.

    ``id`` is the pixel value in a label image (0..254), ``rgb`` the color in 0..255.
    """

    id: int
    name: str
    rgb: tuple[int, int, int]


class Classes(tuple[LabelClass, ...]):
    """Classes in the order of their ids; printed as a table, in notebooks with their colors."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return a line for each class."""
        width = max((len(label.name) for label in self), default=0)
        return "\n".join(f"{label.id:>3}  {label.name:<{width}}  {_hex(label.rgb)}" for label in self)

    def _repr_html_(self) -> str:
        rows = (
            f'<tr><td>{label.id}</td><td style="background:{_hex(label.rgb)}">&emsp;</td>'
            f"<td>{html.escape(label.name)}</td><td>{label.rgb}</td></tr>"
            for label in self
        )
        return f"<table><tr><th>id</th><th></th><th>name</th><th>rgb</th></tr>{''.join(rows)}</table>"


def _hex(rgb: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)


def palette_of(classes: Iterable[LabelClass]) -> np.ndarray:
    """Return the color of every possible label value, uint8 (256, 3) RGB; those without a class are black."""
    palette = np.zeros((UNLABELLED + 1, 3), np.uint8)
    for label in classes:
        palette[label.id] = label.rgb
    return palette


@dataclass(frozen=True)
class LabelSet:
    """An ordered set of at most 255 classes of different names whose ids run from 0 without gaps.

    Raises:
        ValueError: it is not.
    """

    name: str
    classes: tuple[LabelClass, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.classes) <= UNLABELLED:
            raise ValueError(f"there are {len(self.classes)} classes: expected 1 to {UNLABELLED}")
        if [label.id for label in self.classes] != list(range(len(self.classes))):
            raise ValueError("the class ids do not run from 0 without gaps")
        if any(len(label.rgb) != 3 or not all(0 <= c <= 255 for c in label.rgb) for label in self.classes):
            raise ValueError("a class has a color that is not three values in 0..255")
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"there are two classes of the name '{twice[0]}'")
        object.__setattr__(self, "classes", Classes(self.classes))

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of their ids."""
        return tuple(label.name for label in self.classes)

    @property
    def palette(self) -> np.ndarray:
        """Color of every possible label value: uint8 (256, 3) RGB; values without a class are black."""
        return palette_of(self.classes)


def label_set(name: str | Path) -> LabelSet:
    """Return the class set of a name in ``config/classes``, or the one in a YAML file.

    Raises:
        ConfigError: there is no class set of that name, or the file is not one.
    """
    if str(name).endswith((".yaml", ".yml")):
        return _read(Path(name).expanduser())
    if name not in names():
        raise ConfigError(
            f"unknown class set '{name}': choose {', '.join(names())}, or give the path of a .yaml file"
        )
    return _shipped_set(str(name))


def names() -> tuple[str, ...]:
    """Return the names of the class sets that come with the package."""
    return tuple(sorted(path.stem for path in shipped("config", "classes").glob("*.yaml")))


def with_names(given: Sequence[str]) -> tuple[LabelClass, ...]:
    """Return classes of these names in this order, with the colors of the shipped set that has them.

    Names come without colors in a LabelInfo. Where no set has them all, each has its color of a set that has
    it, or one that is far from its neighbors'.
    """
    sets = [label_set(name) for name in sorted(names(), key=lambda name: (name != DEFAULT, name))]
    same = next((each for each in sets if each.names == tuple(given)), None)
    if same is not None:
        return same.classes
    colors = {label.name: label.rgb for each in reversed(sets) for label in each.classes}
    return tuple(LabelClass(i, name, colors.get(name) or _spread_color(i)) for i, name in enumerate(given))


def _spread_color(number: int) -> tuple[int, int, int]:
    """Return the color of a number; hues one golden ratio apart never meet."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618034 % 1.0, 0.65, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)


def classes_of(value: yaml_file.Value, name: str) -> LabelSet:
    """Return the class set that a YAML value names, or lists as ``{name, rgb}`` under ``name``.

    Raises:
        ConfigError: there is no such set, or the list is not one.
    """
    if value.is_text:
        wanted = value.text()
        try:
            # A path lies relative to the file that names it.
            return label_set(value.path.parent / wanted if wanted.endswith((".yaml", ".yml")) else wanted)
        except ConfigError as error:
            value.fail(str(error))
    classes = []
    for i, item in enumerate(value.items()):
        fields = item.fields(("name", "rgb"))
        red, green, blue = (part.integer(0, 255) for part in fields["rgb"].items(3))
        classes.append(LabelClass(i, fields["name"].text(), (red, green, blue)))
    try:
        return LabelSet(name, tuple(classes))
    except ValueError as error:
        value.fail(f"{error}")


@lru_cache
def _shipped_set(name: str) -> LabelSet:
    return _read(shipped("config", "classes", f"{name}.yaml"))


def _read(path: Path) -> LabelSet:
    fields = yaml_file.read(path).fields(("name", "classes"))
    if not fields["classes"].is_list:
        fields["classes"].items()
    return classes_of(fields["classes"], fields["name"].text())


CAMVID = label_set("camvid")
