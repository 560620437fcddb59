"""From a street to radiance, depth and exact labels, with Mitsuba 3. The only module that imports it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from scenes.film import Lens, Pose
from scenes.meshes import Mesh, Part, merge
from scenes.street import Street
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.errors import ConfigError

_MIN_LLVM = 16
"""Older ones end the process on processors with AVX-512."""
_MAX_DEPTH = 3
_SKY = CAMVID.names.index("sky")


@cache
def mitsuba() -> Any:
    """Return the Mitsuba module: the vectorized variant where there is an LLVM library, else the scalar one.

    Raises:
        ConfigError: Mitsuba is not installed.
    """
    _find_llvm()
    try:
        import mitsuba as mi
    except ImportError:
        raise ConfigError(
            'rendering needs Mitsuba 3, which is not installed: pip install "squeeze_segnet_ros[scenes]"'
        ) from None
    mi.set_variant("llvm_ad_rgb" if os.environ.get("DRJIT_LIBLLVM_PATH") else "scalar_rgb")
    return mi


def _find_llvm() -> None:
    if os.environ.get("DRJIT_LIBLLVM_PATH"):
        return
    found: dict[int, str] = {}
    for pattern in ("lib/*/libLLVM*.so*", "lib/llvm-*/lib/libLLVM*.so*", "lib64/libLLVM*.so*"):
        for path in Path("/usr").glob(pattern):
            version = re.search(r"libLLVM(?:\.so\.|-)(\d+)", path.name)
            if version:
                found[int(version[1])] = str(path)
    if found and max(found) >= _MIN_LLVM:
        os.environ["DRJIT_LIBLLVM_PATH"] = found[max(found)]


@dataclass(frozen=True)
class Shot:
    """What the camera received: radiance, albedo and normal float (H, W, 3), depth float (H, W) in meters,
    0 for the sky, and the labels uint8 (H, W) at the pixels' centers."""

    radiance: np.ndarray
    albedo: np.ndarray
    normal: np.ndarray
    depth: np.ndarray
    labels: np.ndarray


class Renderer:
    """Holds what does not move; ``shoot`` adds what does."""

    def __init__(self, street: Street) -> None:
        self._mi = mitsuba()
        self._materials = self._make_materials(street.images)
        self._emitters = self._make_emitters(street)
        self._parts = street.parts
        self._static = self._shapes("static", street.parts)

    def shoot(self, moving: Iterable[Part], pose: Pose, lens: Lens, samples: int, seed: int) -> Shot:
        """Render one picture with ``samples`` paths per pixel."""
        mi = self._mi
        mi, moving = self._mi, list(moving)
        shapes = {**self._static, **self._shapes("moving", moving)}
        scene = mi.load_dict({"type": "scene", **self._emitters, **shapes})
        aovs = {
            "type": "aov",
            "aovs": "a:albedo,n:sh_normal,d:depth",
            "path": {"type": "path", "max_depth": _MAX_DEPTH},
        }
        sensor = self._sensor(pose, lens, {"type": "independent", "sample_count": samples}, "gaussian")
        image = np.array(
            mi.render(scene, sensor=sensor, integrator=mi.load_dict(aovs), spp=samples, seed=seed)
        )
        image = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)
        labels = self._labels([*self._parts, *moving], pose, lens)
        return Shot(image[..., :3], image[..., 3:6], image[..., 6:9], image[..., 9], labels)

    def _labels(self, parts: list[Part], pose: Pose, lens: Lens) -> np.ndarray:
        """Return the label of the triangle that a ray through each pixel's center finds."""
        mi = self._mi
        parts = [part for part in parts if part.shown != "picture"]
        whole = merge([part.mesh for part in parts])
        table = np.repeat([part.label for part in parts], [len(part.mesh.faces) for part in parts]).astype(
            np.uint8
        )
        shape = mi.Mesh("labels", len(whole.vertices), len(whole.faces))
        fields = mi.traverse(shape)
        fields["vertex_positions"] = _flat(whole.vertices, np.float32)
        fields["faces"] = _flat(whole.faces, np.uint32)
        fields.update()
        scene = mi.load_dict({"type": "scene", "labels": shape})
        sampler = {"type": "stratified", "sample_count": 1, "jitter": False}
        integrator = mi.load_dict({"type": "aov", "aovs": "triangle:prim_index,depth:depth"})
        image = np.array(
            mi.render(scene, sensor=self._sensor(pose, lens, sampler, "box"), integrator=integrator, spp=1)
        )
        index = np.clip(np.rint(image[..., -2]).astype(int), 0, len(table) - 1)
        return np.where(image[..., -1] > 0, table[index], np.uint8(_SKY)).astype(np.uint8)

    def _sensor(self, pose: Pose, lens: Lens, sampler: dict[str, Any], reconstruction: str) -> Any:
        ahead, up = pose.axes()
        view = self._mi.ScalarTransform4f().look_at(
            origin=pose.position.tolist(), target=(pose.position + ahead).tolist(), up=up.tolist()
        )
        film = {
            "type": "hdrfilm",
            "width": lens.width,
            "height": lens.height,
            "pixel_format": "rgb",
            "rfilter": {"type": reconstruction},
        }
        return self._mi.load_dict(
            {
                "type": "perspective",
                "fov": lens.field_of_view,
                "fov_axis": "x",
                "near_clip": 0.05,
                "far_clip": 2000.0,
                "to_world": view,
                "film": film,
                "sampler": sampler,
            }
        )

    def _make_materials(self, images: dict[str, np.ndarray]) -> dict[str, Any]:
        color = {"type": "mesh_attribute", "name": "vertex_color"}
        paint = {
            "type": "principled",
            "base_color": color,
            "roughness": 0.25,
            "specular": 0.6,
            "clearcoat": 0.8,
            "clearcoat_gloss": 0.95,
        }
        glass = {"type": "principled", "base_color": color, "roughness": 0.12, "specular": 1.0}
        kinds: dict[str, dict[str, Any]] = {
            "matte": {"type": "diffuse", "reflectance": color},
            "light": {"type": "diffuse", "reflectance": color},
            "paint": paint,
            "glass": glass,
        }
        for name, image in images.items():
            texture = {
                "type": "bitmap",
                "bitmap": self._mi.Bitmap(np.ascontiguousarray(image)),
                "wrap_mode": "repeat",
            }
            kinds[f"tex:{name}"] = {"type": "diffuse", "reflectance": texture}
        return {name: self._mi.load_dict({"type": "twosided", "inner": kind}) for name, kind in kinds.items()}

    def _make_emitters(self, street: Street) -> dict[str, Any]:
        mi, light = self._mi, street.light
        turn = mi.ScalarTransform4f().rotate([0, 0, 1], 90) @ mi.ScalarTransform4f().rotate([1, 0, 0], 90)
        sky = {"type": "envmap", "bitmap": mi.Bitmap(light.sky), "to_world": turn}
        emitters: dict[str, Any] = {"sky": mi.load_dict(sky)}
        if light.irradiance > 0:
            white = [light.irradiance * c for c in (1.0, 0.94, 0.84)]
            sun = {
                "type": "directional",
                "direction": (-light.sun).tolist(),
                "irradiance": {"type": "rgb", "value": white},
            }
            emitters["sun"] = mi.load_dict(sun)
        return emitters

    def _shapes(self, prefix: str, parts: list[Part]) -> dict[str, Any]:
        """Return one shape per material: few shapes keep the renderer's program short."""
        groups: dict[str, list[Mesh]] = {}
        for part in parts:
            if part.shown != "labels":
                groups.setdefault(part.material, []).append(part.mesh)
        return {
            f"{prefix}_{material.replace(':', '_')}": self._shape(prefix, merge(meshes), material)
            for material, meshes in groups.items()
        }

    def _shape(self, name: str, mesh: Mesh, material: str) -> Any:
        mi = self._mi
        properties = mi.Properties()
        properties["bsdf"] = self._materials[material]
        if material == "light":
            # Seen, but not sampled: a lamp by day lights nothing.
            radiance = {"type": "mesh_attribute", "name": "vertex_color"}
            properties["emitter"] = mi.load_dict(
                {"type": "area", "radiance": radiance, "sampling_weight": 0.0}
            )
        shape = mi.Mesh(
            name,
            len(mesh.vertices),
            len(mesh.faces),
            has_vertex_normals=True,
            has_vertex_texcoords=True,
            props=properties,
        )
        shape.add_attribute("vertex_color", 3, _flat(mesh.colors, np.float32))
        fields = mi.traverse(shape)
        fields["vertex_positions"] = _flat(mesh.vertices, np.float32)
        fields["vertex_normals"] = _flat(mesh.normals, np.float32)
        fields["vertex_texcoords"] = _flat(mesh.uv, np.float32)
        fields["faces"] = _flat(mesh.faces, np.uint32)
        fields.update()
        return shape


def _flat(array: np.ndarray, dtype: Any) -> np.ndarray:
    return np.ascontiguousarray(array, dtype).ravel()
