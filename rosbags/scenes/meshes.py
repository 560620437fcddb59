"""Triangle meshes as arrays, and the few shapes that everything in a scene is made of. Lengths in meters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Color = Sequence[float] | np.ndarray
Point = Sequence[float] | np.ndarray
Shown = Literal["both", "picture", "labels"]
WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Mesh:
    """Triangles: vertices, normals, colors float (N, 3), uv float (N, 2), faces int (M, 3).

    Colors are linear reflectances 0..1; ``uv`` is in texture tiles.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    colors: np.ndarray

    def moved(self, offset: Point = (0, 0, 0), yaw: float = 0.0, scale: Point = WHITE) -> Mesh:
        """Scale along the axes, turn about z by ``yaw`` (radians, counter-clockwise), then shift."""
        turn, factor = yaw_matrix(yaw), np.asarray(scale, float)
        normals = self.normals / factor @ turn.T
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return replace(self, vertices=self.vertices * factor @ turn.T + np.asarray(offset), normals=normals)

    def colored(self, color: Color) -> Mesh:
        """Return the same shape in one color."""
        return replace(self, colors=np.broadcast_to(np.asarray(color, float), self.vertices.shape))


@dataclass(frozen=True)
class Part:
    """A mesh, what it is made of (a material of the renderer or ``tex:<texture>``), and its class id.

    ``shown`` limits it to the picture or to the label image: annotators fill the gaps of railings, spokes and
    bare twigs, so a part that only labels see stands in for those.
    """

    mesh: Mesh
    material: str
    label: int
    shown: Shown = "both"

    def moved(self, offset: Point = (0, 0, 0), yaw: float = 0.0, scale: Point = WHITE) -> Part:
        """Do as ``Mesh.moved``."""
        return replace(self, mesh=self.mesh.moved(offset, yaw, scale))


def place(parts: Iterable[Part], offset: Point, yaw: float = 0.0, scale: Point = WHITE) -> list[Part]:
    """Return every part moved the same way."""
    return [part.moved(offset, yaw, scale) for part in parts]


def yaw_matrix(yaw: float) -> np.ndarray:
    """Return the rotation about z by ``yaw`` radians, float (3, 3)."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """Return all meshes as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.colors for mesh in meshes]),
    )


def quads(corners: ArrayLike, color: Color = WHITE, uv: ArrayLike | None = None) -> Mesh:
    """Return flat quads: ``corners`` float (N, 4, 3) counter-clockwise, ``uv`` float (N, 4, 2).

    ``color`` is one for all, or one for each, float (N, 3).
    """
    corners = np.asarray(corners, float).reshape(-1, 4, 3)
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    base = np.arange(len(corners))[:, None] * 4
    faces = np.concatenate([base + [0, 1, 2], base + [0, 2, 3]])
    flat_uv = np.zeros((len(corners) * 4, 2)) if uv is None else np.asarray(uv, float).reshape(-1, 2)
    colors = np.asarray(color, float)
    colors = (
        np.repeat(colors, 4, axis=0) if colors.ndim == 2 else np.broadcast_to(colors, (len(corners) * 4, 3))
    )
    return Mesh(corners.reshape(-1, 3), faces, np.repeat(normals, 4, axis=0), flat_uv, colors)


_BOX = np.array(
    [
        [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]],
        [[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]],
        [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]],
        [[0, 1, 0], [0, 1, 1], [1, 1, 1], [1, 1, 0]],
        [[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]],
        [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]],
    ],
    float,
)


def box(low: Point, high: Point, color: Color = WHITE, tile: float = 1.0) -> Mesh:
    """Return an axis-aligned box; its texture repeats every ``tile`` meters."""
    return boxes(np.asarray(low, float)[None], np.asarray(high, float)[None], color, tile)


def boxes(low: np.ndarray, high: np.ndarray, color: Color = WHITE, tile: float = 1.0) -> Mesh:
    """Return axis-aligned boxes with corners ``low`` and ``high``, float (N, 3); one color or (N, 3)."""
    corners = low[:, None, None] + _BOX * (high - low)[:, None, None]
    uv = np.concatenate(
        [corners[:, :2][..., [1, 2]], corners[:, 2:4][..., [0, 2]], corners[:, 4:][..., [0, 1]]], 1
    )
    colors = np.repeat(np.broadcast_to(np.asarray(color, float), low.shape), 6, axis=0)
    return quads(corners, colors, uv / tile)


def surface(points: np.ndarray, color: Color = WHITE, uv: np.ndarray | None = None) -> Mesh:
    """Return a smooth surface through points, float (rows, columns, 3), seen from the side where the
    rows run to the right of the columns."""
    rows, columns = points.shape[:2]
    faces = _grid_faces(rows, columns)
    vertices = points.reshape(-1, 3)
    return Mesh(
        vertices,
        faces,
        _grid_normals(points),
        np.zeros((len(vertices), 2)) if uv is None else uv.reshape(-1, 2),
        np.broadcast_to(np.asarray(color, float), vertices.shape),
    )


def _grid_faces(rows: int, columns: int) -> np.ndarray:
    grid = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = grid[:-1, :-1].ravel(), grid[:-1, 1:].ravel(), grid[1:, 1:].ravel(), grid[1:, :-1].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def _grid_normals(points: np.ndarray) -> np.ndarray:
    """Return smooth normals of a grid of points; seams and poles, where points coincide, share theirs."""
    diagonal, other = points[1:, 1:] - points[:-1, :-1], points[1:, :-1] - points[:-1, 1:]
    flat = np.cross(diagonal, other)
    total = np.zeros(points.shape)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            total[rows, columns] += flat
    if np.allclose(points[:, 0], points[:, -1]):
        total[:, 0] = total[:, -1] = total[:, 0] + total[:, -1]
    for end in (0, -1):
        if np.allclose(points[end], points[end, :1]):
            total[end] = total[end].sum(0)
    total /= np.maximum(np.linalg.norm(total, axis=2, keepdims=True), 1e-12)
    return total.reshape(-1, 3)


def tube(
    points: ArrayLike, radii: Sequence[float] | np.ndarray | float, color: Color = WHITE, sides: int = 8
) -> Mesh:
    """Return a round tube through ``points`` with one radius per point."""
    path = np.asarray(points, float)
    return tubes(path[None], np.broadcast_to(np.asarray(radii, float), len(path))[None], color, sides)


def tubes(paths: np.ndarray, radii: np.ndarray, color: Color = WHITE, sides: int = 8) -> Mesh:
    """Return round tubes through ``paths``, float (N, P, 3), with ``radii`` (N, P)."""
    count, points = paths.shape[:2]
    direction = np.gradient(paths, axis=1)
    direction /= np.maximum(np.linalg.norm(direction, axis=2, keepdims=True), 1e-12)
    reference = np.eye(3)[np.argmin(np.abs(direction).sum(1), axis=1)][:, None]
    side = np.cross(direction, reference)
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-12)
    up = np.cross(direction, side)
    angle = np.linspace(0, 2 * np.pi, sides + 1)[:, None]
    ring = np.cos(angle) * side[:, :, None] + np.sin(angle) * up[:, :, None]
    vertices = (paths[:, :, None] + ring * radii[:, :, None, None]).reshape(-1, 3)
    starts = np.arange(count)[:, None, None] * points * (sides + 1)
    faces = (_grid_faces(points, sides + 1)[None] + starts).reshape(-1, 3)
    colors = np.broadcast_to(np.asarray(color, float), vertices.shape)
    return Mesh(vertices, faces, ring.reshape(-1, 3), np.zeros((len(vertices), 2)), colors)


def ellipsoid(center: Point, radii: Point | float, color: Color = WHITE, sides: int = 10) -> Mesh:
    """Return an ellipsoid with its axes along x, y, z."""
    theta = np.linspace(0, np.pi, sides // 2 + 2)[:, None]
    phi = np.linspace(0, 2 * np.pi, sides + 1)[None, :]
    unit = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi], -1)
    return surface(np.asarray(center, float) + unit * np.asarray(radii, float), color)


def capsule(start: Point, end: Point, radii: tuple[float, float], color: Color, sides: int = 8) -> Mesh:
    """Return a limb: a tube with round ends and another radius at each end."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
    r, q = radii
    points = [a - axis * r, a - axis * r * 0.7, a, b, b + axis * q * 0.7, b + axis * q]
    return tube(points, [0.01 * r, 0.7 * r, r, q, 0.7 * q, 0.01 * q], color, sides)


def disc(center: Point, radius: float, color: Color, facing: float, sides: int = 16) -> Mesh:
    """Return a round plate that stands upright and faces the direction ``facing`` (yaw, radians)."""
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    rim = np.stack([0 * angle, radius * np.cos(angle), radius * np.sin(angle)], -1)
    corners = np.stack([np.zeros((sides, 3)), rim[:-1], rim[1:], np.zeros((sides, 3))], 1)
    uv = 0.5 + 0.5 * corners[..., 1:] / radius
    return quads(corners, color, uv).moved(center, facing)
