"""What stands behind the sidewalks: shops, terraces with front gardens, offices, forecourts, parks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scenes import furniture
from scenes.buildings import building, garden_wall, random_style
from scenes.meshes import Part
from scenes.plan import (
    KERB,
    PAVING_TILE,
    ROOFS,
    SIDE_WALK,
    WALLS,
    Plan,
    grown_tree,
    openings,
    put,
    put_along,
    ribbon,
    sidewalk_width,
)
from scenes.street import Path
from scenes.vehicles import vehicle
from squeeze_segnet_ros.classes import CAMVID

_ROAD, _SIDEWALK, _TREE = (CAMVID.names.index(name) for name in ("road", "sidewalk", "tree"))


def frontage(rng: np.random.Generator, path: Path, plan: Plan, side: int, zones: tuple[str, ...]) -> None:
    """Fill one side of the street with stretches of ``zones``, which alternate."""
    edge = plan.half_width + sidewalk_width(plan, side)
    index = 0
    for s0, s1 in openings(path, plan, side, SIDE_WALK):
        s = s0
        while s < s1 - 3:
            stretch = min(rng.uniform(22, 55), s1 - s)
            _ZONE_BUILDERS[zones[index % len(zones)]](rng, path, plan, side, s, s + stretch, edge)
            s += stretch
            index += 1


def _row(
    rng: np.random.Generator,
    path: Path,
    plan: Plan,
    side: int,
    s0: float,
    s1: float,
    d: float,
    kind: str,
    widths: tuple[float, float],
    gap: float = 0.0,
) -> None:
    s = s0
    style = random_style(rng, kind, WALLS, ROOFS)
    while s < s1 - 2.5:
        width = min(rng.uniform(*widths), s1 - s)
        if s1 - s - width < 2.5:
            width = s1 - s
        if kind != "terrace" or rng.random() < 0.2:
            style = random_style(rng, kind, WALLS, ROOFS)
        put_along(path, plan, side, s, d, width, building(rng, style, width), KERB)
        s += width + (gap if rng.random() < 0.4 else 0.0)


def _shops(
    rng: np.random.Generator, path: Path, plan: Plan, side: int, s0: float, s1: float, edge: float
) -> None:
    _row(rng, path, plan, side, s0, s1, edge, "shops", (4.5, 9.0))


def _ground(
    path: Path, plan: Plan, side: int, s0: float, s1: float, d0: float, d1: float, material: str, label: int
) -> None:
    profile = [(d1, KERB), (d0, KERB)] if side > 0 else [(-d0, KERB), (-d1, KERB)]
    plan.parts.append(Part(ribbon(path, s0, s1, profile, PAVING_TILE), material, label))


def _barrier(rng: np.random.Generator, kind: str, wall: str, length: float, height: float) -> list[Part]:
    if kind == "wall":
        return garden_wall(wall, length, min(height, 1.1))
    if kind == "hedge":
        return furniture.hedge(rng, length, height)
    if kind == "railing":
        return furniture.railing(rng, length, 1.2)
    return furniture.board_fence(rng, length, max(1.2, height))


def _border(
    rng: np.random.Generator,
    path: Path,
    plan: Plan,
    side: int,
    s0: float,
    s1: float,
    d: float,
    kinds: tuple[str, ...],
) -> None:
    """Put walls, hedges, railings or boards before the gardens, with a gap for a gate now and then."""
    s, kind = s0, str(rng.choice(kinds))
    wall = f"tex:wall{rng.integers(WALLS)}"
    while s < s1 - 1:
        length = min(rng.uniform(3.5, 6.5), s1 - s)
        if rng.random() < 0.3:
            kind = str(rng.choice(kinds))
        high = rng.uniform(0.9, 2.0)
        made = _barrier(rng, kind, wall, length, high)
        put_along(path, plan, side, s, d, length, made, KERB)
        s += length + (1.1 if rng.random() < 0.35 else 0.0)


def _terrace(
    rng: np.random.Generator, path: Path, plan: Plan, side: int, s0: float, s1: float, edge: float
) -> None:
    garden = rng.choice([0.0, 2.5, 4.5, 7.0], p=[0.25, 0.3, 0.25, 0.2])
    _row(rng, path, plan, side, s0, s1, edge + garden, "terrace", (4.5, 7.5), gap=rng.choice([0.0, 2.5]))
    if garden:
        lawn = rng.random() < 0.5
        _ground(
            path,
            plan,
            side,
            s0,
            s1,
            edge,
            edge + garden + 0.5,
            "tex:grass" if lawn else "tex:paving",
            _TREE if lawn else _SIDEWALK,
        )
        _border(rng, path, plan, side, s0, s1, edge + 0.15, ("wall", "wall", "hedge", "railing", "boards"))
        for s in np.arange(s0 + 2, s1 - 2, 6.0):
            if rng.random() < 0.5:
                put(
                    path,
                    plan,
                    furniture.bush(rng, rng.uniform(0.5, 1.1)),
                    s + rng.uniform(-1, 1),
                    side * (edge + garden * 0.5),
                    z=KERB,
                )
            elif rng.random() < 0.35 and garden > 4:
                put(
                    path,
                    plan,
                    grown_tree(rng, plan, rng.uniform(4, 7)),
                    s,
                    side * (edge + garden * 0.4),
                    z=KERB,
                )


def _offices(
    rng: np.random.Generator, path: Path, plan: Plan, side: int, s0: float, s1: float, edge: float
) -> None:
    setback = rng.uniform(0.0, 5.0)
    _row(rng, path, plan, side, s0, s1, edge + setback, "offices", (12, 26))
    _ground(path, plan, side, s0, s1, edge, edge + setback + 0.5, "tex:paving", _SIDEWALK)
    if setback > 2:
        for s in np.arange(s0 + 3, s1 - 3, 8.0):
            if rng.random() < 0.6:
                put(path, plan, grown_tree(rng, plan, rng.uniform(5, 8)), s, side * (edge + 1.2), z=KERB)


def _forecourt(
    rng: np.random.Generator, path: Path, plan: Plan, side: int, s0: float, s1: float, edge: float
) -> None:
    _row(rng, path, plan, side, s0, s1, edge + 17, "offices", (18, 40))
    _ground(path, plan, side, s0, s1, edge, edge + 17.5, "tex:yard", _ROAD)
    for d in (edge + 4, edge + 12):
        for s in np.arange(s0 + 2, s1 - 2, 2.7):
            if rng.random() < 0.6:
                put(path, plan, vehicle(rng), s, side * d, np.pi / 2 * rng.choice([-1, 1]), KERB)
    if rng.random() < 0.6:
        _border(rng, path, plan, side, s0, s1, edge + 0.3, ("railing", "hedge"))


def _park(
    rng: np.random.Generator, path: Path, plan: Plan, side: int, s0: float, s1: float, edge: float
) -> None:
    _ground(path, plan, side, s0, s1, edge, edge + 45, "tex:grass", _TREE)
    if rng.random() < 0.85:
        _border(rng, path, plan, side, s0, s1, edge + 0.3, ("railing", "railing", "hedge", "boards"))
    for d, spacing in ((edge + 3.5, 7.5), (edge + 12, 10.0), (edge + 24, 11.0)):
        for s in np.arange(s0 + 3, s1 - 1, spacing):
            if rng.random() < 0.8:
                season = "evergreen" if rng.random() < 0.18 else plan.season
                put(
                    path,
                    plan,
                    grown_tree(rng, plan, rng.uniform(7, 13), season),
                    s + rng.uniform(-2, 2),
                    side * (d + rng.uniform(-1, 1)),
                    rng.uniform(0, 6),
                    KERB,
                )
    _row(rng, path, plan, side, s0, s1, edge + 38, "terrace", (6, 9), gap=4)


_ZONE_BUILDERS: dict[str, Callable[..., None]] = {
    "shops": _shops,
    "terrace": _terrace,
    "offices": _offices,
    "forecourt": _forecourt,
    "park": _park,
}
