"""A picture of several frames for people: each camera image above its overlay, and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from squeeze_segnet_ros.classes import LabelClass

COLUMNS = 3
WIDTH = 480
"""Width of one image in pixels."""
_MARGIN, _GAP, _CAPTION, _TITLE, _LEGEND_ROW = 28, 14, 30, 64, 38
_PAPER, _INK, _PALE = (250, 250, 250), (40, 40, 40), (120, 120, 120)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Cell(NamedTuple):
    """One frame: uint8 (H, W, 3) RGB as it came and as it was labelled, and a short text."""

    image: np.ndarray
    overlay: np.ndarray
    caption: str


def write(path: Path, title: str, cells: Sequence[Cell], classes: Sequence[LabelClass]) -> None:
    """Write the picture as ``path``."""
    cv2.imwrite(str(path), cv2.cvtColor(compose(title, cells, classes), cv2.COLOR_RGB2BGR))


def compose(title: str, cells: Sequence[Cell], classes: Sequence[LabelClass]) -> np.ndarray:
    """Compose the picture, uint8 (H, W, 3) RGB."""
    heights = [round(WIDTH * cell.image.shape[0] / cell.image.shape[1]) for cell in cells]
    height = max(heights)
    columns = min(COLUMNS, len(cells))
    rows = -(-len(cells) // COLUMNS)
    cell_height = _CAPTION + 2 * height + 4 + _GAP
    width = 2 * _MARGIN + columns * WIDTH + (columns - 1) * _GAP
    legend = _legend(classes, width - 2 * _MARGIN)
    sheet = np.full((_TITLE + rows * cell_height + len(legend) + _MARGIN, width, 3), _PAPER, np.uint8)
    _text(sheet, title, (_MARGIN, 42), 0.95, _INK, 2)
    for index, cell in enumerate(cells):
        x = _MARGIN + index % COLUMNS * (WIDTH + _GAP)
        y = _TITLE + index // COLUMNS * cell_height
        _text(sheet, f"camera and labels, {cell.caption}", (x, y + 20), 0.55, _PALE)
        for picture in (cell.image, cell.overlay):
            shrinks = picture.shape[1] > WIDTH
            way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            fitted = cv2.resize(picture, (WIDTH, heights[index]), interpolation=way)
            sheet[y + _CAPTION : y + _CAPTION + len(fitted), x : x + WIDTH] = fitted
            y += len(fitted) + 4
    bottom = _TITLE + rows * cell_height
    sheet[bottom : bottom + len(legend), _MARGIN : width - _MARGIN] = legend
    return sheet


def _legend(classes: Sequence[LabelClass], width: int) -> np.ndarray:
    """Return color and name of each class in as many rows as it takes."""
    box, space = 24, 26
    places, x, row = [], 0, 0
    for label in classes:
        (text_width, _), _ = cv2.getTextSize(label.name, _FONT, 0.6, 1)
        needed = box + 8 + text_width
        if x and x + needed > width:
            x, row = 0, row + 1
        places.append((x, row))
        x += needed + space
    legend = np.full(((row + 1) * _LEGEND_ROW, width, 3), _PAPER, np.uint8)
    for label, (x, row) in zip(classes, places, strict=True):
        y = row * _LEGEND_ROW + 7
        cv2.rectangle(legend, (x, y), (x + box, y + box), label.rgb, cv2.FILLED)
        cv2.rectangle(legend, (x, y), (x + box, y + box), _PALE, 1)
        _text(legend, label.name, (x + box + 8, y + 18), 0.6, _INK)
    return legend


def _text(
    image: np.ndarray,
    text: str,
    place: tuple[int, int],
    size: float,
    color: tuple[int, int, int],
    thickness: int = 1,
) -> None:
    cv2.putText(image, text, place, _FONT, size, color, thickness, cv2.LINE_AA)
