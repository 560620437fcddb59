"""From what a label file holds to class ids: values and colors that a description names, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.errors import DatasetError
from squeeze_segnet_ros.images.label_files import read_label_colors, read_label_values

Color = tuple[int, int, int]
_UNKNOWN = -1
_MOST_VALUES = 2**16


@dataclass(frozen=True)
class LabelTable:
    """Which class a value (0..65535) or a color of a label file is; ``UNLABELLED`` for void.

    A table has values or colors, not both. Tuples of pairs, so that it can be hashed.
    """

    values: tuple[tuple[int, int], ...] = ()
    colors: tuple[tuple[Color, int], ...] = ()

    @classmethod
    def of(cls, values: Mapping[int, int], colors: Mapping[Color, int]) -> LabelTable:
        """Return the table of class ids by value and by color."""
        return cls(tuple(sorted(values.items())), tuple(sorted(colors.items())))

    def read(self, path: Path) -> np.ndarray:
        """Return a label file's class ids: uint8 (H, W), 255 where it is void.

        Raises:
            InvalidImageError: the file cannot be read.
            DatasetError: it has a value or color that the table does not name: which, how often, and why.
        """
        if self.colors:
            found = read_label_colors(path).astype(np.int32)
            codes = found[..., 0] << 16 | found[..., 1] << 8 | found[..., 2]
        else:
            codes = read_label_values(path)
            if codes.ndim == 3:
                if (codes != codes[..., :1]).any():
                    raise DatasetError(
                        f"{path} has three channels of different values: give its colors under 'colours' "
                        f"in place of 'values'"
                    )
                codes = codes[..., 0]
            if codes.dtype != np.uint8 and not 0 <= codes.min() <= codes.max() < _MOST_VALUES:
                raise DatasetError(
                    f"{path} has values of {codes.min()} to {codes.max()}: expected 0 to 65535"
                )
        ids = _ids_by_code(self)[codes]
        unknown = ids == _UNKNOWN
        if unknown.any():
            raise DatasetError(self._complaint(path, codes, unknown))
        return ids.astype(np.uint8)

    def _complaint(self, path: Path, codes: np.ndarray, unknown: np.ndarray) -> str:
        found, counts = np.unique(codes[unknown], return_counts=True)
        most = int(counts.argmax())
        others = f" and {len(found) - 1} more such" if len(found) > 1 else ""
        if self.colors:
            code = int(found[most])
            what = f"the color {code >> 16},{code >> 8 & 255},{code & 255}"
            hint = "add it under 'colours', or under 'unlabelled' where it is void"
        else:
            what, hint = f"the value {found[most]}", self._remedy({int(code) for code in np.unique(codes)})
        return (
            f"{path} has {what} in {counts[most]} of {codes.size} pixels{others}, which nothing names: {hint}"
        )

    def _remedy(self, present: set[int]) -> str:
        """Return the likeliest reason for values that are in no list."""
        classes = sorted(value for value, label in self.values if label != UNLABELLED)
        named = {value for value, _ in self.values}
        unknown = present - named
        if classes == list(range(len(classes))) and 0 not in present and unknown == {len(classes)}:
            return f"values 1 to {len(classes)}: counted from 1?"
        steps = {value for value in present if value not in (255, 0)}
        factor = int(np.gcd.reduce(list(steps))) if steps else 1
        if factor > 1 and len(steps) > 1 and all(value // factor in named for value in steps):
            return f"all values are multiples of {factor}: ids times {factor}, to be looked at?"
        if max(unknown) >= 1000 and all(value // 1000 in named for value in unknown):
            return "ids times 1000 and a number: instance labels in place of class labels?"
        if unknown == {255}:
            return "is 255 void? Then put it under 'unlabelled'"
        return "add it under 'values', or under 'unlabelled' where it is void"


@lru_cache(maxsize=8)
def _ids_by_code(table: LabelTable) -> np.ndarray:
    """Return the class id of every value or color that there can be: int16, -1 where the table names none."""
    ids = np.full(2**24 if table.colors else _MOST_VALUES, _UNKNOWN, np.int16)
    for value, label in table.values:
        ids[value] = label
    for (red, green, blue), label in table.colors:
        ids[red << 16 | green << 8 | blue] = label
    return ids
