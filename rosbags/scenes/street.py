"""What a street is: a path, what stands along it, who moves on it, and the light.

Meters, seconds, radians. Places are given along the path (``s``) and across it (``d``, positive to the left).
Traffic keeps to the left, as in CamVid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scenes.meshes import Part, place


class Path:
    """The middle line of a street: straight lines and gentle bends, from ``start`` to ``end`` along ``s``."""

    def __init__(self, start: float, end: float, bend: float, wave: float, phase: float) -> None:
        """Take ``bend``, the heading's change over 100 m, and ``wave``, the amplitude of its sway."""
        self.start, self.end = start, end
        self._s = np.arange(start, end + 0.5, 0.5)
        self._heading = bend * self._s / 100 + wave * (np.sin(self._s / 60 + phase) - np.sin(phase))
        step = np.stack([np.cos(self._heading), np.sin(self._heading)], 1) * 0.5
        points = np.concatenate([[[0, 0]], np.cumsum(step[:-1], 0)])
        self._points = points - [np.interp(0, self._s, points[:, 0]), np.interp(0, self._s, points[:, 1])]

    def heading(self, s: float | np.ndarray) -> np.ndarray:
        """Return the direction of travel at ``s``."""
        return np.interp(s, self._s, self._heading)

    def locate(self, s: float | np.ndarray, d: float | np.ndarray, z: float | np.ndarray = 0.0) -> np.ndarray:
        """Return the world position of (s, d, z), float (..., 3)."""
        s, d, z = np.broadcast_arrays(np.asarray(s, float), d, z)
        h = self.heading(s)
        x = np.interp(s, self._s, self._points[:, 0]) - d * np.sin(h)
        y = np.interp(s, self._s, self._points[:, 1]) + d * np.cos(h)
        return np.stack([x, y, z], -1)


@dataclass(frozen=True)
class Actor:
    """Somebody who moves along the street with ``speed`` and across it with ``drift`` (m/s), from (s, d).

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
        """Return the actor's parts at ``time``, in the world."""
        time = max(0.0, time - self.wait)
        s, d = self.s + self.speed * time, self.d + self.drift * time
        if not path.start < s < path.end:
            return []
        yaw = float(path.heading(s)) + float(np.arctan2(self.drift, self.speed))
        return place(
            self.build(float(np.hypot(self.speed, self.drift)) * time), path.locate(s, d, self.z), yaw
        )


@dataclass(frozen=True)
class Light:
    """``sun`` is the unit direction to it, ``irradiance`` what it gives to a surface that faces it.

    ``sky`` is an image as of ``textures.sky``, ``haze`` the distance at which contrast falls to a third.
    """

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
        """Return the moving parts at ``time`` seconds."""
        return [part for actor in self.actors for part in actor.parts(self.path, time)]
