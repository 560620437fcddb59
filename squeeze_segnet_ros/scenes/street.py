"""The layout of a street: a path, what stands along it, who moves on it, and the light. Meters, seconds, radians.

Places are given along the path (``s``) and across it (``d``, positive to the left). Traffic keeps to the left,
as in CamVid. Equal seeds give equal streets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from squeeze_segnet_ros.labels import CAMVID, UNLABELLED
from squeeze_segnet_ros.scenes import furniture, markings, textures
from squeeze_segnet_ros.scenes.buildings import building, garden_wall, random_style
from squeeze_segnet_ros.scenes.meshes import Mesh, Part, place, quads
from squeeze_segnet_ros.scenes.people import Look, bicyclist, parked_bicycle, pedestrian
from squeeze_segnet_ros.scenes.vehicles import vehicle

_BUILDING, _ROAD, _SIDEWALK, _TREE = (CAMVID.names.index(n) for n in ("building", "road", "sidewalk", "tree"))
KERB = 0.12
_WALLS, _ROOFS = 6, 3
_PAVING_TILE = 4.8
_SIDE_ROAD, _SIDE_WALK = 6.0, 1.8
_DRIVE_CROSSING = 105.0


class Path:
    """The middle line of a street: straight lines and gentle bends, from ``start`` to ``end`` along ``s``."""

    def __init__(self, start: float, end: float, bend: float, wave: float, phase: float) -> None:
        """``bend`` is the heading's change over 100 m, ``wave`` the amplitude of its sway around it."""
        self.start, self.end = start, end
        self._s = np.arange(start, end + 0.5, 0.5)
        self._heading = bend * self._s / 100 + wave * (np.sin(self._s / 60 + phase) - np.sin(phase))
        step = np.stack([np.cos(self._heading), np.sin(self._heading)], 1) * 0.5
        points = np.concatenate([[[0, 0]], np.cumsum(step[:-1], 0)])
        self._points = points - [np.interp(0, self._s, points[:, 0]), np.interp(0, self._s, points[:, 1])]

    def heading(self, s: float | np.ndarray) -> np.ndarray:
        """Direction of travel at ``s``."""
        return np.interp(s, self._s, self._heading)

    def locate(self, s: float | np.ndarray, d: float | np.ndarray, z: float | np.ndarray = 0.0) -> np.ndarray:
        """World position of (s, d, z), float (..., 3)."""
        s, d, z = np.broadcast_arrays(np.asarray(s, float), d, z)
        h = self.heading(s)
        x = np.interp(s, self._s, self._points[:, 0]) - d * np.sin(h)
        y = np.interp(s, self._s, self._points[:, 1]) + d * np.cos(h)
        return np.stack([x, y, z], -1)


@dataclass(frozen=True)
class Actor:
    """Somebody who moves along the street with ``speed`` and across it with ``drift`` (m/s), from (s, d) at 0 s.

    ``build`` gives the parts after a distance traveled; a negative speed comes toward the camera. Who has to
    ``wait`` (s) stands until then.
    """

    s: float
    d: float
    speed: float
    build: Callable[[float], list[Part]]
    drift: float = 0.0
    z: float = 0.0
    wait: float = 0.0

    def parts(self, path: Path, time: float) -> list[Part]:
        """The actor's parts at ``time``, in the world."""
        time = max(0.0, time - self.wait)
        s, d = self.s + self.speed * time, self.d + self.drift * time
        if not path.start < s < path.end:
            return []
        yaw = float(path.heading(s)) + float(np.arctan2(self.drift, self.speed))
        return place(self.build(float(np.hypot(self.speed, self.drift)) * time), path.locate(s, d, self.z), yaw)


@dataclass(frozen=True)
class Light:
    """``sun`` is the unit direction to it, ``irradiance`` what it gives to a surface that faces it; ``sky`` an
    image as of ``textures.sky``. ``haze`` is the distance at which contrast falls to a third."""

    sun: np.ndarray
    irradiance: float
    sky: np.ndarray
    haze: float


@dataclass(frozen=True)
class Street:
    """Everything that is in the scene but the camera."""

    path: Path
    lane: float
    parts: list[Part]
    actors: list[Actor]
    images: dict[str, np.ndarray]
    light: Light

    def at(self, time: float) -> list[Part]:
        """The moving parts at ``time`` seconds."""
        return [part for actor in self.actors for part in actor.parts(self.path, time)]


@dataclass
class _Plan:
    """Choices that hold for the whole street, drawn first."""

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


_ZONES = (
    ("shops",),
    ("shops", "shops", "offices"),
    ("terrace",),
    ("terrace", "park", "terrace"),
    ("offices", "shops"),
    ("park", "terrace", "offices"),
    ("shops", "park"),
    ("forecourt", "terrace", "park"),
)


def random_street(seed: int, length: float = 150.0, behind: float = 12.0, lively: bool = False) -> Street:
    """A street from ``-behind`` to ``length``; ``lively`` makes sure that it has people, trees, fences and signs."""
    rng = np.random.default_rng(seed)
    bend, wave = rng.normal(0, 0.12), rng.uniform(0, 0.12)
    path = Path(-behind, length, bend, wave, rng.uniform(0, 6))
    plan = _draw_plan(rng, path, lively)
    for index, side in enumerate((1, -1)):
        _sidewalks(path, plan, side)
        _frontage(rng, path, plan, side, plan.zones if index == 0 else tuple(rng.permutation(plan.zones)))
        _kerbside(rng, path, plan, side)
    _side_streets(rng, path, plan)
    _road(path, plan)
    _far_end(rng, path, plan)
    (_scripted_traffic if lively else _traffic)(rng, path, plan)
    _crowd(rng, path, plan)
    images = _images(rng, path, plan)
    return Street(path, plan.lane, plan.parts, plan.actors, images, _light(rng, lively))


def _draw_plan(rng: np.random.Generator, path: Path, lively: bool) -> _Plan:
    half_width = float(rng.choice([3.3, 3.8, 4.6, 5.4]))
    parking = (half_width > 4.4 and rng.random() < 0.6, half_width > 4.4 and rng.random() < 0.6)
    side_streets = []
    s = rng.uniform(18, 60)
    while s < path.end - 30:
        side_streets.append((float(s), int(rng.choice([-1, 1]))))
        s += rng.uniform(35, 80)
    crossing = float(rng.uniform(18, 70)) if rng.random() < 0.35 else None
    crossing = _DRIVE_CROSSING if lively else crossing
    signals = side_streets[0][0] - 6 if side_streets and rng.random() < 0.4 else None
    zones = _ZONES[rng.integers(len(_ZONES))]
    if lively:
        half_width, parking = 4.6, (False, True)
        zones, signals = ("terrace", "shops", "park", "shops"), side_streets[-1][0] - 6
    return _Plan(
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


def _ribbon(path: Path, s0: float, s1: float, profile: list[tuple[float, float]], tile: float, color: tuple[float, float, float] = (1, 1, 1)) -> Mesh:
    """A strip along the path through the cross section ``profile`` [(d, z)], which runs from left to right."""
    s = np.linspace(s0, s1, max(2, int((s1 - s0) / 2.5) + 1))
    d, z = np.array(profile).T
    points = path.locate(s[:, None], d[None], z[None])
    across = np.concatenate([[0], np.cumsum(np.hypot(np.diff(d), np.diff(z)))])
    uv = np.stack(np.broadcast_arrays(across[None], s[:, None]), -1) / tile
    a, b = slice(None, -1), slice(1, None)
    corners, maps = (np.stack([g[a, a], g[a, b], g[b, b], g[b, a]], 2).reshape(-1, 4, g.shape[-1]) for g in (points, uv))
    return quads(corners, color, maps)


def _openings(path: Path, plan: _Plan, side: int, margin: float) -> list[tuple[float, float]]:
    """The stretches of a side between its side streets, each widened by ``margin``."""
    edges = [path.start]
    for s, where in plan.side_streets:
        if where == side:
            edges += [s - _SIDE_ROAD / 2 - margin, s + _SIDE_ROAD / 2 + margin]
    edges.append(path.end)
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def _walk(plan: _Plan, side: int) -> float:
    return plan.sidewalk[0 if side > 0 else 1]


def _sidewalks(path: Path, plan: _Plan, side: int) -> None:
    inner, outer = plan.half_width, plan.half_width + _walk(plan, side)
    for s0, s1 in _openings(path, plan, side, 0.0):
        kerb = [(inner + 0.15, KERB), (inner, KERB - 0.01), (inner, -0.02)]
        slab = [(outer, KERB + 0.03), (inner + 0.15, KERB)]
        if side < 0:
            kerb, slab = ([(-d, z) for d, z in reversed(p)] for p in (kerb, slab))
        plan.parts.append(Part(_ribbon(path, s0, s1, kerb, 1, (0.2, 0.195, 0.185)), "matte", _SIDEWALK))
        plan.parts.append(Part(_ribbon(path, s0, s1, slab, _PAVING_TILE), "tex:paving", _SIDEWALK))
        for s in (s0, s1):
            a, b = path.locate(s, side * inner, -0.02), path.locate(s, side * outer, -0.02)
            lip = [a, b, b + [0, 0, KERB + 0.05], a + [0, 0, KERB + 0.02]]
            plan.parts.append(Part(quads([lip], (0.2, 0.195, 0.185)), "matte", _SIDEWALK))


def _tree(rng: np.random.Generator, plan: _Plan, height: float, season: str | None = None) -> list[Part]:
    """One of a few trees grown for this street, scaled to ``height`` and turned."""
    key = (season or plan.season, int(rng.integers(4)))
    if key not in plan.woods:
        plan.woods[key] = furniture.tree(rng, 8.0, key[0])
    factor = height / 8.0
    widths = factor * rng.uniform(0.85, 1.15, 2)
    return place(plan.woods[key], (0, 0, 0), rng.uniform(0, 6.3), (*widths, factor))


def _put(path: Path, plan: _Plan, parts: list[Part], s: float, d: float, turn: float = 0.0, z: float = 0.0) -> None:
    plan.parts += place(parts, path.locate(s, d, z), float(path.heading(s)) + turn)


def _along(path: Path, plan: _Plan, side: int, s: float, d: float, width: float, parts: list[Part], z: float = 0.0) -> None:
    """Puts what is built along +x and faces -y at ``s``..``s + width``, so that it faces the road."""
    start, stop = (s, s + width) if side > 0 else (s + width, s)
    a, b = path.locate(start, side * d, z), path.locate(stop, side * d, z)
    plan.parts += place(parts, a, float(np.arctan2(b[1] - a[1], b[0] - a[0])))


def _frontage(rng: np.random.Generator, path: Path, plan: _Plan, side: int, zones: tuple[str, ...]) -> None:
    edge = plan.half_width + _walk(plan, side)
    index = 0
    for s0, s1 in _openings(path, plan, side, _SIDE_WALK):
        s = s0
        while s < s1 - 3:
            stretch = min(rng.uniform(22, 55), s1 - s)
            _ZONE_BUILDERS[zones[index % len(zones)]](rng, path, plan, side, s, s + stretch, edge)
            s += stretch
            index += 1


def _row(rng: np.random.Generator, path: Path, plan: _Plan, side: int, s0: float, s1: float, d: float, kind: str, widths: tuple[float, float], gap: float = 0.0) -> None:
    s = s0
    style = random_style(rng, kind, _WALLS, _ROOFS)
    while s < s1 - 2.5:
        width = min(rng.uniform(*widths), s1 - s)
        if s1 - s - width < 2.5:
            width = s1 - s
        if kind != "terrace" or rng.random() < 0.2:
            style = random_style(rng, kind, _WALLS, _ROOFS)
        _along(path, plan, side, s, d, width, building(rng, style, width), KERB)
        s += width + (gap if rng.random() < 0.4 else 0.0)


def _shops(rng: np.random.Generator, path: Path, plan: _Plan, side: int, s0: float, s1: float, edge: float) -> None:
    _row(rng, path, plan, side, s0, s1, edge, "shops", (4.5, 9.0))


def _ground(path: Path, plan: _Plan, side: int, s0: float, s1: float, d0: float, d1: float, material: str, label: int) -> None:
    profile = [(d1, KERB), (d0, KERB)] if side > 0 else [(-d0, KERB), (-d1, KERB)]
    plan.parts.append(Part(_ribbon(path, s0, s1, profile, _PAVING_TILE), material, label))


def _border(rng: np.random.Generator, path: Path, plan: _Plan, side: int, s0: float, s1: float, d: float, kinds: tuple[str, ...]) -> None:
    """Walls, hedges, railings or boards between sidewalk and garden, with a gap for a gate now and then."""
    s, kind = s0, str(rng.choice(kinds))
    wall = f"tex:wall{rng.integers(_WALLS)}"
    while s < s1 - 1:
        length = min(rng.uniform(3.5, 6.5), s1 - s)
        if rng.random() < 0.3:
            kind = str(rng.choice(kinds))
        high = rng.uniform(0.9, 2.0)
        made = {
            "wall": lambda: garden_wall(wall, length, min(high, 1.1)),  # noqa: B023
            "hedge": lambda: furniture.hedge(rng, length, high),  # noqa: B023
            "railing": lambda: furniture.railing(rng, length, 1.2),  # noqa: B023
            "boards": lambda: furniture.board_fence(rng, length, max(1.2, high)),  # noqa: B023
        }[kind]()
        _along(path, plan, side, s, d, length, made, KERB)
        s += length + (1.1 if rng.random() < 0.35 else 0.0)


def _terrace(rng: np.random.Generator, path: Path, plan: _Plan, side: int, s0: float, s1: float, edge: float) -> None:
    garden = rng.choice([0.0, 2.5, 4.5, 7.0], p=[0.25, 0.3, 0.25, 0.2])
    _row(rng, path, plan, side, s0, s1, edge + garden, "terrace", (4.5, 7.5), gap=rng.choice([0.0, 2.5]))
    if garden:
        lawn = rng.random() < 0.5
        _ground(path, plan, side, s0, s1, edge, edge + garden + 0.5, "tex:grass" if lawn else "tex:paving", _TREE if lawn else _SIDEWALK)
        _border(rng, path, plan, side, s0, s1, edge + 0.15, ("wall", "wall", "hedge", "railing", "boards"))
        for s in np.arange(s0 + 2, s1 - 2, 6.0):
            if rng.random() < 0.5:
                _put(path, plan, furniture.bush(rng, rng.uniform(0.5, 1.1)), s + rng.uniform(-1, 1), side * (edge + garden * 0.5), z=KERB)
            elif rng.random() < 0.35 and garden > 4:
                _put(path, plan, _tree(rng, plan, rng.uniform(4, 7)), s, side * (edge + garden * 0.4), z=KERB)


def _offices(rng: np.random.Generator, path: Path, plan: _Plan, side: int, s0: float, s1: float, edge: float) -> None:
    setback = rng.uniform(0.0, 5.0)
    _row(rng, path, plan, side, s0, s1, edge + setback, "offices", (12, 26))
    _ground(path, plan, side, s0, s1, edge, edge + setback + 0.5, "tex:paving", _SIDEWALK)
    if setback > 2:
        for s in np.arange(s0 + 3, s1 - 3, 8.0):
            if rng.random() < 0.6:
                _put(path, plan, _tree(rng, plan, rng.uniform(5, 8)), s, side * (edge + 1.2), z=KERB)


def _forecourt(rng: np.random.Generator, path: Path, plan: _Plan, side: int, s0: float, s1: float, edge: float) -> None:
    _row(rng, path, plan, side, s0, s1, edge + 17, "offices", (18, 40))
    _ground(path, plan, side, s0, s1, edge, edge + 17.5, "tex:yard", _ROAD)
    for d in (edge + 4, edge + 12):
        for s in np.arange(s0 + 2, s1 - 2, 2.7):
            if rng.random() < 0.6:
                _put(path, plan, vehicle(rng), s, side * d, np.pi / 2 * rng.choice([-1, 1]), KERB)
    if rng.random() < 0.6:
        _border(rng, path, plan, side, s0, s1, edge + 0.3, ("railing", "hedge"))


def _park(rng: np.random.Generator, path: Path, plan: _Plan, side: int, s0: float, s1: float, edge: float) -> None:
    _ground(path, plan, side, s0, s1, edge, edge + 45, "tex:grass", _TREE)
    if rng.random() < 0.85:
        _border(rng, path, plan, side, s0, s1, edge + 0.3, ("railing", "railing", "hedge", "boards"))
    for d, spacing in ((edge + 3.5, 7.5), (edge + 12, 10.0), (edge + 24, 11.0)):
        for s in np.arange(s0 + 3, s1 - 1, spacing):
            if rng.random() < 0.8:
                season = "evergreen" if rng.random() < 0.18 else plan.season
                _put(path, plan, _tree(rng, plan, rng.uniform(7, 13), season), s + rng.uniform(-2, 2), side * (d + rng.uniform(-1, 1)), rng.uniform(0, 6), KERB)
    _row(rng, path, plan, side, s0, s1, edge + 38, "terrace", (6, 9), gap=4)


_ZONE_BUILDERS: dict[str, Callable[..., None]] = {
    "shops": _shops,
    "terrace": _terrace,
    "offices": _offices,
    "forecourt": _forecourt,
    "park": _park,
}


def _kerbside(rng: np.random.Generator, path: Path, plan: _Plan, side: int) -> None:
    """Lamps, trees, signs, bollards, bins, bicycles and parked cars along one sidewalk."""
    inner, walk = plan.half_width, _walk(plan, side)
    near, back = side * (inner + 0.5), side * (inner + walk - 0.4)
    faces_us = np.pi if side > 0 else 0.0
    for s0, s1 in _openings(path, plan, side, 1.5):
        for s in np.arange(s0 + rng.uniform(2, 20), s1, rng.uniform(22, 32)):
            _put(path, plan, furniture.lamp_post(rng, rng.uniform(6, 9.5)), s, near, -side * np.pi / 2, KERB)
        for s in np.arange(s0 + rng.uniform(4, 14), s1, rng.uniform(7, 13)):
            if rng.random() < plan.street_trees:
                _put(path, plan, _tree(rng, plan, rng.uniform(4.5, 9)), s, side * (inner + 0.75), rng.uniform(0, 6), KERB)
        for s in np.arange(s0 + rng.uniform(3, 12), s1, rng.uniform(9, 20)):
            face = str(rng.choice(textures.SIGN_FACES[:7]))
            turn = faces_us if rng.random() < 0.8 else np.pi - faces_us
            _put(path, plan, furniture.sign(rng, face, rng.uniform(2.1, 2.8)), s, near if rng.random() < 0.6 else back, turn, KERB)
        if rng.random() < 0.5:
            for s in np.arange(s0 + rng.uniform(0, 20), min(s1, s0 + 60), rng.uniform(1.6, 3)):
                _put(path, plan, furniture.bollard(rng), s, side * (inner + 0.35), 0, KERB)
        for s in np.arange(s0 + rng.uniform(3, 30), s1, 30):
            _put(path, plan, furniture.bin_(rng), s, near, 0, KERB)
        if s1 - s0 > 14 and rng.random() < 0.5:
            _along(path, plan, side, s1 - 9, inner + 0.3, 7.5, furniture.railing(rng, 7.5), KERB)
        for s in np.arange(s0 + rng.uniform(5, 30), s1 - 4, 35):
            for step in range(int(rng.integers(0, 4))):
                _put(path, plan, parked_bicycle(Look(rng)), s + 0.7 * step, back, side * rng.uniform(0.9, 1.3), KERB)
        if plan.parking[0 if side > 0 else 1]:
            s = s0 + rng.uniform(3, 9)
            while s < s1 - 4:
                clear = plan.crossing is None or abs(s - plan.crossing) > 14
                if rng.random() < 0.75 and clear and (side < 0 or s > 7):
                    d = side * (inner - 1.0 + rng.normal(0, 0.06))
                    flip = np.pi if (side < 0) != (rng.random() < 0.2) else 0.0
                    _put(path, plan, vehicle(rng), s, d, flip + rng.normal(0, 0.02))
                s += rng.uniform(5.3, 7.5)
    if plan.crossing is not None:
        _put(path, plan, _beacon(), plan.crossing - 1.9, side * (inner + 0.3), 0, KERB)
    if plan.signals is not None:
        lit = int(rng.integers(3))
        _put(path, plan, furniture.traffic_light(rng, lit), plan.signals, side * (inner + 0.35), np.pi, KERB)


def _beacon() -> list[Part]:
    """The beacon of a zebra crossing: a banded post with an orange globe."""
    pole, sign = CAMVID.names.index("pole"), CAMVID.names.index("sign")
    bands = [((0.55,) * 3 if i % 2 else (0.02,) * 3, i * 0.42) for i in range(6)]
    posts = [Part(furniture.tube([(0, 0, z), (0, 0, z + 0.42)], 0.055, c, 8), "matte", pole) for c, z in bands]
    return [*posts, Part(furniture.ellipsoid((0, 0, 2.68), 0.17, (0.9, 0.35, 0.02)), "paint", sign)]


def _side_streets(rng: np.random.Generator, path: Path, plan: _Plan) -> None:
    for s, side in plan.side_streets:
        edge, reach = plan.half_width, plan.half_width + 48
        h = float(path.heading(s))
        out = np.array([-np.sin(h), np.cos(h), 0]) * side
        ahead = np.array([np.cos(h), np.sin(h), 0])
        origin = path.locate(s, 0.0)

        def strip(a: float, b: float, start: float, stop: float, z: float, tile: float) -> Mesh:
            corners = np.array([origin + ahead * x + out * y + [0, 0, z] for x, y in ((a, start), (b, start), (b, stop), (a, stop))])  # noqa: B023
            uv = np.array([(a, start), (b, start), (b, stop), (a, stop)]) / tile
            return quads([corners[::side]], uv=[uv[::side]])

        wide = _SIDE_ROAD / 2
        plan.parts.append(Part(strip(-wide - 0.3, wide + 0.3, edge - 0.3, reach, -0.006, _PAVING_TILE), "tex:yard", _ROAD))
        for a, b in ((-wide - _SIDE_WALK, -wide), (wide, wide + _SIDE_WALK)):
            plan.parts.append(Part(strip(a, b, edge + _walk(plan, side), reach, KERB, _PAVING_TILE), "tex:paving", _SIDEWALK))
            start = edge + _walk(plan, side) + 9.5
            wall, flank = f"tex:wall{rng.integers(_WALLS)}", -1 if a < 0 else 1
            corner = origin + ahead * (flank * (wide + _SIDE_WALK)) + out * start
            mesh = garden_wall(wall, 22.0, rng.uniform(1.0, 2.2)) if rng.random() < 0.6 else furniture.board_fence(rng, 22.0)
            plan.parts += place(mesh, corner, float(np.arctan2(out[1], out[0])))
            for k in range(3):
                spot = corner + out * (4 + 7 * k) + ahead * flank * 3
                plan.parts += place(_tree(rng, plan, rng.uniform(5, 9)), spot)
        style = random_style(rng, "terrace", _WALLS, _ROOFS)
        for k in range(-2, 2):
            spot = origin + out * reach + ahead * (7.0 * (k if side < 0 else -k) )
            plan.parts += place(building(rng, style, 7.0), spot, float(np.arctan2(out[1], out[0])) - np.pi / 2)
        if rng.random() < 0.5:
            x = 1.4 * rng.choice([-1, 1])
            spot = origin + ahead * x + out * (edge + rng.uniform(4, 20))
            plan.parts += place(vehicle(rng), spot, float(np.arctan2(out[1], out[0])) + (np.pi if x < 0 else 0))


def _road(path: Path, plan: _Plan) -> None:
    w = plan.half_width
    strip = _ribbon(path, path.start, path.end, [(w, 0), (-w, 0)], 1)
    s = (strip.uv[:, 1] - path.start) / (path.end - path.start)
    road = Mesh(strip.vertices, strip.faces, strip.normals, np.stack([1 - strip.uv[:, 0] / (2 * w), s], 1), strip.colors)
    plan.parts.append(Part(road, "tex:road", _ROAD))
    size, x0 = 400.0, float(path.locate(path.end / 2, 0)[0])
    base = np.array([(x0 - size, -size, -0.04), (x0 + size, -size, -0.04), (x0 + size, size, -0.04), (x0 - size, size, -0.04)])
    plan.parts.append(Part(quads([base], (0.1, 0.1, 0.09)), "matte", UNLABELLED))


def _far_end(rng: np.random.Generator, path: Path, plan: _Plan) -> None:
    """A row of houses and trees across the end of the street."""
    h = float(path.heading(path.end))
    along = np.array([np.sin(h), -np.cos(h), 0])
    ahead = np.array([np.cos(h), np.sin(h), 0])
    corner = path.locate(path.end, 42.0) + ahead * 12
    x = 0.0
    while x < 84:
        width = rng.uniform(5, 10)
        style = random_style(rng, str(rng.choice(["terrace", "shops", "offices"])), _WALLS, _ROOFS)
        plan.parts += place(building(rng, style, width), corner + along * x, h - np.pi / 2)
        if rng.random() < 0.4 and abs(x - 42) > 6:
            plan.parts += place(_tree(rng, plan, rng.uniform(6, 11)), corner + along * x - ahead * 4)
        x += width
    deck = [path.locate(path.end, 42) - ahead * 0.1, path.locate(path.end, -42) - ahead * 0.1]
    corners = [deck[0], deck[1], deck[1] + ahead * 9, deck[0] + ahead * 9]
    uv = np.array([(0, 0), (84, 0), (84, 9), (0, 9)]) / _PAVING_TILE
    plan.parts.append(Part(quads([corners], uv=[uv]).moved((0, 0, -0.004)), "tex:yard", _ROAD))
    walk = [deck[0] + ahead * 9, deck[1] + ahead * 9, deck[1] + ahead * 13, deck[0] + ahead * 13]
    plan.parts.append(Part(quads([walk], uv=[uv]).moved((0, 0, KERB)), "tex:paving", _SIDEWALK))


def _traffic(rng: np.random.Generator, path: Path, plan: _Plan) -> None:
    def add(kind: str | None, s: float, d: float, speed: float) -> None:
        made = vehicle(rng, kind)
        plan.actors.append(Actor(s, d, speed, lambda distance: made))

    lane = plan.lane
    oncoming = -1.45 if plan.parking[1] else -min(plan.half_width / 2, 2.1)
    s = rng.uniform(10, 40)
    while s < path.end - 10:
        if rng.random() < plan.traffic:
            kind = "bus" if rng.random() < 0.08 and plan.half_width > 4 else None
            add(kind, s, oncoming - rng.uniform(-0.1, 0.05), -rng.uniform(6, 10))
        s += rng.uniform(9, 45)
    s = rng.uniform(11, 50)
    while s < path.end - 10:
        if rng.random() < plan.traffic:
            add("bus" if rng.random() < 0.06 else None, s + 3, lane + rng.normal(0, 0.1), rng.uniform(7, 9))
        s += rng.uniform(14, 60)


def _scripted_traffic(rng: np.random.Generator, path: Path, plan: _Plan) -> None:
    """What a drive at 8 m/s meets: oncoming cars and a bus, a bicyclist to pass, people on the zebra crossing."""
    for s, kind in ((34, "hatchback"), (62, "estate"), (84, "van"), (124, "bus"), (196, "saloon"), (215, "hatchback")):
        made = vehicle(rng, kind)
        plan.actors.append(Actor(s, -1.45, -8.0, lambda distance, made=made: made))
    _bicyclist(rng, plan, 16.0, plan.half_width - 0.8, 4.5)
    _bicyclist(rng, plan, 74.0, plan.half_width - 0.7, 4.8)
    _bicyclist(rng, plan, 58.0, -1.9, -4.2)
    for wait, side in ((3.0, 1), (3.7, 1), (5.0, -1)):
        s = _DRIVE_CROSSING + rng.uniform(-1, 1)
        _pedestrian(rng, plan, s, side * (plan.half_width + 0.5), 0.0, -side * 1.25, wait)


def _crowd(rng: np.random.Generator, path: Path, plan: _Plan) -> None:
    for side in (1, -1):
        inner, walk = plan.half_width, _walk(plan, side)
        s = rng.uniform(4, 15)
        while s < path.end - 5:
            for _ in range(int(rng.integers(1, 4))):
                d = side * rng.uniform(inner + 0.4, inner + walk - 0.3)
                _pedestrian(rng, plan, s + rng.uniform(0, 1.6), d, rng.choice([-1, 1]) * rng.uniform(1.0, 1.6))
            s += rng.exponential(13 / plan.crowd) + 1
        if rng.random() < 0.55:
            speed = rng.uniform(4, 6)
            _bicyclist(rng, plan, rng.uniform(8, 45), side * (inner - (2.5 if plan.parking[0 if side > 0 else 1] else 0.75)), side * speed)
    if plan.crossing != _DRIVE_CROSSING and (plan.crossing is not None or rng.random() < 0.25):
        s = plan.crossing if plan.crossing is not None else rng.uniform(14, 50)
        for _ in range(int(rng.integers(1, 4))):
            d = rng.uniform(-plan.half_width, plan.half_width)
            _pedestrian(rng, plan, s + rng.normal(0, 0.7), d, 0.0, rng.choice([-1.3, 1.3]))


def _pedestrian(rng: np.random.Generator, plan: _Plan, s: float, d: float, speed: float, drift: float = 0.0, wait: float = 0.0) -> None:
    look, phase, standing = Look(rng), rng.uniform(0, 6.3), drift == 0 and rng.random() < 0.2
    z = 0.0 if abs(d) < plan.half_width else KERB + 0.01

    def build(distance: float) -> list[Part]:
        return pedestrian(look, None if standing else phase + distance * 2 * np.pi / 1.5)

    plan.actors.append(Actor(s, d, speed * (1e-6 if standing else 1), build, drift, z, wait))


def _bicyclist(rng: np.random.Generator, plan: _Plan, s: float, d: float, speed: float) -> None:
    look, phase = Look(rng), rng.uniform(0, 6.3)
    plan.actors.append(Actor(s, d, speed, lambda distance: bicyclist(look, phase - distance * 1.1)))


def _images(rng: np.random.Generator, path: Path, plan: _Plan) -> dict[str, np.ndarray]:
    bricks = ((0.46, 0.27, 0.20), (0.57, 0.50, 0.38), (0.52, 0.44, 0.32), (0.38, 0.24, 0.19), (0.50, 0.33, 0.25))
    stones = ((0.55, 0.51, 0.43), (0.47, 0.46, 0.43))
    paints = ((0.76, 0.74, 0.68), (0.72, 0.68, 0.58), (0.66, 0.60, 0.52), (0.78, 0.78, 0.76), (0.55, 0.56, 0.56), (0.70, 0.62, 0.55))
    images = {}
    for index in range(_WALLS):
        kind = ("brick", "brick", "brick", "paint", "paint", "stone")[index]
        options = {"brick": bricks, "paint": paints, "stone": stones}[kind]
        color = np.asarray(options[rng.integers(len(options))]) * rng.uniform(0.85, 1.1)
        if kind == "paint":
            images[f"wall{index}"] = textures.plaster(rng, color)
        else:
            unit = (0.225, 0.075) if kind == "brick" else (0.6, 0.3)
            images[f"wall{index}"] = textures.brick(rng, color, unit=unit)
    for index, color in enumerate(((0.23, 0.24, 0.27), (0.36, 0.23, 0.18), (0.28, 0.26, 0.25))):
        images[f"roof{index}"] = textures.roof_tiles(rng, color)
    tone = rng.uniform(0.36, 0.47)
    images["road"] = markings.road(
        rng, path.end - path.start, plan.half_width, tone, markings.random_markings(rng, plan.half_width, plan.parking),
        None if plan.crossing is None else plan.crossing - path.start,
        None if plan.signals is None else plan.signals - path.start,
    )
    yard = textures.asphalt(rng, (512, 512), 512 / _PAVING_TILE, tone * rng.uniform(0.85, 1.1))
    images["yard"] = (yard * 255 + 0.5).astype(np.uint8)
    images["paving"] = textures.paving(rng, np.array([0.45, 0.44, 0.42]) * rng.uniform(0.85, 1.1))
    images["grass"] = textures.grass(rng)
    images["fascias"], images["interiors"] = textures.fascias(rng), textures.shop_interiors(rng)
    images["signs"], images["plates"] = textures.sign_faces(rng), textures.number_plates(rng)
    return images


def _light(rng: np.random.Generator, lively: bool) -> Light:
    sunny = lively or rng.random() < 0.65
    elevation, azimuth = np.radians(rng.uniform(20, 55)), rng.uniform(-np.pi, np.pi)
    if lively:
        elevation, azimuth = np.radians(34), np.radians(115)
    sun = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    cover = rng.uniform(0.25, 0.6) if sunny else rng.uniform(0.75, 1.0)
    sky = textures.sky(rng, sun, 0.52 if lively else cover, 0.3 if lively else rng.uniform(0.2, 0.8))
    return Light(sun, rng.uniform(4.5, 9.0) if sunny else rng.uniform(0.0, 0.7), sky, rng.uniform(400, 2500))
