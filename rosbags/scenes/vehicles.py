"""Cars, vans and buses: lofted bodies with glass, wheels, lights. They face +x, origin below the middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.meshes import Mesh, Part, box, disc, ellipsoid, merge, quads, surface, tube
from squeeze_segnet_ros.classes import CAMVID

_CAR = CAMVID.names.index("car")
_RUBBER, _TRIM, _GLASS = (0.012,) * 3, (0.02, 0.02, 0.022), (0.012, 0.014, 0.016)


@dataclass(frozen=True)
class Body:
    """A kind of vehicle in meters; places along it, as in ``top`` (place, height), are 0 rear .. 1 front."""

    length: float
    width: float
    top: tuple[tuple[float, float], ...]
    belt: float
    side_glass: tuple[float, float]
    pillars: tuple[float, ...]
    windscreen: tuple[float, float]
    rear_window: tuple[float, float]
    wheels: tuple[float, float]
    wheel_radius: float = 0.3
    tumble: float = 0.3
    clearance: float = 0.2


_HATCH_TOP = (
    (0, 0.62),
    (0.012, 0.86),
    (0.05, 0.98),
    (0.14, 1.36),
    (0.2, 1.42),
    (0.4, 1.46),
    (0.56, 1.42),
    (0.76, 0.97),
)
_NOSE = ((0.93, 0.83), (0.975, 0.74), (1, 0.55))
_SALOON_TOP = (
    (0, 0.62),
    (0.015, 0.9),
    (0.06, 0.98),
    (0.15, 1.0),
    (0.3, 1.38),
    (0.45, 1.43),
    (0.56, 1.39),
    (0.73, 0.96),
)
_ESTATE_TOP = (
    (0, 0.62),
    (0.012, 0.9),
    (0.03, 1.0),
    (0.09, 1.38),
    (0.14, 1.44),
    (0.4, 1.47),
    (0.58, 1.42),
    (0.75, 0.97),
)
_OFF_ROAD_TOP = (
    (0, 0.7),
    (0.012, 1.0),
    (0.03, 1.1),
    (0.06, 1.62),
    (0.12, 1.7),
    (0.4, 1.74),
    (0.58, 1.68),
    (0.72, 1.12),
)
_VAN_TOP = ((0, 0.8), (0.008, 1.9), (0.03, 2.05), (0.4, 2.1), (0.7, 2.06), (0.76, 1.98), (0.88, 1.2))

BODIES = {
    "hatchback": Body(
        3.8,
        1.66,
        _HATCH_TOP + _NOSE,
        0.92,
        (0.12, 0.7),
        (0.3, 0.48),
        (0.575, 0.75),
        (0.05, 0.135),
        (0.17, 0.82),
    ),
    "saloon": Body(
        4.5, 1.74, _SALOON_TOP + _NOSE, 0.92, (0.2, 0.69), (0.45,), (0.575, 0.725), (0.16, 0.29), (0.2, 0.81)
    ),
    "estate": Body(
        4.5,
        1.74,
        _ESTATE_TOP + _NOSE,
        0.93,
        (0.07, 0.7),
        (0.26, 0.48),
        (0.59, 0.74),
        (0.03, 0.085),
        (0.2, 0.81),
    ),
    "off_road": Body(
        4.4,
        1.82,
        (*_OFF_ROAD_TOP, (0.95, 1.02), (0.98, 0.9), (1, 0.7)),
        1.08,
        (0.06, 0.68),
        (0.27, 0.47),
        (0.59, 0.715),
        (0.03, 0.058),
        (0.2, 0.8),
        0.36,
        0.2,
        0.28,
    ),
    "van": Body(
        4.9,
        1.9,
        (*_VAN_TOP, (0.96, 1.05), (0.985, 0.9), (1, 0.6)),
        1.15,
        (0.67, 0.83),
        (),
        (0.77, 0.875),
        (0.009, 0.01),
        (0.18, 0.82),
        0.33,
        0.13,
        0.25,
    ),
    "bus": Body(
        10.5,
        2.5,
        ((0, 2.6), (0.004, 2.9), (0.02, 3.0), (0.97, 3.0), (0.99, 2.85), (0.998, 1.2), (1, 0.9)),
        1.25,
        (0.05, 0.985),
        tuple(np.linspace(0.15, 0.9, 8)),
        (0.9905, 0.999),
        (0.001, 0.002),
        (0.24, 0.78),
        0.46,
        0.03,
        0.28,
    ),
}

_PAINTS = np.array(
    [
        (0.42, 0.43, 0.45),  # silver, the most frequent color of its years
        (0.42, 0.43, 0.45),
        (0.16, 0.17, 0.18),
        (0.02, 0.02, 0.022),
        (0.02, 0.03, 0.09),
        (0.03, 0.06, 0.22),
        (0.30, 0.02, 0.02),
        (0.14, 0.012, 0.016),
        (0.65, 0.65, 0.63),
        (0.02, 0.08, 0.05),
        (0.28, 0.25, 0.17),
        (0.08, 0.16, 0.22),
    ]
)


def vehicle(rng: np.random.Generator, kind: str | None = None) -> list[Part]:
    """Return a random vehicle, or one of a ``kind`` of ``BODIES``."""
    kind = kind or str(
        rng.choice(["hatchback", "saloon", "estate", "off_road", "van"], p=[0.4, 0.22, 0.18, 0.1, 0.1])
    )
    body = BODIES[kind]
    paint = _PAINTS[rng.integers(len(_PAINTS))] * rng.uniform(0.85, 1.1)
    if kind == "van" and rng.random() < 0.7:
        paint = np.array([0.68, 0.68, 0.66])
    if kind == "bus":
        paint = np.array([[0.35, 0.03, 0.03], [0.6, 0.62, 0.6], [0.05, 0.1, 0.3], [0.4, 0.32, 0.1]])[
            rng.integers(4)
        ]
    shell, glass = _loft(body, paint)
    half, width = body.length / 2, body.width / 2
    trim, lamps, bright = [], [], []
    axle = body.wheel_radius
    for fraction in body.wheels:
        x = (fraction - 0.5) * body.length
        for side in (-1, 1):
            rim = side * (width + 0.012)
            trim.append(
                disc((x, side * (width + 0.004), axle + 0.03), axle + 0.075, _RUBBER, side * np.pi / 2, 20)
            )
            trim.append(tube([(x, rim - side * 0.2, axle), (x, rim, axle)], axle, _RUBBER, 20))
            trim.append(disc((x, rim, axle), axle, _RUBBER, side * np.pi / 2, 20))
            bright.append(
                disc((x, rim + side * 0.012, axle), axle * 0.66, (0.3, 0.3, 0.31), side * np.pi / 2, 14)
            )
            trim.append(disc((x, rim + side * 0.02, axle), axle * 0.2, (0.05,) * 3, side * np.pi / 2, 10))
    top = dict(body.top)
    light = np.interp(0.95, list(top), list(top.values())) * (0.8 if kind not in ("bus",) else 0.35)
    tail = body.belt * (0.84 if kind != "van" else 0.95)
    for side in (-1, 1):
        lamps.append(
            ellipsoid((half - 0.13, side * width * 0.74, light), (0.12, 0.19, 0.085), (0.6, 0.62, 0.64))
        )
        bright.append(
            ellipsoid((half - 0.1, side * width * 0.93, light), (0.1, 0.06, 0.06), (0.5, 0.2, 0.03))
        )
        lamps.append(
            ellipsoid((-half + 0.07, side * width * 0.84, tail), (0.06, 0.1, 0.13), (0.32, 0.01, 0.012))
        )
        mirror = (0.27 * body.length / 2, side * (width + 0.07), body.belt + 0.06)
        bright.append(ellipsoid(mirror, (0.07, 0.1, 0.075), paint if rng.random() < 0.5 else _TRIM))
        sill = (side * (width + 0.008), side * (width - 0.02))
        trim.append(box((-half * 0.5, min(sill), 0.46), (half * 0.5, max(sill), 0.52), _TRIM))
    trim.append(box((half - 0.1, -width * 0.5, 0.48), (half + 0.012, width * 0.5, 0.62), _TRIM))
    bumper = _TRIM if rng.random() < 0.5 else paint * 0.8
    for end in (-1, 1):
        y = np.linspace(-1, 1, 9)
        bend = end * (half + 0.03 - 0.16 * y**4)
        bright.append(tube(np.stack([bend, y * width * 0.93, 0 * y + 0.42], 1), 0.1, bumper, 8))
    plate_uv = np.array([[0.5, 1], [0, 1], [0, 0], [0.5, 0]])
    plates = []
    for end, offset in ((1, 0.0), (-1, 0.5)):
        x = end * (half + 0.135)
        corners = [
            (x, -end * -0.26, 0.39),
            (x, -end * 0.26, 0.39),
            (x, -end * 0.26, 0.5),
            (x, -end * -0.26, 0.5),
        ]
        plates.append(
            quads(
                [corners[::-1] if end < 0 else corners],
                uv=[(plate_uv + [offset, 0])[:: 1 if end > 0 else -1]],
            )
        )
    return [
        Part(merge([shell, *bright]), "paint", _CAR),
        Part(glass, "glass", _CAR),
        Part(merge(lamps), "paint", _CAR),
        Part(merge(trim), "matte", _CAR),
        Part(merge(plates), "tex:plates", _CAR),
    ]


def _loft(body: Body, paint: np.ndarray) -> tuple[Mesh, Mesh]:
    """Return shell and windows: cross sections along the length, their faces sorted into paint and glass."""
    edges = [*body.side_glass, *body.windscreen, *body.rear_window]
    edges += [p + d for p in body.pillars for d in (-0.012, 0.012)]
    stations = np.unique(
        np.round(np.concatenate([np.linspace(0, 1, 45), edges, [f for f, _ in body.top]]), 4)
    )
    top = np.interp(stations, [at for at, _ in body.top], [height for _, height in body.top])
    belt = np.minimum(body.belt + 0.04 * (0.5 - stations), top - 0.02)
    ends = np.abs(2 * stations - 1)
    half = body.width / 2 * (1 - (0.16 if body.length < 6 else 0.04) * ends**8)
    low = body.clearance + 0.12 * ends**10
    roof = np.maximum(0.95 * half - body.tumble * (top - belt), 0.3 * half)
    edge = belt + 0.9 * (top - belt)
    ring = [
        (0 * half, low),
        (0.9 * half, low),
        (0.98 * half, low + 0.1),
        (half, low + 0.55 * (belt - low)),
        (0.99 * half, belt - 0.05),
        (0.965 * half, belt),
        (roof, edge),
        (roof - 0.07, top - 0.02),
        (0.5 * roof, top),
        (0 * half, top + 0.012),
    ]
    side = np.stack([np.stack(point, -1) for point in ring], 1)
    y = np.concatenate([side[..., 0], -side[:, -2::-1, 0]], 1)
    z = np.concatenate([side[..., 1], side[:, -2::-1, 1]], 1)
    x = np.broadcast_to(((stations - 0.5) * body.length)[:, None], y.shape)
    points = np.stack([x, y, z], -1)
    middle = points.mean(1, keepdims=True) * [1, 0, 1]
    points = np.concatenate(
        [
            np.broadcast_to(middle[:1], points[:1].shape),
            points,
            np.broadcast_to(middle[-1:], points[:1].shape),
        ]
    )
    whole = surface(points, paint)
    rows, columns = len(points) - 1, points.shape[1] - 1
    fraction = np.concatenate([[-1], (stations[:-1] + stations[1:]) / 2, [2]])
    tall = np.concatenate([[0], ((top - belt)[:-1] + (top - belt)[1:]) / 2, [0]])
    segment = np.arange(columns)
    band = (segment == 5) | (segment == columns - 6)
    strip = (segment >= 7) & (segment <= columns - 8)
    pillar = np.zeros(rows, bool)
    for p in body.pillars:
        pillar |= np.abs(fraction - p) < 0.012
    door = (fraction > body.side_glass[0]) & (fraction < body.side_glass[1]) & (tall > 0.14) & ~pillar
    screen = np.zeros(rows, bool)
    for start, end in (body.windscreen, body.rear_window):
        screen |= (fraction > start) & (fraction < end)
    is_glass = (door[:, None] & band[None]) | (screen[:, None] & strip[None])
    chosen = np.tile(is_glass.ravel(), 2)
    shell = Mesh(whole.vertices, whole.faces[~chosen], whole.normals, whole.uv, whole.colors)
    glass = Mesh(
        whole.vertices,
        whole.faces[chosen],
        whole.normals,
        whole.uv,
        np.broadcast_to(_GLASS, whole.colors.shape),
    )
    return shell, glass
