"""A random street, put together."""

from __future__ import annotations

import numpy as np

from scenes import markings, textures
from scenes.frontage import frontage
from scenes.plan import (
    PAVING_TILE,
    WALLS,
    Plan,
    draw_plan,
)
from scenes.roadside import far_end, kerbside, road, side_streets, sidewalks
from scenes.street import Light, Path, Street
from scenes.traffic import crowd, scripted_traffic, traffic


def random_street(seed: int, length: float = 150.0, behind: float = 12.0, lively: bool = False) -> Street:
    """Return a street from ``-behind`` to ``length``; a ``lively`` one has all classes and traffic."""
    rng = np.random.default_rng(seed)
    bend, wave = rng.normal(0, 0.12), rng.uniform(0, 0.12)
    path = Path(-behind, length, bend, wave, rng.uniform(0, 6))
    plan = draw_plan(rng, path, lively)
    for index, side in enumerate((1, -1)):
        sidewalks(path, plan, side)
        frontage(rng, path, plan, side, plan.zones if index == 0 else tuple(rng.permutation(plan.zones)))
        kerbside(rng, path, plan, side)
    side_streets(rng, path, plan)
    road(path, plan)
    far_end(rng, path, plan)
    (scripted_traffic if lively else traffic)(rng, path, plan)
    crowd(rng, path, plan)
    images = _images(rng, path, plan)
    return Street(path, plan.lane, plan.parts, plan.actors, images, _light(rng, lively))


def _images(rng: np.random.Generator, path: Path, plan: Plan) -> dict[str, np.ndarray]:
    bricks = (
        (0.46, 0.27, 0.20),
        (0.57, 0.50, 0.38),
        (0.52, 0.44, 0.32),
        (0.38, 0.24, 0.19),
        (0.50, 0.33, 0.25),
    )
    stones = ((0.55, 0.51, 0.43), (0.47, 0.46, 0.43))
    paints = (
        (0.76, 0.74, 0.68),
        (0.72, 0.68, 0.58),
        (0.66, 0.60, 0.52),
        (0.78, 0.78, 0.76),
        (0.55, 0.56, 0.56),
        (0.70, 0.62, 0.55),
    )
    images = {}
    for index in range(WALLS):
        kind = ("brick", "brick", "brick", "paint", "paint", "stone")[index]
        options = {"brick": bricks, "paint": paints, "stone": stones}[kind]
        color = np.asarray(options[rng.integers(len(options))]) * rng.uniform(0.85, 1.1)
        if kind == "paint":
            images[f"wall{index}"] = textures.plaster(rng, color)
        else:
            unit = (0.225, 0.075) if kind == "brick" else (0.6, 0.3)
            images[f"wall{index}"] = textures.brick(rng, color, unit=unit)
    for index, tint in enumerate(((0.23, 0.24, 0.27), (0.36, 0.23, 0.18), (0.28, 0.26, 0.25))):
        images[f"roof{index}"] = textures.roof_tiles(rng, tint)
    tone = rng.uniform(0.36, 0.47)
    images["road"] = markings.road(
        rng,
        path.end - path.start,
        plan.half_width,
        tone,
        markings.random_markings(rng, plan.half_width, plan.parking),
        None if plan.crossing is None else plan.crossing - path.start,
        None if plan.signals is None else plan.signals - path.start,
    )
    yard = textures.asphalt(rng, (512, 512), 512 / PAVING_TILE, tone * rng.uniform(0.85, 1.1))
    images["yard"] = (yard * 255 + 0.5).astype(np.uint8)
    images["paving"] = textures.paving(rng, np.array([0.45, 0.44, 0.42]) * rng.uniform(0.85, 1.1))
    images["grass"] = textures.grass(rng)
    images["fascias"], images["interiors"] = textures.fascias(rng), textures.shop_interiors(rng)
    images["signs"], images["plates"] = textures.sign_faces(rng), textures.number_plates(rng)
    return images


def _light(rng: np.random.Generator, lively: bool) -> Light:
    sunny = lively or rng.random() < 0.65
    elevation, azimuth = np.radians(rng.uniform(20, 55)), rng.uniform(-np.pi, np.pi)
    if lively:
        elevation, azimuth = np.radians(34), np.radians(115)
    sun = np.array(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    )
    cover = rng.uniform(0.25, 0.6) if sunny else rng.uniform(0.75, 1.0)
    sky = textures.sky(rng, sun, 0.52 if lively else cover, 0.3 if lively else rng.uniform(0.2, 0.8))
    return Light(sun, rng.uniform(4.5, 9.0) if sunny else rng.uniform(0.0, 0.7), sky, rng.uniform(400, 2500))
