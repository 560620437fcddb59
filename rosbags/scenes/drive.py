"""Where the camera goes: single views of a street, and a drive through one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scenes.film import Film, Lens, Pose
from scenes.layout import random_street
from scenes.street import Street

SPEED = 8.0
"""Of the camera in a drive, in m/s."""
RATE_HZ = 10.0
_VIEW_AHEAD, _BEHIND = 120.0, 40.0

CAMERAS: dict[str, float] = {
    "front": 0.0,
    "front_left": 55.0,
    "front_right": -55.0,
    "rear": 180.0,
    "rear_left": 125.0,
    "rear_right": -125.0,
}
"""The cameras of the vehicle and their yaw, in degrees to the left."""


@dataclass(frozen=True)
class View:
    """One picture to take: of a street, at a time (s), from a pose, with a lens and a film."""

    street: Street
    time: float
    pose: Pose
    lens: Lens
    film: Film


def still(seed: int, lens: Lens | None = None) -> View:
    """Return a random view of a random street. ``lens`` gives the size; its focal length varies."""
    rng = np.random.default_rng([seed, 1])
    base = lens or Lens()
    street = random_street(seed)
    s, d = rng.uniform(0, 25), street.lane + rng.normal(0, 0.35)
    yaw, turned = rng.normal(0, np.radians(2)), rng.random()
    if turned < 0.25:
        yaw += rng.choice([-1, 1]) * np.radians(rng.uniform(5, 32))
    pose = Pose(
        street.path.locate(s, d, rng.uniform(1.2, 1.6)),
        float(street.path.heading(s + 6)) + yaw,
        np.radians(rng.normal(0.6, 0.8)),
        np.radians(rng.normal(0, 0.5)),
    )
    keep = [a for a in street.actors if not (-7 < a.s - s < 8 and abs(a.d - d) < 2.2)]
    focal = base.width * rng.uniform(0.82, 1.08)
    lens = Lens(base.width, base.height, focal)
    clear = Street(street.path, street.lane, street.parts, keep, street.images, street.light)
    return View(clear, 0.0, pose, lens, Film.random(rng))


def drive(seed: int, frames: int, lens: Lens | None = None) -> Callable[[int, float], View]:
    """Return a drive of ``frames`` pictures at 10 Hz along one lively street.

    Returns a function of the frame's number and a camera's yaw in degrees to the left.
    """
    rng = np.random.default_rng([seed, 2])
    street = random_street(seed, SPEED * frames / RATE_HZ + _VIEW_AHEAD, _BEHIND, lively=True)
    phases = rng.uniform(0, 2 * np.pi, 6)
    film = Film(
        exposure=0.36, contrast=0.32, saturation=0.92, blur=0.45, noise=0.007, vignette=0.18, veil=0.02
    )

    def view(frame: int, yaw: float = 0.0) -> View:
        time = frame / RATE_HZ
        s = SPEED * time + 0.4 * np.sin(0.5 * time + phases[0])
        # Aside to the right while the bicyclist is passed.
        aside = 0.55 * np.exp(-(((s - 34) / 16) ** 2))
        d = street.lane - aside + 0.08 * np.sin(0.7 * time + phases[1])
        slope = 0.55 * 2 * (s - 34) / 16**2 * np.exp(-(((s - 34) / 16) ** 2))
        bounce = np.sin(2 * np.pi * 1.3 * time + phases[2]) + 0.6 * np.sin(2 * np.pi * 2.1 * time + phases[3])
        pose = Pose(
            street.path.locate(s, d, 1.35 + 0.008 * bounce),
            float(street.path.heading(s + 3))
            + float(slope)
            + np.radians(yaw + 0.25 * np.sin(0.9 * time + phases[4])),
            np.radians(0.4 + 0.14 * bounce),
            np.radians(0.25 * np.sin(1.7 * time + phases[5])),
        )
        return View(street, time, pose, lens or Lens(), film)

    return view
