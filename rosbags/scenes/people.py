"""Pedestrians and bicyclists, made of limbs. They face +x, origin on the ground below the hips."""

from __future__ import annotations

import numpy as np

from scenes.meshes import Mesh, Part, box, capsule, disc, ellipsoid, merge, surface, tube
from squeeze_segnet_ros.classes import CAMVID

_PEDESTRIAN, _BICYCLIST = CAMVID.names.index("pedestrian"), CAMVID.names.index("bicyclist")
_SKINS = ((0.55, 0.36, 0.27), (0.48, 0.3, 0.21), (0.2, 0.11, 0.07))
_CLOTHES = (
    (0.015, 0.015, 0.018),
    (0.02, 0.025, 0.06),
    (0.05, 0.05, 0.05),
    (0.12, 0.11, 0.1),
    (0.2, 0.02, 0.025),
    (0.05, 0.08, 0.16),
    (0.3, 0.28, 0.24),
    (0.06, 0.1, 0.05),
    (0.45, 0.45, 0.43),
    (0.12, 0.08, 0.05),
)


class Look:
    """What a person wears and how tall they are, drawn once, so that a moving person keeps it."""

    def __init__(self, rng: np.random.Generator) -> None:
        def pick(options: tuple[tuple[float, float, float], ...]) -> np.ndarray:
            return np.asarray(options[rng.integers(len(options))]) * rng.uniform(0.8, 1.15)

        self.height = float(np.clip(rng.normal(1.72, 0.09), 1.5, 1.95))
        self.skin, self.coat, self.trousers = pick(_SKINS), pick(_CLOTHES), pick(_CLOTHES[:6])
        self.hair = pick(((0.015, 0.012, 0.01), (0.06, 0.035, 0.02), (0.2, 0.14, 0.07), (0.25, 0.24, 0.23)))
        self.long_coat, self.bag = rng.random() < 0.35, rng.random() < 0.45
        self.bag_color = pick(_CLOTHES)
        self.high_visibility = rng.random() < 0.25


def pedestrian(look: Look, phase: float | None) -> list[Part]:
    """Return a walking person at ``phase`` (radians, one turn is two steps), standing with None."""
    scale = look.height / 1.75
    swing = 0.0 if phase is None else np.sin(phase)
    lift = 0.0 if phase is None else np.cos(phase)
    meshes: list[Mesh] = []
    for side, sign in ((0.09, 1.0), (-0.09, -1.0)):
        angle = 0.48 * swing * sign
        bend = max(0.0, lift * sign) * 0.7
        hip = np.array([0, side, 0.92])
        knee = hip + 0.44 * np.array([np.sin(angle), 0, -np.cos(angle)])
        ankle = knee + 0.42 * np.array([np.sin(angle - bend), 0, -np.cos(angle - bend)])
        meshes += [
            capsule(hip, knee, (0.085, 0.065), look.trousers),
            capsule(knee, ankle, (0.062, 0.047), look.trousers),
        ]
        meshes.append(ellipsoid(ankle + [0.07, 0, -0.03], (0.13, 0.05, 0.045), (0.02, 0.018, 0.016)))
        shoulder = np.array([0, side * 2.25, 1.42])
        reach = -0.55 * swing * sign
        elbow = shoulder + 0.3 * np.array([np.sin(reach), 0.1 * sign, -np.cos(reach)])
        hand = elbow + 0.27 * np.array([np.sin(reach + 0.35), -0.05 * sign, -np.cos(reach + 0.35)])
        meshes += [
            capsule(shoulder, elbow, (0.062, 0.05), look.coat),
            capsule(elbow, hand, (0.048, 0.04), look.coat),
        ]
        meshes.append(ellipsoid(hand, 0.048, look.skin))
    meshes += [_torso(look, 0.62 if look.long_coat else 0.86, 1.5), *_head(look, np.array([0.02, 0, 1.62]))]
    if look.bag:
        meshes.append(ellipsoid((-0.2, 0, 1.22), (0.11, 0.16, 0.24), look.bag_color))
    return [Part(merge(meshes).moved(scale=(scale,) * 3), "matte", _PEDESTRIAN)]


def bicyclist(look: Look, phase: float) -> list[Part]:
    """Return a person on a bicycle with the pedals at ``phase`` (radians)."""
    frame = look.bag_color * 1.5 + 0.03
    black = (0.015,) * 3
    meshes: list[Mesh] = []
    discs: list[Mesh] = []
    for x in (-0.52, 0.53):
        angle = np.linspace(0, 2 * np.pi, 25)
        rim = np.stack([x + 0.33 * np.cos(angle), 0 * angle, 0.34 + 0.33 * np.sin(angle)], 1)
        meshes.append(tube(rim, 0.021, black, 5))
        discs += [disc((x, 0, 0.34), 0.33, black, side * np.pi / 2) for side in (1, -1)]
        for spoke in angle[:-1:3]:
            tip = (x + 0.32 * np.cos(spoke), 0, 0.34 + 0.32 * np.sin(spoke))
            meshes.append(tube([(x, 0, 0.34), tip], 0.004, (0.3, 0.3, 0.3), 3))
    crank, seat, head = np.array([-0.08, 0, 0.3]), np.array([-0.25, 0, 0.92]), np.array([0.38, 0, 0.9])
    for start, end in (
        (crank, seat),
        (crank, head - [0, 0, 0.1]),
        (seat - [0, 0, 0.12], head),
        (crank, (-0.52, 0, 0.34)),
    ):
        meshes.append(tube(np.array([start, end]), 0.02, frame, 6))
    meshes += [tube(np.array([head + [-0.02, 0, 0.06], (0.53, 0, 0.34)]), 0.017, frame, 6)]
    meshes += [tube([head + [-0.02, -0.27, 0.12], head + [-0.02, 0.27, 0.12]], 0.015, black, 6)]
    meshes += [ellipsoid(seat + [0, 0, 0.03], (0.13, 0.07, 0.035), black)]
    hips, chest = seat + [0.02, 0, 0.1], np.array([0.12, 0, 1.42])
    for side, turn in ((0.1, phase), (-0.1, phase + np.pi)):
        foot = crank + [0.17 * np.cos(turn), side, 0.17 * np.sin(turn)]
        hip = hips + [0, side * 0.9, 0]
        middle, half = (hip + foot) / 2, float(np.linalg.norm(hip - foot)) / 2
        knee = middle + np.array([0.75, 0, 0.35]) * np.sqrt(max(0.46**2 - half**2, 0.01))
        meshes += [
            capsule(hip, knee, (0.09, 0.065), look.trousers),
            capsule(knee, foot, (0.06, 0.045), look.trousers),
        ]
        meshes.append(ellipsoid(foot + [0.06, 0, -0.03], (0.13, 0.045, 0.04), black))
        shoulder, hand = chest + [0, side * 1.9, 0], head + [0.0, side * 2.4, 0.15]
        elbow = (shoulder + hand) / 2 + [0, side * 0.3, -0.06]
        meshes += [
            capsule(shoulder, elbow, (0.06, 0.048), look.coat),
            capsule(elbow, hand, (0.046, 0.036), look.coat),
        ]
        meshes.append(ellipsoid(hand, 0.045, look.skin))
    coat = np.array([0.55, 0.62, 0.03]) if look.high_visibility else look.coat
    meshes.append(capsule(hips, chest, (0.15, 0.17), coat, 10))
    meshes += _head(look, chest + [0.1, 0, 0.27])
    if look.bag:
        meshes.append(ellipsoid((hips + chest) / 2 + [-0.17, 0, 0.12], (0.13, 0.15, 0.2), look.bag_color))
    return [
        Part(merge(meshes), "matte", _BICYCLIST),
        Part(merge(discs), "matte", _BICYCLIST, "labels"),
    ]


def parked_bicycle(look: Look) -> list[Part]:
    """Return a bicycle alone, leaning on its stand; CamVid counts it as bicyclist."""
    frame = look.bag_color * 1.5 + 0.03
    meshes = []
    for x in (-0.52, 0.53):
        angle = np.linspace(0, 2 * np.pi, 25)
        meshes.append(
            tube(
                np.stack([x + 0.33 * np.cos(angle), 0 * angle, 0.34 + 0.33 * np.sin(angle)], 1),
                0.021,
                (0.015,) * 3,
                5,
            )
        )
    points = [(-0.52, 0, 0.34), (-0.08, 0, 0.3), (0.36, 0, 0.8), (-0.23, 0, 0.82), (-0.08, 0, 0.3)]
    meshes += [tube([a, b], 0.02, frame, 6) for a, b in zip(points, points[1:], strict=False)]
    meshes += [
        tube([(0.53, 0, 0.34), (0.36, 0, 0.98)], 0.017, frame, 6),
        tube([(0.34, -0.27, 1.0), (0.34, 0.27, 1.0)], 0.014, (0.02,) * 3, 6),
    ]
    meshes.append(box((-0.36, -0.06, 0.88), (-0.1, 0.06, 0.93), (0.015,) * 3))
    return [Part(merge(meshes), "matte", _BICYCLIST)]


def _torso(look: Look, low: float, high: float) -> Mesh:
    z = np.array([low, low + 0.02, 0.95, 1.1, 1.3, 1.42, 1.47, high])
    width = np.array([0.02, 0.19, 0.175, 0.16, 0.2, 0.215, 0.13, 0.05])
    depth = np.array([0.02, 0.13, 0.125, 0.11, 0.125, 0.115, 0.08, 0.04])
    angle = np.linspace(0, 2 * np.pi, 13)
    rings = np.stack(
        [
            depth[:, None] * np.cos(angle),
            width[:, None] * np.sin(angle),
            np.broadcast_to(z[:, None], (len(z), 13)),
        ],
        -1,
    )
    return surface(rings[::-1], look.coat)


def _head(look: Look, center: np.ndarray) -> list[Mesh]:
    return [
        capsule(center - [0.03, 0, 0.2], center - [0.01, 0, 0.08], (0.055, 0.055), look.skin),
        ellipsoid(center, (0.095, 0.078, 0.12), look.skin, 12),
        ellipsoid(center + [-0.02, 0, 0.03], (0.098, 0.085, 0.11), look.hair, 12),
    ]
