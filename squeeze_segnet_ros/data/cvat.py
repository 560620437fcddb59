"""Labels to and from CVAT, in its format "Segmentation mask 1.1": what it imports as drafts, and exports.

A zip of ``labelmap.txt``, ``ImageSets/Segmentation/default.txt``, ``SegmentationClass/NAME.png`` (colors) and
``SegmentationObject/NAME.png`` (docs.cvat.ai, "Segmentation mask").
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from PIL import Image

from squeeze_segnet_ros.classes import UNLABELLED, LabelClass, LabelSet
from squeeze_segnet_ros.data.label_table import Color, LabelTable
from squeeze_segnet_ros.errors import ConfigError, DatasetError
from squeeze_segnet_ros.images.decoding import read_image

SEPARATOR = "__"
"""Between the parts of a frame's name: drive, camera, time."""
DRAFTS, LABELS, IMAGES, DESCRIPTION = "drafts.zip", "labels.json", "images", "dataset.yaml"
_MASKS, _OBJECTS, _PICTURES = "SegmentationClass", "SegmentationObject", "JPEGImages"
_LIST, _LABELMAP = "ImageSets/Segmentation/default.txt", "labelmap.txt"
_BACKGROUND = "background"
_MOST_BYTES = 2**28
"""Of one file in a zip, unpacked."""
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


class Imported(NamedTuple):
    """What came of an export: the description, frames by split, and frames that nobody had labelled."""

    description: Path
    train: int
    val: int
    left_out: int


def write_labels(path: Path, classes: LabelSet) -> None:
    """Write the classes for CVAT's label constructor, whose tab "Raw" takes the file's text."""
    rows = [
        {"name": label.name, "color": "#{:02x}{:02x}{:02x}".format(*color), "type": "mask", "attributes": []}
        for label, color in zip(classes.classes, _colors(classes), strict=True)
    ]
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


class DraftsWriter:
    """Writes label images as a zip that CVAT imports into a task; a context manager."""

    def __init__(self, path: Path, classes: LabelSet) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)  # PNG is compressed already
        self._classes = classes
        self._names: list[str] = []
        self._palette = np.zeros((256, 3), np.uint8)
        self._palette[: len(classes)] = _colors(classes)

    def __enter__(self) -> DraftsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        rows = [f"{_BACKGROUND}:0,0,0::"]
        for label in self._classes.classes:
            rows.append("{}:{},{},{}::".format(label.name, *self._palette[label.id]))
        self._zip.writestr(_LABELMAP, "# label:color_rgb:parts:actions\n" + "\n".join(rows) + "\n")
        self._zip.writestr(_LIST, "".join(f"{name}\n" for name in self._names))
        self._zip.close()

    def write(self, name: str, labels: np.ndarray) -> None:
        """Add the labels of one image, uint8 (H, W); 255 becomes background.

        Every class is one object: CVAT draws a mask for each.
        """
        objects = np.zeros((256, 3), np.uint8)
        for k in np.unique(labels[labels != UNLABELLED]):
            objects[k] = _object_color(int(k) + 1)
        for folder, palette in ((_MASKS, self._palette), (_OBJECTS, objects)):
            buffer = io.BytesIO()
            Image.fromarray(palette[labels]).save(buffer, "PNG")
            self._zip.writestr(f"{folder}/{name}.png", buffer.getvalue())
        self._names.append(name)


def import_export(
    source: Path,
    output: Path,
    images: Path | None = None,
    classes: LabelSet | None = None,
    val_share: float = 0.2,
) -> Imported:
    """Make a data set of what CVAT exported as "Segmentation mask 1.1".

    Args:
        source: the zip, or a folder that it was unpacked into.
        output: folder to create.
        images: folder with the images; None where the export holds them ("Save images").
        classes: the order and colors of the classes; None for those of the export.
        val_share: the share of each drive that becomes the validation split: its last frames.

    Raises:
        DatasetError: the export is not one, an image is missing, or nothing is labelled.
        ConfigError: ``output`` has files, a class is not in ``classes``, or the share is out of range.
    """
    if not 0 < val_share < 1:
        raise ConfigError(f"--val-share is {val_share}: give a share above 0 and below 1")
    if output.exists() and any(output.iterdir()):
        raise ConfigError(f"{output} has files in it: name another folder")
    with tempfile.TemporaryDirectory() as scratch:
        folder = _unpacked(source, Path(scratch)) if source.is_file() else source
        if not (folder / _LABELMAP).is_file() or not (folder / _MASKS).is_dir():
            raise DatasetError(
                f"{source} has no {_LABELMAP} and {_MASKS}/: export it from CVAT as 'Segmentation mask 1.1'"
            )
        colors = _read_labelmap(folder / _LABELMAP)
        classes = classes or LabelSet(
            output.name,
            tuple(
                LabelClass(i, name, color)
                for i, (name, color) in enumerate((n, c) for n, c in colors.items() if n != _BACKGROUND)
            ),
        )
        table = _table(colors, classes)
        masks = sorted((folder / _MASKS).rglob("*.png"))
        pictures = _pictures(images or folder / _PICTURES)
        output.mkdir(parents=True, exist_ok=True)
        labelled: list[str] = []
        for mask in masks:
            name = SEPARATOR.join(mask.relative_to(folder / _MASKS).with_suffix("").parts)
            labels = table.read(mask)
            if (labels == UNLABELLED).all():
                continue
            if name not in pictures:
                where = images or f"the export ('Save images') or --images, a folder with {name}.png"
                raise DatasetError(f"{source}: no image for {name}: it is not in {where}")
            _write_pair(output, name, pictures[name], labels)
            labelled.append(name)
    if len(labelled) < 2:
        raise DatasetError(
            f"{source}: {len(labelled)} of {len(masks)} frames are labelled: at least 2 needed"
        )
    val = last_of_each_drive(labelled, val_share)
    for name in labelled:
        split = "val" if name in val else "train"
        for kind in (IMAGES, "labels"):
            (output / kind / split).mkdir(parents=True, exist_ok=True)
            for path in (output / kind).glob(f"{_escaped(name)}.*"):
                path.rename(output / kind / split / path.name)
    return Imported(
        _describe(output, classes), len(labelled) - len(val), len(val), len(masks) - len(labelled)
    )


def last_of_each_drive(names: Iterable[str], share: float) -> set[str]:
    """Return the last frames of each drive, at least one altogether.

    Frames that follow each other look alike: a split by chance would show in validation what was trained on.
    """
    drives: dict[str, list[str]] = {}
    for name in sorted(names):
        drives.setdefault(name.rpartition(SEPARATOR)[0], []).append(name)
    chosen = {name for drive in drives.values() for name in drive[len(drive) - int(share * len(drive)) :]}
    return chosen or {max(drives.values(), key=len)[-1]}


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _write_pair(output: Path, name: str, picture: Path, labels: np.ndarray) -> None:
    shape = read_image(picture).shape[:2]
    if shape != labels.shape:
        raise DatasetError(
            f"{picture} is {shape[1]}x{shape[0]}, its labels are {labels.shape[1]}x{labels.shape[0]}"
        )
    for kind in (IMAGES, "labels"):
        (output / kind).mkdir(exist_ok=True)
    shutil.copyfile(picture, output / IMAGES / f"{name}{picture.suffix.lower()}")
    Image.fromarray(labels).save(output / "labels" / f"{name}.png")


def _describe(output: Path, classes: LabelSet) -> Path:
    suffixes = sorted({path.suffix for path in (output / IMAGES).rglob("*.*")})
    description = {
        "name": output.name,
        "classes": [{"name": label.name, "rgb": list(label.rgb)} for label in classes.classes],
        "unlabelled": [UNLABELLED],
        "splits": {
            split: {
                "images": [f"{IMAGES}/{split}/*{suffix}" for suffix in suffixes],
                "labels": f"labels/{split}/*.png",
            }
            for split in ("train", "val")
        },
    }
    path = output / DESCRIPTION
    path.write_text(yaml.safe_dump(description, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def _unpacked(source: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                if entry.file_size > _MOST_BYTES:
                    raise DatasetError(f"{source}: {entry.filename!r} has {entry.file_size} bytes: too large")
                archive.extract(entry, folder)  # which leaves no name above the folder
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        raise DatasetError(f"{source} is not a complete zip file ({error})") from None
    return folder


def _read_labelmap(path: Path) -> dict[str, Color]:
    """Return the colors by the names of the classes."""
    colors: dict[str, Color] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        parts = rest.partition(":")[0].split(",")
        if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) < 256 for part in parts):
            raise DatasetError(
                f"{path.name}, line {number}: found '{line[:80]}': expected name:red,green,blue::"
            )
        red, green, blue = map(int, parts)
        colors[name] = (red, green, blue)
    if not colors.keys() - {_BACKGROUND}:
        raise DatasetError(f"{path.name} names no class")
    return colors


def _table(colors: dict[str, Color], classes: LabelSet) -> LabelTable:
    unknown = sorted(colors.keys() - {*classes.names, _BACKGROUND})
    if unknown:
        raise ConfigError(
            f"the export has a class '{unknown[0]}', which is not in {classes.name}: give another --classes"
        )
    by_color = {(0, 0, 0): UNLABELLED}
    for name, color in colors.items():
        by_color[color] = UNLABELLED if name == _BACKGROUND else classes.names.index(name)
    return LabelTable.of({}, by_color)


def _pictures(folder: Path) -> dict[str, Path]:
    """Return the images below a folder by their names."""
    return {
        SEPARATOR.join(path.relative_to(folder).with_suffix("").parts): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES
    }


def _colors(classes: LabelSet) -> Sequence[Color]:
    """Return the colors of the classes: their own, or others where two have one, or one has background's."""
    own = [label.rgb for label in classes.classes]
    if (0, 0, 0) in own or len(set(own)) < len(own):
        return [_object_color(i + 1) for i in range(len(own))]
    return own


def _object_color(number: int) -> Color:
    """Return a color of PASCAL VOC's map, which CVAT draws objects with: the number's bits, highest first."""
    channels = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * place + channel) & 1) << (7 - place)
    return channels[0], channels[1], channels[2]
