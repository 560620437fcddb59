"""Who moves: cars, bicyclists, pedestrians."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scenes.meshes import Part
from scenes.people import Look, bicyclist, pedestrian
from scenes.plan import (
    DRIVE_CROSSING,
    KERB,
    Plan,
    sidewalk_width,
)
from scenes.street import Actor, Path
from scenes.vehicles import vehicle


def _rigid(parts: list[Part]) -> Callable[[float], list[Part]]:
    return lambda distance: parts


def traffic(rng: np.random.Generator, path: Path, plan: Plan) -> None:
    """Put random vehicles in both lanes."""

    def add(kind: str | None, s: float, d: float, speed: float) -> None:
        plan.actors.append(Actor(s, d, speed, _rigid(vehicle(rng, kind))))

    lane = plan.lane
    oncoming = -1.45 if plan.parking[1] else -min(plan.half_width / 2, 2.1)
    s = rng.uniform(10, 40)
    while s < path.end - 10:
        if rng.random() < plan.traffic:
            kind = "bus" if rng.random() < 0.08 and plan.half_width > 4 else None
            add(kind, s, oncoming - rng.uniform(-0.1, 0.05), -rng.uniform(6, 10))
        s += rng.uniform(9, 45)
    s = float(rng.uniform(11, 50))
    while s < path.end - 10:
        if rng.random() < plan.traffic:
            add("bus" if rng.random() < 0.06 else None, s + 3, lane + rng.normal(0, 0.1), rng.uniform(7, 9))
        s += rng.uniform(14, 60)


def scripted_traffic(rng: np.random.Generator, path: Path, plan: Plan) -> None:
    """Put what a drive at 8 m/s meets: oncoming traffic, a bicyclist to pass, people on the crossing."""
    for s, kind in (
        (34, "hatchback"),
        (62, "estate"),
        (84, "van"),
        (124, "bus"),
        (196, "saloon"),
        (215, "hatchback"),
    ):
        plan.actors.append(Actor(s, -1.45, -8.0, _rigid(vehicle(rng, kind))))
    _bicyclist(rng, plan, 16.0, plan.half_width - 0.8, 4.5)
    _bicyclist(rng, plan, 74.0, plan.half_width - 0.7, 4.8)
    _bicyclist(rng, plan, 58.0, -1.9, -4.2)
    for wait, side in ((3.0, 1), (3.7, 1), (5.0, -1)):
        at = DRIVE_CROSSING + rng.uniform(-1, 1)
        _pedestrian(rng, plan, at, side * (plan.half_width + 0.5), 0.0, -side * 1.25, wait)


def crowd(rng: np.random.Generator, path: Path, plan: Plan) -> None:
    """Put random pedestrians and bicyclists."""
    for side in (1, -1):
        inner, walk = plan.half_width, sidewalk_width(plan, side)
        s = rng.uniform(4, 15)
        while s < path.end - 5:
            for _ in range(int(rng.integers(1, 4))):
                d = side * rng.uniform(inner + 0.4, inner + walk - 0.3)
                _pedestrian(
                    rng, plan, s + rng.uniform(0, 1.6), d, rng.choice([-1, 1]) * rng.uniform(1.0, 1.6)
                )
            s += rng.exponential(13 / plan.crowd) + 1
        if rng.random() < 0.55:
            speed = rng.uniform(4, 6)
            _bicyclist(
                rng,
                plan,
                rng.uniform(8, 45),
                side * (inner - (2.5 if plan.parking[0 if side > 0 else 1] else 0.75)),
                side * speed,
            )
    if plan.crossing != DRIVE_CROSSING and (plan.crossing is not None or rng.random() < 0.25):
        s = plan.crossing if plan.crossing is not None else rng.uniform(14, 50)
        for _ in range(int(rng.integers(1, 4))):
            d = rng.uniform(-plan.half_width, plan.half_width)
            _pedestrian(rng, plan, s + rng.normal(0, 0.7), d, 0.0, rng.choice([-1.3, 1.3]))


def _pedestrian(
    rng: np.random.Generator,
    plan: Plan,
    s: float,
    d: float,
    speed: float,
    drift: float = 0.0,
    wait: float = 0.0,
) -> None:
    look, phase, standing = Look(rng), rng.uniform(0, 6.3), drift == 0 and rng.random() < 0.2
    z = 0.0 if abs(d) < plan.half_width else KERB + 0.01

    def build(distance: float) -> list[Part]:
        return pedestrian(look, None if standing else phase + distance * 2 * np.pi / 1.5)

    plan.actors.append(Actor(s, d, speed * (1e-6 if standing else 1), build, drift, z, wait))


def _bicyclist(rng: np.random.Generator, plan: Plan, s: float, d: float, speed: float) -> None:
    look, phase = Look(rng), rng.uniform(0, 6.3)
    plan.actors.append(Actor(s, d, speed, lambda distance: bicyclist(look, phase - distance * 1.1)))
