"""What is decided first about a street, and how to put something at its place."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scenes import furniture
from scenes.meshes import Mesh, Part, place, quads
from scenes.street import Actor, Path

KERB = 0.12
"""Height of the sidewalks."""
WALLS, ROOFS = 6, 3
"""Numbers of wall and roof textures."""
PAVING_TILE = 4.8
SIDE_ROAD, SIDE_WALK = 6.0, 1.8
"""Widths of a side street and of its sidewalks."""
DRIVE_CROSSING = 105.0
"""Where a drive's zebra crossing is."""


@dataclass
class Plan:
    """Choices that hold for the whole street, drawn first, and what is built from them.

    Pairs are (left, right), in meters; a side street is its place along the street and its side, 1 or -1;
    ``street_trees``, ``traffic`` and ``crowd`` are densities from 0 to about 1.
    """

    half_width: float
    sidewalk: tuple[float, float]
    parking: tuple[bool, bool]
    side_streets: list[tuple[float, int]]
    crossing: float | None
    signals: float | None
    season: str
    zones: tuple[str, ...]
    street_trees: float
    traffic: float
    crowd: float
    woods: dict[tuple[str, int], list[Part]] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    actors: list[Actor] = field(default_factory=list)

    @property
    def lane(self) -> float:
        """Where the middle of the left lane is, as d."""
        return max(1.4, (self.half_width - (2.1 if self.parking[0] else 0.1)) / 2)


_ZONES: tuple[tuple[str, ...], ...] = (
    ("shops",),
    ("shops", "shops", "offices"),
    ("terrace",),
    ("terrace", "park", "terrace"),
    ("offices", "shops"),
    ("park", "terrace", "offices"),
    ("shops", "park"),
    ("forecourt", "terrace", "park"),
)


def draw_plan(rng: np.random.Generator, path: Path, lively: bool) -> Plan:
    """Return the choices for a street along ``path``."""
    half_width = float(rng.choice([3.3, 3.8, 4.6, 5.4]))
    parking = (half_width > 4.4 and rng.random() < 0.6, half_width > 4.4 and rng.random() < 0.6)
    side_streets = []
    s = rng.uniform(18, 60)
    while s < path.end - 30:
        side_streets.append((float(s), int(rng.choice([-1, 1]))))
        s += rng.uniform(35, 80)
    crossing = float(rng.uniform(18, 70)) if rng.random() < 0.35 else None
    crossing = DRIVE_CROSSING if lively else crossing
    signals = side_streets[0][0] - 6 if side_streets and rng.random() < 0.4 else None
    zones = _ZONES[rng.integers(len(_ZONES))]
    if lively:
        half_width, parking = 4.6, (False, True)
        zones, signals = ("terrace", "shops", "park", "shops"), side_streets[-1][0] - 6
    return Plan(
        half_width,
        (rng.uniform(1.8, 3.6), rng.uniform(1.8, 3.6)),
        parking,
        side_streets,
        crossing,
        signals,
        "summer" if lively else str(rng.choice(["summer", "autumn", "bare"], p=[0.5, 0.15, 0.35])),
        zones,
        rng.choice([0.0, 0.25, 0.7]) if not lively else 0.4,
        rng.uniform(0.2, 1.0),
        rng.uniform(0.2, 1.2) if not lively else 1.0,
    )


def ribbon(
    path: Path,
    s0: float,
    s1: float,
    profile: list[tuple[float, float]],
    tile: float,
    color: tuple[float, float, float] = (1, 1, 1),
) -> Mesh:
    """Return a strip along the path through the cross section ``profile`` [(d, z)], from left to right."""
    s = np.linspace(s0, s1, max(2, int((s1 - s0) / 2.5) + 1))
    d, z = np.array(profile).T
    points = path.locate(s[:, None], d[None], z[None])
    across = np.concatenate([[0], np.cumsum(np.hypot(np.diff(d), np.diff(z)))])
    uv = np.stack(np.broadcast_arrays(across[None], s[:, None]), -1) / tile
    a, b = slice(None, -1), slice(1, None)
    corners, maps = (
        np.stack([g[a, a], g[a, b], g[b, b], g[b, a]], 2).reshape(-1, 4, g.shape[-1]) for g in (points, uv)
    )
    return quads(corners, color, maps)


def openings(path: Path, plan: Plan, side: int, margin: float) -> list[tuple[float, float]]:
    """Return the stretches of a side between its side streets, each widened by ``margin``."""
    edges = [path.start]
    for s, where in plan.side_streets:
        if where == side:
            edges += [s - SIDE_ROAD / 2 - margin, s + SIDE_ROAD / 2 + margin]
    edges.append(path.end)
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def sidewalk_width(plan: Plan, side: int) -> float:
    """Return it in meters; ``side`` is 1 on the left and -1 on the right."""
    return plan.sidewalk[0 if side > 0 else 1]


def grown_tree(rng: np.random.Generator, plan: Plan, height: float, season: str | None = None) -> list[Part]:
    """Return one of a few trees grown for this street, scaled to ``height`` and turned."""
    key = (season or plan.season, int(rng.integers(4)))
    if key not in plan.woods:
        plan.woods[key] = furniture.tree(rng, 8.0, key[0])
    factor = height / 8.0
    widths = factor * rng.uniform(0.85, 1.15, 2)
    return place(plan.woods[key], (0, 0, 0), rng.uniform(0, 6.3), (*widths, factor))


def put(
    path: Path, plan: Plan, parts: list[Part], s: float, d: float, turn: float = 0.0, z: float = 0.0
) -> None:
    """Put parts at (s, d, z), their x along the street and turned by ``turn``."""
    plan.parts += place(parts, path.locate(s, d, z), float(path.heading(s)) + turn)


def put_along(
    path: Path, plan: Plan, side: int, s: float, d: float, width: float, parts: list[Part], z: float = 0.0
) -> None:
    """Put what is built along +x and faces -y at ``s``..``s + width``, so that it faces the road."""
    start, stop = (s, s + width) if side > 0 else (s + width, s)
    a, b = path.locate(start, side * d, z), path.locate(stop, side * d, z)
    plan.parts += place(parts, a, float(np.arctan2(b[1] - a[1], b[0] - a[0])))
