"""Houses and shops of an English street. The facade stands on y = 0, from x = 0, and faces -y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.meshes import Mesh, Part, box, disc, merge, quads, tube
from scenes.textures import SIGN_FACES
from squeeze_segnet_ros.classes import CAMVID

_BUILDING, _SIGN = CAMVID.names.index("building"), CAMVID.names.index("sign")
WALL_TILE = 3.6
"""Meters that one tile of a wall texture covers."""
_ROOF_TILE = 3.0
FASCIAS, INTERIORS = 8, 4
"""Pictures in the atlases of shop signs and shop windows."""
_FRAME = (0.62, 0.62, 0.6)
_STONE = (0.33, 0.31, 0.27)
Opening = tuple[float, float, float, float]


@dataclass(frozen=True)
class Style:
    """How a house is built: its texture keys, storeys, and proportions in meters."""

    wall: str
    roof: str
    floors: int
    floor_height: float = 2.9
    shop: bool = False
    pitched: bool = True
    ribbon: bool = False
    bay_windows: bool = False


def random_style(rng: np.random.Generator, kind: str, walls: int, roofs: int) -> Style:
    """Return a style of a ``kind``: shops, terrace or offices, with one of the wall and roof textures."""
    wall, roof = f"tex:wall{rng.integers(walls)}", f"tex:roof{rng.integers(roofs)}"
    if kind == "shops":
        return Style(wall, roof, int(rng.integers(2, 5)), rng.uniform(2.8, 3.3), True, rng.random() < 0.7)
    if kind == "offices":
        return Style(
            wall, roof, int(rng.integers(2, 6)), rng.uniform(3.0, 3.5), False, False, rng.random() < 0.7
        )
    return Style(wall, roof, int(rng.integers(2, 4)), rng.uniform(2.6, 2.9), bay_windows=rng.random() < 0.4)


def building(rng: np.random.Generator, style: Style, width: float, depth: float = 9.0) -> list[Part]:
    """Return a house of ``width`` along x, ``depth`` along y."""
    ground = style.floor_height + (0.4 if style.shop else 0.1)
    height = ground + (style.floors - 1) * style.floor_height + 0.3
    walls: list[Mesh] = []
    trims: list[Mesh] = []
    glass: list[Mesh] = []
    parts: list[Part] = []
    openings: list[Opening] = []
    bays = max(1, round(width / rng.uniform(2.0, 3.1)))
    pitch = width / bays
    pane_width, pane_height = (
        min(pitch * 0.55, rng.uniform(0.9, 1.25)),
        style.floor_height * rng.uniform(0.48, 0.6),
    )
    for floor in range(1 if style.shop else 0, style.floors):
        z = (ground + (floor - 1) * style.floor_height if floor else 0.0) + 0.85
        tall = pane_height * (0.85 if floor == style.floors - 1 and floor > 1 else 1.0)
        if style.ribbon:
            openings += [(x + 0.12, x + pitch - 0.12, z, z + 1.7) for x in np.arange(bays) * pitch]
        else:
            centers = (np.arange(bays) + 0.5) * pitch
            openings += [(x - pane_width / 2, x + pane_width / 2, z, z + tall) for x in centers]
    door = None
    if not style.shop:
        slot = int(rng.integers(bays))
        openings = [o for o in openings if o[2] > 1.5 or int((o[0] + o[1]) / 2 / pitch) != slot]
        door = ((slot + 0.5) * pitch - 0.5, (slot + 0.5) * pitch + 0.5, 0.12, 2.2)
    front = [*openings, *([door] if door else [])]
    if style.shop:
        front.append((0.25, width - 0.25, 0.0, ground - 0.45))
    walls.append(_wall(width, height, front))
    recess = 0.2 if style.ribbon else 0.13
    curtain = rng.choice([0.0, 0.25, 0.5])
    for opening in openings:
        _window(rng, opening, recess, curtain, style.ribbon, walls, trims, glass)
    if door:
        _door(rng, door, walls, trims, glass)
    if style.bay_windows and door:
        _bay_window(rng, openings, ground, trims, glass, walls)
    if style.shop:
        parts += _shop_front(rng, width, ground, trims, glass)
    walls += _plain_walls(width, depth, height)
    if rng.random() < 0.6:
        for z in ground + np.arange(style.floors - 1) * style.floor_height:
            trims.append(box((0, -0.05, z + 0.1), (width, 0.0, z + 0.22), _STONE))
    if rng.random() < 0.7:
        x = rng.choice([0.12, width - 0.12])
        trims.append(tube([(x, -0.08, 0.1), (x, -0.08, height - 0.1)], 0.045, (0.02, 0.02, 0.02), 6))
    parts += _roof(rng, style, width, depth, height, walls, trims)
    parts += [
        Part(merge(walls), style.wall, _BUILDING),
        Part(merge(trims), "matte", _BUILDING),
        Part(merge(glass), "glass", _BUILDING),
    ]
    return parts


def garden_wall(wall: str, length: float, height: float = 0.9) -> list[Part]:
    """Return a low wall along +x, which CamVid counts as building."""
    cap = box((0, -0.16, height), (length, 0.16, height + 0.07), _STONE)
    return [
        Part(box((0, -0.12, 0), (length, 0.12, height), tile=WALL_TILE), wall, _BUILDING),
        Part(cap, "matte", _BUILDING),
    ]


def _wall(width: float, height: float, openings: list[Opening]) -> Mesh:
    """Return the facade without its openings: cells of the grid that their edges span."""
    xs = np.unique(np.round([0, width, *(v for o in openings for v in o[:2])], 4))
    zs = np.unique(np.round([0, height, *(v for o in openings for v in o[2:])], 4))
    cells = []
    for x0, x1 in zip(xs[:-1], xs[1:], strict=True):
        for z0, z1 in zip(zs[:-1], zs[1:], strict=True):
            x, z = (x0 + x1) / 2, (z0 + z1) / 2
            if not any(o[0] < x < o[1] and o[2] < z < o[3] for o in openings):
                cells.append([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)])
    corners = np.array(cells)
    return quads(corners, uv=corners[..., [0, 2]] / WALL_TILE)


def _reveal(opening: Opening, depth: float) -> Mesh:
    x0, x1, z0, z1 = opening
    a, b = (
        np.array([(x0, z0), (x1, z0), (x1, z1), (x0, z1)]),
        np.array([(x1, z0), (x1, z1), (x0, z1), (x0, z0)]),
    )
    corners = np.array(
        [
            [(p[0], 0, p[1]), (p[0], depth, p[1]), (q[0], depth, q[1]), (q[0], 0, q[1])]
            for p, q in zip(a, b, strict=True)
        ]
    )
    return quads(corners, uv=corners[..., [1, 2]] / WALL_TILE)


def _pane(opening: Opening, y: float, color: tuple[float, float, float] | np.ndarray) -> Mesh:
    x0, x1, z0, z1 = opening
    return quads([[(x0, y, z0), (x1, y, z0), (x1, y, z1), (x0, y, z1)]], color)


def _window(
    rng: np.random.Generator,
    opening: Opening,
    recess: float,
    curtain: float,
    ribbon: bool,
    walls: list[Mesh],
    trims: list[Mesh],
    glass: list[Mesh],
) -> None:
    x0, x1, z0, z1 = opening
    walls.append(_reveal(opening, recess))
    tone = np.array([0.02, 0.022, 0.025]) * rng.uniform(0.5, 2)
    if rng.random() < curtain:
        tone = np.array([0.2, 0.19, 0.17]) * rng.uniform(0.4, 1.2)
    glass.append(_pane(opening, recess, tone))
    color = (0.05, 0.05, 0.055) if ribbon else _FRAME
    w, y0, y1 = 0.055, recess - 0.05, recess + 0.01
    trims += [box((x0, y0, z0), (x0 + w, y1, z1), color), box((x1 - w, y0, z0), (x1, y1, z1), color)]
    trims += [box((x0, y0, z), (x1, y1, z + w), color) for z in (z0, z1 - w)]
    x, z = (x0 + x1) / 2, (z0 + z1) / 2
    trims.append(box((x - 0.02, y0, z0), (x + 0.02, y1, z1), color))
    if not ribbon:
        trims.append(box((x0, y0 - 0.01, z - 0.03), (x1, y1, z + 0.03), color))
        trims.append(box((x0 - 0.08, -0.07, z0 - 0.1), (x1 + 0.08, 0.05, z0), _STONE))
        trims.append(box((x0 - 0.08, -0.02, z1), (x1 + 0.08, 0.05, z1 + 0.16), _STONE))


def _door(
    rng: np.random.Generator, door: Opening, walls: list[Mesh], trims: list[Mesh], glass: list[Mesh]
) -> None:
    x0, x1, z0, z1 = door
    walls.append(_reveal(door, 0.16))
    paint = np.array(
        [(0.03, 0.05, 0.12), (0.18, 0.02, 0.02), (0.02, 0.09, 0.05), (0.02, 0.02, 0.02), (0.5, 0.5, 0.47)]
    )
    trims.append(box((x0 + 0.06, 0.1, z0), (x1 - 0.06, 0.17, z1 - 0.4), paint[rng.integers(len(paint))]))
    glass.append(_pane((x0 + 0.06, x1 - 0.06, z1 - 0.35, z1 - 0.05), 0.12, (0.03, 0.03, 0.03)))
    trims += [
        box((x0, 0.05, z0), (x0 + 0.07, 0.16, z1), _FRAME),
        box((x1 - 0.07, 0.05, z0), (x1, 0.16, z1), _FRAME),
    ]
    trims += [
        box((x0, 0.05, z1 - 0.42), (x1, 0.16, z1 - 0.35), _FRAME),
        box((x0, 0.05, z1 - 0.06), (x1, 0.16, z1), _FRAME),
    ]
    trims.append(box((x0 - 0.2, -0.3, 0), (x1 + 0.2, 0.16, 0.12), _STONE))


def _bay_window(
    rng: np.random.Generator,
    openings: list[Opening],
    ground: float,
    trims: list[Mesh],
    glass: list[Mesh],
    walls: list[Mesh],
) -> None:
    low = [o for o in openings if o[2] < 1.5]
    if not low:
        return
    x0, x1, z0, z1 = low[int(rng.integers(len(low)))]
    x0, x1 = x0 - 0.35, x1 + 0.35
    plan = np.array([(x0, 0.0), (x0 + 0.35, -0.6), (x1 - 0.35, -0.6), (x1, 0.0)])
    for p, q in zip(plan[:-1], plan[1:], strict=True):
        for bottom, top, target in ((0.0, z0, walls), (z1, ground + 0.1, walls), (z0, z1, glass)):
            corners = np.array([[(*p, bottom), (*q, bottom), (*q, top), (*p, top)]])
            color = (0.02, 0.022, 0.025) if target is glass else (1.0, 1.0, 1.0)
            target.append(quads(corners, color, corners[..., [0, 2]] / WALL_TILE))
        trims += [tube([(*p, z0), (*p, z1)], 0.05, _FRAME, 6), tube([(*q, z0), (*q, z1)], 0.05, _FRAME, 6)]
        trims += [tube([(*p, z), (*q, z)], 0.05, _FRAME, 6) for z in (z0, z1)]
    lid = [[(*p, ground + 0.1) for p in plan]]
    trims.append(quads(lid, (0.06, 0.06, 0.07)))


def _shop_front(
    rng: np.random.Generator, width: float, ground: float, trims: list[Mesh], glass: list[Mesh]
) -> list[Part]:
    x0, x1, top = 0.25, width - 0.25, ground - 0.45
    paint = np.array(
        [(0.02, 0.05, 0.03), (0.04, 0.01, 0.01), (0.015, 0.02, 0.05), (0.4, 0.39, 0.36), (0.02, 0.02, 0.02)]
    )
    color = paint[rng.integers(len(paint))]
    row = int(rng.integers(FASCIAS))
    v0, v1 = row / FASCIAS, (row + 1) / FASCIAS
    board = [
        (0.1, -0.12, top),
        (width - 0.1, -0.12, top),
        (width - 0.1, -0.06, top + 0.62),
        (0.1, -0.06, top + 0.62),
    ]
    fascia = quads([board], uv=[[(0, v1), (1, v1), (1, v0), (0, v0)]])
    trims += [box((0.05, -0.14, top - 0.05), (width - 0.05, 0.2, top), color)]
    trims += [box((0.05, -0.2, top + 0.62), (width - 0.05, 0.05, top + 0.7), color)]
    trims += [box((x, -0.1, 0), (x + 0.22, 0.25, top + 0.62), color) for x in (0.05, width - 0.27)]
    entry = rng.uniform(x0 + 0.3, max(x0 + 0.35, x1 - 1.4))
    trims.append(box((x0, 0.12, 0), (x1, 0.3, 0.12), _STONE))
    windows = [(x0, entry), (entry, entry + 1.0), (entry + 1.0, x1)]
    goods = []
    for index, (a, b) in enumerate(windows):
        if b - a < 0.3:
            continue
        sill = 0.12 if index == 1 else 0.55
        trims.append(box((a, 0.12, 0.12), (b, 0.2, sill), color))
        u = rng.integers(INTERIORS) / INTERIORS
        uv = [[(u, 1), (u + 1 / INTERIORS, 1), (u + 1 / INTERIORS, 0), (u, 0)]]
        goods.append(quads([[(a, 0.16, sill), (b, 0.16, sill), (b, 0.16, top), (a, 0.16, top)]], uv=uv))
        bars = np.linspace(a, b, max(2, round((b - a) / 1.6) + 1))
        trims += [box((x - 0.03, 0.1, sill), (x + 0.03, 0.17, top), color) for x in bars]
    parts = [Part(merge(goods), "tex:interiors", _BUILDING), Part(fascia, "tex:fascias", _BUILDING)]
    if rng.random() < 0.3:
        tone, z = rng.uniform(0.03, 0.5, 3), top - 0.05
        stripes = np.linspace(x0, x1, 2 * round((x1 - x0) / 0.5) + 1)
        corners = [
            [(a, -1.1, z - 0.55), (b, -1.1, z - 0.55), (b, -0.05, z), (a, -0.05, z)]
            for a, b in zip(stripes, stripes[1:], strict=False)
        ]
        colors = np.array([tone if index % 2 else np.full(3, 0.6) for index in range(len(corners))])
        trims.append(quads(np.array(corners), colors))
    if rng.random() < 0.45:
        x, z = rng.uniform(0.4, width - 0.4), top + rng.uniform(0.9, 1.4)
        index = SIGN_FACES.index("advert" if rng.random() < 0.6 else "banner")
        left, right = (index + 0.01) / len(SIGN_FACES), (index + 0.99) / len(SIGN_FACES)
        tall = rng.uniform(0.35, 0.8)
        both = []
        for sign, first, last in ((1, left, right), (-1, right, left)):
            plate = [(x + 0.03 * sign, -0.95, z - tall), (x + 0.03 * sign, -0.2, z - tall)]
            plate += [(x + 0.03 * sign, -0.2, z + tall), (x + 0.03 * sign, -0.95, z + tall)]
            both.append(quads([plate[::sign]], uv=[[(first, 1), (last, 1), (last, 0), (first, 0)][::sign]]))
        parts.append(Part(merge(both), "tex:signs", _SIGN))
        trims.append(box((x - 0.02, -1.0, z + tall), (x + 0.02, 0, z + tall + 0.04), (0.02, 0.02, 0.02)))
    return parts


def _plain_walls(width: float, depth: float, height: float) -> list[Mesh]:
    sides = np.array(
        [
            [(0, depth, 0), (0, 0, 0), (0, 0, height), (0, depth, height)],
            [(width, 0, 0), (width, depth, 0), (width, depth, height), (width, 0, height)],
            [(width, depth, 0), (0, depth, 0), (0, depth, height), (width, depth, height)],
        ],
        float,
    )
    along = np.stack([sides[:2][..., [1, 2]], sides[1:][..., [1, 2]]])[:, :1].reshape(-1, 4, 2)
    uv = np.concatenate([along, sides[2:][..., [0, 2]]]) / WALL_TILE
    return [quads(sides, uv=uv)]


def _roof(
    rng: np.random.Generator,
    style: Style,
    width: float,
    depth: float,
    height: float,
    walls: list[Mesh],
    trims: list[Mesh],
) -> list[Part]:
    if not style.pitched:
        rim = rng.uniform(0.3, 0.9)
        walls += [box((0, 0, height), (width, 0.25, height + rim), tile=WALL_TILE)]
        trims.append(box((-0.05, -0.08, height + rim), (width + 0.05, 0.3, height + rim + 0.1), _STONE))
        trims.append(
            quads(
                [[(0, 0, height), (width, 0, height), (width, depth, height), (0, depth, height)]], (0.1,) * 3
            )
        )
        if rng.random() < 0.5:
            x = rng.uniform(1, max(1.1, width - 3))
            trims.append(box((x, 3, height), (x + rng.uniform(1.5, 3), 6, height + 2.2), (0.2, 0.2, 0.2)))
        return []
    rise, eave = depth * rng.uniform(0.27, 0.42), 0.3
    ridge, middle = height + rise, depth / 2
    low = height - eave * rise / middle
    slopes = np.array(
        [
            [(0, -eave, low), (width, -eave, low), (width, middle, ridge), (0, middle, ridge)],
            [(width, depth + eave, low), (0, depth + eave, low), (0, middle, ridge), (width, middle, ridge)],
        ]
    )
    uv = slopes[..., [0, 1]] * [1, -1.2] / _ROOF_TILE
    gables = np.array(
        [
            [(0, depth, height), (0, 0, height), (0, middle, ridge), (0, middle, ridge)],
            [(width, 0, height), (width, depth, height), (width, middle, ridge), (width, middle, ridge)],
        ]
    )
    walls.append(quads(gables, uv=gables[..., [1, 2]] / WALL_TILE))
    trims.append(box((0, -eave - 0.08, low - 0.06), (width, -eave + 0.04, low + 0.05), (0.03, 0.03, 0.03)))
    trims.append(tube([(0, middle, ridge + 0.02), (width, middle, ridge + 0.02)], 0.1, (0.1, 0.06, 0.05), 6))
    if rng.random() < 0.75:
        x = rng.choice([0.1, width - 1.1])
        top = ridge + rng.uniform(0.7, 1.3)
        walls.append(box((x, middle - 0.4, ridge - 1.2), (x + 1.0, middle + 0.4, top), tile=WALL_TILE))
        for dx in (0.2, 0.5, 0.8):
            trims.append(
                tube([(x + dx, middle, top), (x + dx, middle, top + 0.35)], 0.11, (0.3, 0.12, 0.07), 8)
            )
    if rng.random() < 0.2 and width > 4:
        x, y = width / 2, 1.2
        z = height + y / middle * rise
        walls.append(box((x - 0.7, y, z - 0.3), (x + 0.7, y + 2.2, z + 1.25), tile=WALL_TILE))
        trims.append(box((x - 0.8, y - 0.1, z + 1.2), (x + 0.8, y + 2.2, z + 1.32), (0.08, 0.08, 0.09)))
        trims.append(box((x - 0.5, y - 0.02, z + 0.15), (x + 0.5, y, z + 1.1), _FRAME))
        trims.append(box((x - 0.42, y - 0.03, z + 0.2), (x + 0.42, y - 0.01, z + 1.05), (0.03, 0.03, 0.03)))
    if rng.random() < 0.4:
        trims.append(disc((width * 0.8, -0.2, height - 0.5), 0.3, (0.4,) * 3, -np.pi / 2))
    return [Part(quads(slopes, uv=uv), style.roof, _BUILDING)]
