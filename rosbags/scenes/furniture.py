"""What stands along a street: trees, hedges, lamps, signals, signs, fences. Origin on the ground."""

from __future__ import annotations

import numpy as np

from scenes.meshes import (
    Mesh,
    Part,
    box,
    boxes,
    disc,
    ellipsoid,
    merge,
    quads,
    tube,
    tubes,
)
from scenes.textures import SIGN_FACES
from squeeze_segnet_ros.classes import CAMVID, UNLABELLED

_TREE, _POLE, _SIGN, _FENCE = (CAMVID.names.index(name) for name in ("tree", "pole", "sign", "fence"))
_STEEL, _BLACK = (0.16, 0.17, 0.17), (0.015, 0.015, 0.016)
_BARK = (0.13, 0.105, 0.08)


def tree(rng: np.random.Generator, height: float, season: str) -> list[Part]:
    """Return a tree of ``height`` meters; ``season`` is summer, autumn, bare or evergreen."""
    if season == "evergreen":
        return _conifer(rng, height)
    limbs, tips = _branches(rng, height, 5 if season == "bare" else 3)
    bark = np.asarray(_BARK) * rng.uniform(0.7, 1.5)
    thick, thin = [limb for limb in limbs if limb[2]], [limb for limb in limbs if not limb[2]]
    wood = [
        tubes(
            np.array([points for points, _, _ in group]),
            np.array([radii for _, radii, _ in group]),
            bark,
            sides,
        )
        for group, sides in ((thick, 7), (thin, 3))
        if group
    ]
    parts = [Part(merge(wood), "matte", _TREE)]
    if season == "bare":
        # At this distance a bare crown is a veil; people label it as one.
        veil = [
            ellipsoid(tip, rng.uniform(0.04, 0.06) * height, sides=6)
            for tip in tips[:: max(1, len(tips) // 160)]
        ]
        return [*parts, Part(merge(veil), "matte", _TREE, "labels")]
    hue = np.array([0.18, 0.25, 0.07]) if season == "summer" else np.array([0.4, 0.24, 0.07])
    hue = hue * rng.uniform(0.7, 1.25) * (1 + rng.normal(0, 0.1, 3))
    center = np.array([0, 0, 0.66 * height])
    blobs = np.concatenate([tips, center + rng.normal(0, 0.13, (30, 3)) * height * [1, 1, 0.9]])
    return [
        *parts,
        Part(leaves(rng, blobs, 0.075 * height, 5500, 0.034 * height + 0.06, hue, center), "matte", _TREE),
    ]


def leaves(
    rng: np.random.Generator,
    blobs: np.ndarray,
    spread: float,
    count: int,
    size: float,
    color: np.ndarray,
    center: np.ndarray,
) -> Mesh:
    """Return ``count`` leaf clusters of about ``size`` meters around the points ``blobs`` (N, 3).

    Their normals lean outward from ``center``, which shades the crown as a volume; the inside is darker.
    """
    blob = blobs[rng.integers(len(blobs), size=count)]
    offset = rng.normal(0, 1, (count, 3))
    offset *= spread * (rng.random((count, 1)) ** 0.33) * 1.5 / np.linalg.norm(offset, axis=1, keepdims=True)
    position = blob + offset
    axis = rng.normal(0, 1, (count, 3))
    u = np.cross(axis, rng.normal(0, 1, (count, 3)))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(axis, u)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    half = size * rng.uniform(0.5, 1.1, (count, 1)) / 2
    corners = np.stack([-u * half, v * half * 0.6, u * half, -v * half * 0.6], 1) + position[:, None]
    radius = np.linalg.norm(position - center, axis=1)
    depth = np.clip(radius / np.percentile(radius, 92), 0.2, 1.05)
    tint = color * (0.35 + 0.75 * depth**1.5 + rng.normal(0, 0.16, count))[:, None]
    mesh = quads(corners, np.clip(tint, 0.004, 1))
    outward = (position - center) / np.maximum(radius[:, None], 1e-6) + offset / spread * 0.5
    outward += rng.normal(0, 0.25, outward.shape)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    return Mesh(mesh.vertices, mesh.faces, np.repeat(outward, 4, axis=0), mesh.uv, mesh.colors)


def hedge(rng: np.random.Generator, length: float, height: float, depth: float = 0.7) -> list[Part]:
    """Return a hedge along +x from the origin."""
    count = int(220 * length)
    mesh = _leafy_box(rng, np.array([0, -depth / 2, 0]), np.array([length, depth / 2, height]), count)
    core = box(
        (0.08, -depth / 2 + 0.1, 0), (length - 0.08, depth / 2 - 0.1, height - 0.1), (0.012, 0.016, 0.006)
    )
    return [Part(merge([mesh, core]), "matte", _TREE)]


def bush(rng: np.random.Generator, radius: float) -> list[Part]:
    """Return a round bush."""
    hue = np.array([0.14, 0.19, 0.06]) * rng.uniform(0.6, 1.3)
    blobs = rng.normal(0, 0.4, (12, 3)) * radius + [0, 0, radius * 0.7]
    mesh = leaves(rng, blobs, radius * 0.4, 900, 0.16, hue, np.array([0, 0, radius * 0.5]))
    return [Part(mesh, "matte", _TREE)]


def _leafy_box(rng: np.random.Generator, low: np.ndarray, high: np.ndarray, count: int) -> Mesh:
    points = rng.uniform(low, high, (count, 3))
    axis, side = rng.integers(0, 3, count), rng.integers(0, 2, count)
    side = np.where(axis == 2, 1, side)
    points[np.arange(count), axis] = np.where(side, high[axis], low[axis]) + rng.normal(0, 0.05, count)
    normal = np.zeros((count, 3))
    normal[np.arange(count), axis] = np.where(side, 1, -1)
    u, v = rng.normal(0, 0.07, (2, count, 3))
    tint = np.array([0.12, 0.17, 0.05]) * rng.uniform(0.5, 1.4, (count, 1))
    mesh = quads(np.stack([points - u, points - v, points + u, points + v], 1), tint)
    bent = normal + rng.normal(0, 0.35, normal.shape)
    bent /= np.linalg.norm(bent, axis=1, keepdims=True)
    return Mesh(mesh.vertices, mesh.faces, np.repeat(bent, 4, axis=0), mesh.uv, mesh.colors)


def _conifer(rng: np.random.Generator, height: float) -> list[Part]:
    level = rng.random(160) ** 0.8
    angle = rng.uniform(0, 2 * np.pi, 160)
    reach = (1.03 - level) * 0.26 * height * rng.uniform(0.5, 1.0, 160)
    blobs = np.stack([reach * np.cos(angle), reach * np.sin(angle), (0.08 + 0.9 * level) * height], 1)
    hue = np.array([0.07, 0.11, 0.06]) * rng.uniform(0.7, 1.4)
    mesh = leaves(rng, blobs, 0.05 * height, 4500, 0.03 * height, hue, np.array([0, 0, 0.35 * height]))
    trunk = tube([(0, 0, 0), (0, 0, 0.9 * height)], [0.03 * height, 0.004 * height], _BARK)
    return [Part(merge([mesh, trunk]), "matte", _TREE)]


def _branches(
    rng: np.random.Generator, height: float, depth: int
) -> tuple[list[tuple[np.ndarray, list[float], bool]], np.ndarray]:
    """Return limbs (points, radii, whether thick) and the ends of the last twigs, float (N, 3)."""
    limbs: list[tuple[np.ndarray, list[float], bool]] = []
    tips: list[np.ndarray] = []

    def grow(start: np.ndarray, direction: np.ndarray, length: float, radius: float, level: int) -> None:
        bend = direction + rng.normal(0, 0.12, 3) + [0, 0, 0.06]
        middle = start + direction * length * 0.5
        end = middle + bend / np.linalg.norm(bend) * length * 0.5
        thin = radius * (0.62 if level else 0.75)
        limbs.append((np.array([start, middle, end]), [radius, (radius + thin) / 2, thin], level < 2))
        if level == depth:
            tips.append(end)
            return
        for child in range(int(rng.integers(3, 5)) + (level == 0)):
            out = rng.normal(0, 1, 3)
            out -= out @ direction * direction
            out /= np.linalg.norm(out)
            spread = rng.uniform(0.35, 0.85)
            heading = direction * (1 - 0.35 * spread) + out * spread + [0, 0, 0.16]
            base = start + (end - start) * (1.0 if child < 2 else rng.uniform(0.55, 0.95))
            grow(
                base,
                heading / np.linalg.norm(heading),
                length * rng.uniform(0.6, 0.82),
                thin * 0.66,
                level + 1,
            )

    lean = np.array([*rng.normal(0, 0.04, 2), 1.0])
    grow(np.zeros(3), lean / np.linalg.norm(lean), 0.3 * height, 0.021 * height, 0)
    return limbs, np.array(tips)


def lamp_post(rng: np.random.Generator, height: float = 8.0) -> list[Part]:
    """Return a street lamp whose arm reaches along +x."""
    color = np.asarray(_STEEL) * rng.uniform(0.5, 1.6)
    arm = np.array(
        [(0, 0, height - 0.5), (0.1, 0, height - 0.15), (0.5, 0, height + 0.05), (1.4, 0, height + 0.15)]
    )
    meshes = [
        tube([(0, 0, 0), (0, 0, 1.3)], 0.10, color, 10),
        tube([(0, 0, 1.3), (0, 0, height - 0.4)], [0.07, 0.055], color, 8),
        tube(arm, 0.04, color, 6),
        box((1.2, -0.13, height + 0.06), (1.85, 0.13, height + 0.2), (0.3, 0.3, 0.3)),
    ]
    return [Part(merge(meshes), "matte", _POLE)]


def traffic_light(rng: np.random.Generator, lit: int) -> list[Part]:
    """Return a signal that faces +x, a sign to CamVid; ``lit`` counts from red (0) to green (2)."""
    head = [
        box((-0.12, -0.17, 2.35), (0.1, 0.17, 3.3), _BLACK),
        box((-0.02, -0.27, 2.2), (0.0, 0.27, 3.45), _BLACK),
    ]
    colors = ((1.0, 0.03, 0.02), (1.0, 0.45, 0.02), (0.05, 1.0, 0.45))
    lamps: list[Mesh] = []
    dark: list[Mesh] = []
    for index, z in enumerate((3.12, 2.83, 2.54)):
        on = index == lit
        color = np.asarray(colors[index]) * (1.0 if on else 0.06)
        (lamps if on else dark).append(disc((0.115, 0, z), 0.105, color, 0))
        head.append(tube([(0.1, 0, z + 0.125), (0.26, 0, z + 0.125)], 0.02, _BLACK, 5))
    mast = tube([(-0.05, 0, 0), (-0.05, 0, 3.35)], 0.055, np.asarray(_STEEL) * rng.uniform(0.2, 1.2), 8)
    box_ = box((-0.1, -0.1, 0.95), (0.08, 0.1, 1.25), (0.35, 0.26, 0.04))
    return [
        Part(merge(head + dark), "matte", _SIGN),
        Part(merge(lamps), "light", _SIGN),
        Part(merge([mast, box_]), "matte", _POLE),
    ]


def sign(rng: np.random.Generator, face: str, height: float = 2.4) -> list[Part]:
    """Return a traffic sign or board on a post; it faces +x. ``face`` is one of ``SIGN_FACES``."""
    index, count = SIGN_FACES.index(face), len(SIGN_FACES)
    left, right = (index + 0.01) / count, (index + 0.99) / count
    if face in ("speed", "no_entry", "arrow"):
        plate = disc((0.05, 0, height), 0.36, (0.3,) * 3, 0, 24)
        uv = np.stack([left + plate.uv[:, 0] * (right - left), 1 - plate.uv[:, 1]], 1)
        plate = Mesh(plate.vertices, plate.faces, plate.normals, uv, plate.colors)
        back = disc((0.04, 0, height), 0.36, (0.2,) * 3, np.pi, 24)
    else:
        w, h = {"give_way": (0.4, 0.35), "parking": (0.3, 0.3), "board": (0.8, 0.55)}.get(face, (0.6, 0.9))
        corners = [
            (0.05, w, height + h),
            (0.05, -w, height + h),
            (0.05, -w, height - h),
            (0.05, w, height - h),
        ]
        uv = np.array([[right, 0], [left, 0], [left, 1], [right, 1]])
        if face == "give_way":
            middle = (left + right) / 2
            corners[2] = corners[3] = (0.05, 0, height - h)
            uv[2] = uv[3] = (middle, 1)
        plate = quads([corners[::-1]], uv=[uv[::-1]])
        back = quads([[(x - 0.012, y, z) for x, y, z in corners]], (0.2,) * 3)
    posts = [-0.6, 0.6] if face == "board" else [0.0]
    mast = [
        tube([(0, y, 0), (0, y, height + 0.2)], 0.04, np.asarray(_STEEL) * rng.uniform(0.6, 1.3), 8)
        for y in posts
    ]
    return [Part(plate, "tex:signs", _SIGN), Part(back, "matte", _SIGN), Part(merge(mast), "matte", _POLE)]


def bollard(rng: np.random.Generator) -> list[Part]:
    """Return a cast iron post with a light band."""
    color = _BLACK if rng.random() < 0.7 else (0.3, 0.29, 0.27)
    meshes = [tube([(0, 0, 0), (0, 0, 0.95), (0, 0, 1.02)], [0.085, 0.07, 0.02], color, 10)]
    meshes.append(tube([(0, 0, 0.8), (0, 0, 0.86)], 0.078, (0.5, 0.5, 0.48), 10))
    return [Part(merge(meshes), "matte", _POLE)]


def bin_(rng: np.random.Generator) -> list[Part]:
    """Return a litter bin, which has no class in CamVid."""
    color = ((0.02, 0.05, 0.03), (0.03, 0.03, 0.03), (0.2, 0.02, 0.02))[rng.integers(3)]
    return [
        Part(tube([(0, 0, 0), (0, 0, 0.95), (0, 0, 1.05)], [0.27, 0.3, 0.15], color, 12), "paint", UNLABELLED)
    ]


def railing(rng: np.random.Generator, length: float, height: float = 1.05) -> list[Part]:
    """Return iron railings along +x; people label them as a filled surface."""
    color = _BLACK if rng.random() < 0.65 else (0.22, 0.23, 0.23)
    meshes = [box((0, -0.02, z), (length, 0.02, z + 0.045), color) for z in (0.12, height - 0.05)]
    x = np.arange(0, length + 0.01, 0.125)
    wide = np.where(np.arange(len(x)) % 16 == 0, 0.03, 0.011)
    top = height + np.where(wide > 0.02, 0.06, 0.0)
    meshes.append(boxes(np.stack([x - wide, -wide, 0 * x], 1), np.stack([x + wide, wide, top], 1), color))
    filled = box((0, -0.005, 0.02), (length, 0.005, height))
    return [Part(merge(meshes), "matte", _FENCE), Part(filled, "matte", _FENCE, "labels")]


def board_fence(rng: np.random.Generator, length: float, height: float = 1.7) -> list[Part]:
    """Return a fence of wooden boards along +x."""
    base = np.array([0.2, 0.13, 0.075]) * rng.uniform(0.5, 1.3)
    x = np.arange(0, length, 0.15)
    low = np.stack([x, 0 * x - 0.015, 0 * x], 1)
    high = np.stack([x + 0.14, 0 * x + 0.015, height + rng.normal(0, 0.01, len(x))], 1)
    meshes = [boxes(low, high, base * rng.uniform(0.75, 1.25, (len(x), 1)))]
    meshes += [
        box((x, -0.06, 0), (x + 0.1, 0.06, height + 0.08), base * 0.8) for x in np.arange(0, length, 1.8)
    ]
    return [Part(merge(meshes), "matte", _FENCE)]
