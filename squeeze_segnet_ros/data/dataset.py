"""Data sets: which image belongs to which label file, and what the values of the label files are.

A data set is a YAML file, one of those in ``config/datasets`` by its name, or a folder in CamVid's layout:
``<root>/<split>/NAME.png`` (or ``.webp``, ``.jpg``) with ``<root>/<split>annot/NAME.png``, class ids 0..10
and 11 or 255 for void.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from squeeze_segnet_ros import yaml_file
from squeeze_segnet_ros.classes import DEFAULT, UNLABELLED, LabelSet, classes_of, label_set
from squeeze_segnet_ros.data import ENVIRONMENT
from squeeze_segnet_ros.data.label_table import Color, LabelTable
from squeeze_segnet_ros.errors import DatasetError
from squeeze_segnet_ros.images.decoding import read_image
from squeeze_segnet_ros.shipped import shipped

_IMAGE_SUFFIXES = (".png", ".webp", ".jpg", ".jpeg")


class Pair(NamedTuple):
    """An image and its label file; ``name`` is that of the image without its ending."""

    name: str
    image: Path
    label: Path


class Labelled(NamedTuple):
    """An image, uint8 (H, W, 3) RGB, and its class ids, uint8 (H, W) with 255 for void."""

    image: np.ndarray
    labels: np.ndarray


class Patterns(NamedTuple):
    """Globs of a split's images and label files; of equal number, or one for all of the other."""

    images: tuple[str, ...]
    labels: tuple[str, ...]


class Pairing(NamedTuple):
    """Pairs in the order of what the wildcards matched, and the files that have no partner."""

    pairs: tuple[Pair, ...]
    lone_images: tuple[Path, ...]
    lone_labels: tuple[Path, ...]


@dataclass(frozen=True)
class Dataset:
    """Images with labels of one class set, in splits; ``description`` is the file or folder that says so."""

    name: str
    label_set: LabelSet
    root: Path
    table: LabelTable
    splits: Mapping[str, Patterns]
    description: Path

    def pairs(self, split: str) -> tuple[Pair, ...]:
        """Return the images of a split with their label files, in a fixed order.

        Raises:
            DatasetError: there is no such split, a glob matches nothing, or a file has no partner.
        """
        pairing = self.pairing(split)
        for lone, of, partner in (
            (pairing.lone_images, "image", "labels"), (pairing.lone_labels, "label file", "image"),
        ):  # fmt: skip
            if lone:
                more = f" ({len(lone)} such)" if len(lone) > 1 else ""
                raise DatasetError(f"{self.name}/{split}: the {of} {lone[0]} has no {partner}{more}")
        return pairing.pairs

    def pairing(self, split: str) -> Pairing:
        """Return what :meth:`pairs` does, and the files without a partner.

        Raises:
            DatasetError: there is no such split, a glob matches nothing, or a file has two partners.
        """
        if split not in self.splits:
            have = ", ".join(self.splits) or "none"
            raise DatasetError(f"{self.name} has no split '{split}': {self.description} has {have}")
        patterns = self.splits[split]
        images, labels = (
            self._found(f"{split}: {what}", globs, other)
            for what, globs, other in (
                ("images", patterns.images, patterns.labels), ("labels", patterns.labels, patterns.images),
            )
        )  # fmt: skip
        both = sorted(images.keys() & labels.keys())
        return Pairing(
            tuple(Pair(images[key].stem, images[key], labels[key]) for key in both),
            tuple(images[key] for key in sorted(images.keys() - labels.keys())),
            tuple(labels[key] for key in sorted(labels.keys() - images.keys())),
        )

    def _found(
        self, what: str, globs: tuple[str, ...], other: tuple[str, ...]
    ) -> dict[tuple[int, tuple[str, ...]], Path]:
        """Return files by what the wildcards match and the place of the pattern that finds its partner."""
        found: dict[tuple[int, tuple[str, ...]], Path] = {}
        for i, pattern in enumerate(globs):
            expression = _expression(pattern)
            for name in sorted(glob.glob(pattern, root_dir=self.root, recursive=True)):  # noqa: PTH207 (a pattern may be absolute)
                match = expression.fullmatch(name)
                if not match:
                    continue
                key = (i if len(globs) == len(other) else 0, match.groups())
                if key in found:
                    raise DatasetError(
                        f"{self.name}/{what}: {found[key]} and {self.root / name} are two for one partner"
                    )
                found[key] = self.root / name
        if not found:
            raise DatasetError(f"{self.name}/{what}: no file matches {self.root / globs[0]}")
        return found

    def read(self, pair: Pair) -> Labelled:
        """Return an image and its labels.

        Raises:
            InvalidImageError: a file cannot be read.
            DatasetError: their sizes differ, or the labels have a value that the description does not name.
        """
        image, labels = read_image(pair.image), self.table.read(pair.label)
        if image.shape[:2] != labels.shape:
            raise DatasetError(
                f"{pair.image} is {image.shape[1]}x{image.shape[0]}, its labels {pair.label} are "
                f"{labels.shape[1]}x{labels.shape[0]}: one size for both"
            )
        return Labelled(image, labels)


def given(data: str | Path | None, root: str | Path | None = None) -> Dataset:
    """Return the data set that ``--data`` and ``--root`` name, or else the environment variable.

    Raises:
        DatasetError, ConfigError: there is none, see the message.
    """
    data = data or os.environ.get(ENVIRONMENT)
    if not data:
        raise DatasetError(f"no data set: give --data, or set {ENVIRONMENT} to CamVid's root folder")
    return open_dataset(data, root)


def open_dataset(data: str | Path, root: str | Path | None = None) -> Dataset:
    """Return a data set.

    Args:
        data: a YAML file, a name in ``config/datasets``, or a folder in CamVid's layout.
        root: the folder that a description's globs begin in, in place of what that says.

    Raises:
        ConfigError: the description is wrong: file, line, key, what came and what would be right.
        DatasetError: there is nothing of that name, or no root.
    """
    path = Path(data).expanduser()
    if path.suffix in (".yaml", ".yml"):
        return _described(path, root)
    if path.is_dir():
        return _folder(path)
    if str(data) in names():
        return _described(shipped("config", "datasets", f"{data}.yaml"), root)
    raise DatasetError(
        f"no folder {path}: give a data set's folder in CamVid's layout, a YAML file, or one of "
        f"{', '.join(names())}"
    )


def names() -> tuple[str, ...]:
    """Return the names of the data sets that come with a description."""
    return tuple(sorted(path.stem for path in shipped("config", "datasets").glob("*.yaml")))


def _folder(root: Path) -> Dataset:
    classes = label_set(DEFAULT)
    splits = {}
    for folder in sorted(root.glob("*annot")):
        split = folder.name.removesuffix("annot")
        if (root / split).is_dir():
            globs = tuple(f"{glob.escape(split)}/*{suffix}" for suffix in _IMAGE_SUFFIXES)
            splits[split] = Patterns(globs, (f"{glob.escape(split)}annot/*.png",))
    if not splits:
        raise DatasetError(f"{root} has no folder train/ with trainannot/ beside it, as CamVid's has")
    values = {i: i for i in range(len(classes))} | {len(classes): UNLABELLED, 255: UNLABELLED}
    return Dataset(DEFAULT, classes, root, LabelTable.of(values, {}), splits, root)


def _described(path: Path, root: str | Path | None) -> Dataset:
    document = yaml_file.read(path)
    fields = document.fields(
        ("name", "classes", "splits"), ("root", "values", "colours", "colors", "unlabelled")
    )
    name = fields["name"].text()
    classes = classes_of(fields["classes"], name)
    given_root = root or (fields["root"].text() if "root" in fields else None)
    if given_root is None and path.parent == shipped("config", "datasets"):
        raise DatasetError(f"{name}: give --root, the folder that the data set lies in")
    folder = path.parent / Path(given_root or ".").expanduser() if root is None else Path(root).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{name}: no folder {folder}: give another 'root' in {path}, or --root")
    splits = {}
    for key, value in fields["splits"].entries():
        splits[str(key.plain())] = _patterns(value)
    if not splits:
        fields["splits"].fail("there are no splits: expected train and val")
    return Dataset(name, classes, folder, _table(fields, classes), splits, path)


def _patterns(value: yaml_file.Value) -> Patterns:
    fields = value.fields(("images", "labels"))
    images, labels = (tuple(fields[key].texts()) for key in ("images", "labels"))
    if not images or not labels:
        value.fail("an empty list: expected at least one glob for images and for labels")
    if len(images) != len(labels) and 1 not in (len(images), len(labels)):
        value.fail(f"{len(images)} globs for images and {len(labels)} for labels: give as many, or one")
    for i, image in enumerate(images):
        for label in labels if len(images) != len(labels) else labels[i : i + 1]:
            wildcards = [_expression(pattern).groups for pattern in (image, label)]
            if wildcards[0] != wildcards[1] or not wildcards[0]:
                value.fail(
                    f"'{image}' has {wildcards[0]} wildcards and '{label}' {wildcards[1]}: an image and its "
                    f"labels are paired by what these match, so give both as many, at least one"
                )
    return Patterns(images, labels)


_WILDCARDS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^]]*\]")


def _expression(pattern: str) -> re.Pattern[str]:
    """Return a regular expression with a group for each wildcard of a glob."""
    parts, end = [], 0
    for match in _WILDCARDS.finditer(pattern):
        parts.append(re.escape(pattern[end : match.start()]))
        token = match.group()
        simple = {"**/": "((?:[^/]+/)*)", "**": "(.*)", "*": "([^/]*)", "?": "([^/])"}
        if token in simple:
            parts.append(simple[token])
        elif len(token.strip("[]")) == 1:
            parts.append(re.escape(token.strip("[]")))  # an escaped character: it matches itself alone
        else:
            parts.append("([" + token[1:-1].replace("\\", r"\\").replace("!", "^", token[1] == "!") + "])")
        end = match.end()
    parts.append(re.escape(pattern[end:]))
    return re.compile("".join(parts))


def _table(fields: Mapping[str, yaml_file.Value], classes: LabelSet) -> LabelTable:
    given_tables = [key for key in ("values", "colours", "colors") if key in fields]
    if len(given_tables) > 1:
        fields[given_tables[1]].fail(f"'{given_tables[0]}' is given too: give either values or colours")
    values: dict[int, int] = {}
    colors: dict[Color, int] = {}
    if given_tables == ["values"]:
        for key, value in fields["values"].entries():
            values[key.integer(0, 2**16 - 1)] = _class(value, classes)
    elif given_tables:
        for key, value in fields[given_tables[0]].entries():
            colors[_color(key)] = _class(value, classes)
    else:
        values = {label.id: label.id for label in classes.classes}
    table: dict[int, int] | dict[Color, int] = colors if colors else values
    if not table:
        fields[given_tables[0]].fail("it is empty: expected what each value or color means")
    if "unlabelled" in fields:
        void = fields["unlabelled"]
        for item in void.items() if void.is_list else [void]:
            code = _color(item) if colors else item.integer(0, 2**16 - 1)
            if code in table:
                item.fail(f"{item.plain()} is a class too: it can be one of the two only")
            table[code] = UNLABELLED  # type: ignore[index]
    return LabelTable.of(values, colors)


def _class(value: yaml_file.Value, classes: LabelSet) -> int:
    name = value.text()
    if name not in classes.names:
        value.fail(
            f"there is no class '{name}' in {classes.name}: choose {yaml_file.nearest(name, classes.names)}"
        )
    return classes.names.index(name)


def _color(value: yaml_file.Value) -> Color:
    parts = str(value.plain()).split(",")
    if not value.is_text or len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        value.fail(f'found {value.plain()!r}: expected a color like "128,64,128"')
    red, green, blue = map(int, parts)
    if max(red, green, blue) > 255:
        value.fail(f"found {value.plain()!r}: a color has values of 0 to 255")
    return red, green, blue
