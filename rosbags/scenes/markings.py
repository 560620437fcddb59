"""The surface of a road with its painted lines, as one long texture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from scenes import textures

PIXELS_PER_METER = 40
_WHITE, _YELLOW = (0.80, 0.80, 0.77), (0.72, 0.58, 0.20)


@dataclass(frozen=True)
class Markings:
    """Which lines a road has; lengths in meters."""

    dash: float
    gap: float
    edge: str
    cycle_lane: bool
    bays: tuple[bool, bool]
    words: bool


def random_markings(rng: np.random.Generator, half_width: float, parking: tuple[bool, bool]) -> Markings:
    """Return lines that suit a road of this width."""
    dash, gap = ((2.0, 4.0), (4.0, 2.0), (1.0, 5.0))[rng.integers(3)]
    edge = str(rng.choice(["double yellow", "single yellow", "white", "none"], p=[0.4, 0.25, 0.1, 0.25]))
    return Markings(
        dash,
        gap,
        edge,
        half_width > 4 and not any(parking) and rng.random() < 0.5,
        parking,
        rng.random() < 0.3,
    )


def road(
    rng: np.random.Generator,
    length: float,
    half_width: float,
    tone: float,
    lines: Markings,
    crossing: float | None,
    signals: float | None,
) -> np.ndarray:
    """Return a road as uint8 (H, W, 3) sRGB: rows run along it, columns from its right to its left edge.

    ``tone`` is the asphalt's sRGB value; a zebra ``crossing`` and a stop line for ``signals`` stand at these
    distances from the start.
    """
    scale = PIXELS_PER_METER
    shape = (int(length * scale), int(2 * half_width * scale))
    surface = textures.asphalt(rng, shape, scale, tone)
    paint = np.zeros((*shape, 3), np.float32)
    cover = np.zeros(shape, np.float32)

    def bar(s0: float, s1: float, d0: float, d1: float, color: tuple[float, float, float] = _WHITE) -> None:
        rows, columns = (
            slice(*_span(s0, s1, scale, shape[0])),
            slice(*_span(d0 + half_width, d1 + half_width, scale, shape[1])),
        )
        paint[rows, columns], cover[rows, columns] = color, 1.0

    def band(s0: float, s1: float, d0: float, d1: float, color: np.ndarray, strength: float) -> None:
        rows, columns = (
            slice(*_span(s0, s1, scale, shape[0])),
            slice(*_span(d0 + half_width, d1 + half_width, scale, shape[1])),
        )
        surface[rows, columns] *= 1 - strength + strength * color / tone

    if lines.cycle_lane:
        tint = (
            np.array([0.42, 0.2, 0.17], np.float32)
            if rng.random() < 0.6
            else np.array([0.2, 0.35, 0.24], np.float32)
        )
        for side in (-1, 1):
            low, high = sorted((side * (half_width - 1.4), side * half_width))
            if rng.random() < 0.6:
                band(0, length, low, high, tint, 0.7)
            for s in np.arange(0, length, 6.0):
                bar(s, s + 4, side * (half_width - 1.4) - 0.06, side * (half_width - 1.4) + 0.06)
    clear = [(at - 14, at + 14) for at in (crossing,) if at is not None]
    for s in np.arange(0, length, lines.dash + lines.gap):
        if not any(a < s < b for a, b in clear):
            bar(s, s + lines.dash, -0.06, 0.06)
    for side in (-1, 1):
        offsets = {"double yellow": (0.2, 0.38), "single yellow": (0.25,), "white": (0.25,), "none": ()}[
            lines.edge
        ]
        for offset in offsets:
            d = side * (half_width - offset)
            bar(0, length, d - 0.045, d + 0.045, _WHITE if lines.edge == "white" else _YELLOW)
        if lines.bays[0 if side > 0 else 1]:
            for s in np.arange(0, length, 1.5):
                bar(s, s + 0.75, side * (half_width - 2.1) - 0.04, side * (half_width - 2.1) + 0.04)
    if crossing is not None:
        cover[slice(*_span(crossing - 1.8, crossing + 1.8, scale, shape[0]))] = 0
        for d in np.arange(-half_width, half_width, 1.1):
            bar(crossing - 1.4, crossing + 1.4, d, d + 0.55)
        for d in (-half_width + 0.5, 0.0, half_width - 0.5):
            for sign in (-1, 1):
                s = crossing + sign * (2.6 + 2 * np.arange(7))
                zigzag = np.stack([(d + half_width + 0.22 * (-1.0) ** np.arange(7)) * scale, s * scale], 1)
                _line(paint, cover, zigzag)
    if signals is not None:
        bar(signals - 0.4, signals - 0.1, 0.0, half_width - 0.1)
    if lines.words:
        for s in np.arange(rng.uniform(8, 30), length - 8, 45.0):
            _word(
                paint,
                cover,
                str(rng.choice(["SLOW", "KEEP CLEAR"])),
                s * scale,
                (1.5 * half_width - 0.2) * scale,
            )
    wear = textures.noise(rng, shape, (max(2, shape[0] // 100), 4), 6, 0.65)
    alpha = cover * np.clip(0.82 - 0.22 * np.maximum(wear + 0.3, 0), 0.08, 1)
    opacity = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.7))[..., None]
    return (np.clip(surface * (1 - opacity) + paint * opacity, 0, 1) * 255 + 0.5).astype(np.uint8)


def _span(start: float, stop: float, scale: int, size: int) -> tuple[int, int]:
    low, high = round(start * scale), round(stop * scale)
    return max(0, min(low, size)), max(0, min(max(high, low + 1), size))


def _line(paint: np.ndarray, cover: np.ndarray, points: np.ndarray) -> None:
    mask = np.zeros(cover.shape, np.uint8)
    cv2.polylines(mask, [points.astype(np.int32)], False, 1, 4)
    paint[mask > 0], cover[mask > 0] = _WHITE, 1.0


def _word(paint: np.ndarray, cover: np.ndarray, word: str, row: float, column: float) -> None:
    """Paint letters around (row, column), stretched along the road for who comes from its start."""
    (width, height), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 3)
    flat = np.zeros((height + 12, width + 6), np.uint8)
    cv2.putText(flat, word, (3, height + 4), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1, 3)
    tall = cv2.resize(flat, (int(2.2 * PIXELS_PER_METER), int(2.6 * PIXELS_PER_METER)))[::-1, ::-1]
    r, c = int(row), int(column - tall.shape[1] / 2)
    c = max(0, min(c, cover.shape[1] - tall.shape[1]))
    mask = tall[: cover.shape[0] - r] > 0
    paint[r : r + mask.shape[0], c : c + mask.shape[1]][mask] = _WHITE
    cover[r : r + mask.shape[0], c : c + mask.shape[1]][mask] = 1.0
