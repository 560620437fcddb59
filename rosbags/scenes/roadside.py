"""The road itself, its sidewalks with what stands on them, the side streets, and the far end."""

from __future__ import annotations

import numpy as np

from scenes import furniture, textures
from scenes.buildings import building, garden_wall, random_style
from scenes.meshes import Mesh, Part, place, quads
from scenes.people import Look, parked_bicycle
from scenes.plan import (
    KERB,
    PAVING_TILE,
    ROOFS,
    SIDE_ROAD,
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
from squeeze_segnet_ros.classes import CAMVID, UNLABELLED

_ROAD, _SIDEWALK = (CAMVID.names.index(name) for name in ("road", "sidewalk"))


def sidewalks(path: Path, plan: Plan, side: int) -> None:
    """Put kerb and slabs of one side."""
    inner, outer = plan.half_width, plan.half_width + sidewalk_width(plan, side)
    for s0, s1 in openings(path, plan, side, 0.0):
        kerb = [(inner + 0.15, KERB), (inner, KERB - 0.01), (inner, -0.02)]
        slab = [(outer, KERB + 0.03), (inner + 0.15, KERB)]
        if side < 0:
            kerb, slab = ([(-d, z) for d, z in reversed(p)] for p in (kerb, slab))
        plan.parts.append(Part(ribbon(path, s0, s1, kerb, 1, (0.2, 0.195, 0.185)), "matte", _SIDEWALK))
        plan.parts.append(Part(ribbon(path, s0, s1, slab, PAVING_TILE), "tex:paving", _SIDEWALK))
        for s in (s0, s1):
            a, b = path.locate(s, side * inner, -0.02), path.locate(s, side * outer, -0.02)
            lip = [a, b, b + [0, 0, KERB + 0.05], a + [0, 0, KERB + 0.02]]
            plan.parts.append(Part(quads([lip], (0.2, 0.195, 0.185)), "matte", _SIDEWALK))


def kerbside(rng: np.random.Generator, path: Path, plan: Plan, side: int) -> None:
    """Put lamps, trees, signs, bollards, bins, bicycles and parked cars along one sidewalk."""
    inner, walk = plan.half_width, sidewalk_width(plan, side)
    near, back = side * (inner + 0.5), side * (inner + walk - 0.4)
    faces_us = np.pi if side > 0 else 0.0
    for s0, s1 in openings(path, plan, side, 1.5):
        for s in np.arange(s0 + rng.uniform(2, 20), s1, rng.uniform(22, 32)):
            put(path, plan, furniture.lamp_post(rng, rng.uniform(6, 9.5)), s, near, -side * np.pi / 2, KERB)
        for s in np.arange(s0 + rng.uniform(4, 14), s1, rng.uniform(7, 13)):
            if rng.random() < plan.street_trees:
                put(
                    path,
                    plan,
                    grown_tree(rng, plan, rng.uniform(4.5, 9)),
                    s,
                    side * (inner + 0.75),
                    rng.uniform(0, 6),
                    KERB,
                )
        for s in np.arange(s0 + rng.uniform(3, 12), s1, rng.uniform(9, 20)):
            face = str(rng.choice(textures.SIGN_FACES[:7]))
            turn = faces_us if rng.random() < 0.8 else np.pi - faces_us
            put(
                path,
                plan,
                furniture.sign(rng, face, rng.uniform(2.1, 2.8)),
                s,
                near if rng.random() < 0.6 else back,
                turn,
                KERB,
            )
        if rng.random() < 0.5:
            for s in np.arange(s0 + rng.uniform(0, 20), min(s1, s0 + 60), rng.uniform(1.6, 3)):
                put(path, plan, furniture.bollard(rng), s, side * (inner + 0.35), 0, KERB)
        for s in np.arange(s0 + rng.uniform(3, 30), s1, 30):
            put(path, plan, furniture.bin_(rng), s, near, 0, KERB)
        if s1 - s0 > 14 and rng.random() < 0.5:
            put_along(path, plan, side, s1 - 9, inner + 0.3, 7.5, furniture.railing(rng, 7.5), KERB)
        for s in np.arange(s0 + rng.uniform(5, 30), s1 - 4, 35):
            for step in range(int(rng.integers(0, 4))):
                put(
                    path,
                    plan,
                    parked_bicycle(Look(rng)),
                    s + 0.7 * step,
                    back,
                    side * rng.uniform(0.9, 1.3),
                    KERB,
                )
        if plan.parking[0 if side > 0 else 1]:
            s = s0 + rng.uniform(3, 9)
            while s < s1 - 4:
                clear = plan.crossing is None or abs(s - plan.crossing) > 14
                if rng.random() < 0.75 and clear and (side < 0 or s > 7):
                    d = side * (inner - 1.0 + rng.normal(0, 0.06))
                    flip = np.pi if (side < 0) != (rng.random() < 0.2) else 0.0
                    put(path, plan, vehicle(rng), s, d, flip + rng.normal(0, 0.02))
                s += rng.uniform(5.3, 7.5)
    if plan.crossing is not None:
        put(path, plan, _beacon(), plan.crossing - 1.9, side * (inner + 0.3), 0, KERB)
    if plan.signals is not None:
        lit = int(rng.integers(3))
        put(path, plan, furniture.traffic_light(rng, lit), plan.signals, side * (inner + 0.35), np.pi, KERB)


def _beacon() -> list[Part]:
    """Return the beacon of a zebra crossing: a banded post with an orange globe."""
    pole, sign = CAMVID.names.index("pole"), CAMVID.names.index("sign")
    bands = [((0.55,) * 3 if i % 2 else (0.02,) * 3, i * 0.42) for i in range(6)]
    posts = [
        Part(furniture.tube([(0, 0, z), (0, 0, z + 0.42)], 0.055, c, 8), "matte", pole) for c, z in bands
    ]
    return [*posts, Part(furniture.ellipsoid((0, 0, 2.68), 0.17, (0.9, 0.35, 0.02)), "paint", sign)]


def _cross_strip(
    frame: tuple[np.ndarray, np.ndarray, np.ndarray, int],
    a: float,
    b: float,
    start: float,
    stop: float,
    z: float,
) -> Mesh:
    """Return ground of a side street: ``a``..``b`` along the main one, ``start``..``stop`` away from it."""
    origin, ahead, out, side = frame
    plan = np.array([(a, start), (b, start), (b, stop), (a, stop)])
    corners = origin + plan[:, :1] * ahead + plan[:, 1:] * out + [0, 0, z]
    return quads([corners[::side]], uv=[plan[::side] / PAVING_TILE])


def side_streets(rng: np.random.Generator, path: Path, plan: Plan) -> None:
    """Put roads that lead away, with their sidewalks, walls, trees and a house at the end."""
    for s, side in plan.side_streets:
        edge, reach = plan.half_width, plan.half_width + 48
        h = float(path.heading(s))
        out = np.array([-np.sin(h), np.cos(h), 0]) * side
        ahead = np.array([np.cos(h), np.sin(h), 0])
        origin = path.locate(s, 0.0)

        frame = (origin, ahead, out, side)
        wide = SIDE_ROAD / 2
        plan.parts.append(
            Part(_cross_strip(frame, -wide - 0.3, wide + 0.3, edge - 0.3, reach, -0.006), "tex:yard", _ROAD)
        )
        for a, b in ((-wide - SIDE_WALK, -wide), (wide, wide + SIDE_WALK)):
            plan.parts.append(
                Part(
                    _cross_strip(frame, a, b, edge + sidewalk_width(plan, side), reach, KERB),
                    "tex:paving",
                    _SIDEWALK,
                )
            )
            start = edge + sidewalk_width(plan, side) + 9.5
            wall, flank = f"tex:wall{rng.integers(WALLS)}", -1 if a < 0 else 1
            corner = origin + ahead * (flank * (wide + SIDE_WALK)) + out * start
            mesh = (
                garden_wall(wall, 22.0, rng.uniform(1.0, 2.2))
                if rng.random() < 0.6
                else furniture.board_fence(rng, 22.0)
            )
            plan.parts += place(mesh, corner, float(np.arctan2(out[1], out[0])))
            for k in range(3):
                spot = corner + out * (4 + 7 * k) + ahead * flank * 3
                plan.parts += place(grown_tree(rng, plan, rng.uniform(5, 9)), spot)
        style = random_style(rng, "terrace", WALLS, ROOFS)
        for k in range(-2, 2):
            spot = origin + out * reach + ahead * (7.0 * (k if side < 0 else -k))
            plan.parts += place(
                building(rng, style, 7.0), spot, float(np.arctan2(out[1], out[0])) - np.pi / 2
            )
        if rng.random() < 0.5:
            x = 1.4 * rng.choice([-1, 1])
            spot = origin + ahead * x + out * (edge + rng.uniform(4, 20))
            plan.parts += place(
                vehicle(rng), spot, float(np.arctan2(out[1], out[0])) + (np.pi if x < 0 else 0)
            )


def road(path: Path, plan: Plan) -> None:
    """Put the road with its painted texture, and bare ground far around it."""
    w = plan.half_width
    strip = ribbon(path, path.start, path.end, [(w, 0), (-w, 0)], 1)
    s = (strip.uv[:, 1] - path.start) / (path.end - path.start)
    road = Mesh(
        strip.vertices,
        strip.faces,
        strip.normals,
        np.stack([1 - strip.uv[:, 0] / (2 * w), s], 1),
        strip.colors,
    )
    plan.parts.append(Part(road, "tex:road", _ROAD))
    size, x0 = 400.0, float(path.locate(path.end / 2, 0)[0])
    base = np.array(
        [
            (x0 - size, -size, -0.04),
            (x0 + size, -size, -0.04),
            (x0 + size, size, -0.04),
            (x0 - size, size, -0.04),
        ]
    )
    plan.parts.append(Part(quads([base], (0.1, 0.1, 0.09)), "matte", UNLABELLED))


def far_end(rng: np.random.Generator, path: Path, plan: Plan) -> None:
    """Put a row of houses and trees across the end of the street."""
    h = float(path.heading(path.end))
    along = np.array([np.sin(h), -np.cos(h), 0])
    ahead = np.array([np.cos(h), np.sin(h), 0])
    corner = path.locate(path.end, 42.0) + ahead * 12
    x = 0.0
    while x < 84:
        width = rng.uniform(5, 10)
        style = random_style(rng, str(rng.choice(["terrace", "shops", "offices"])), WALLS, ROOFS)
        plan.parts += place(building(rng, style, width), corner + along * x, h - np.pi / 2)
        if rng.random() < 0.4 and abs(x - 42) > 6:
            plan.parts += place(grown_tree(rng, plan, rng.uniform(6, 11)), corner + along * x - ahead * 4)
        x += width
    deck = [path.locate(path.end, 42) - ahead * 0.1, path.locate(path.end, -42) - ahead * 0.1]
    corners = [deck[0], deck[1], deck[1] + ahead * 9, deck[0] + ahead * 9]
    uv = np.array([(0, 0), (84, 0), (84, 9), (0, 9)]) / PAVING_TILE
    plan.parts.append(Part(quads([corners], uv=[uv]).moved((0, 0, -0.004)), "tex:yard", _ROAD))
    walk = [deck[0] + ahead * 9, deck[1] + ahead * 9, deck[1] + ahead * 13, deck[0] + ahead * 13]
    plan.parts.append(Part(quads([walk], uv=[uv]).moved((0, 0, KERB)), "tex:paving", _SIDEWALK))
