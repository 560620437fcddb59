"""The usual fifteen corruptions of an image at five severities, and how well a network bears them.

Kinds and parameters are those of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations" (arXiv 1903.12261), which later work applied to street scenes. Drawn here, in
OpenCV, because the one library that has them all is no longer kept and brings a second OpenCV. Two differ:
fog's cloud is a sum of octaves, and frost's ice is such noise too, in place of photographs; their figures are
not those of the paper's code. Lengths are in pixels whatever the image's size, as there.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from squeeze_segnet_ros.classes import LabelSet
from squeeze_segnet_ros.data.loading import Images
from squeeze_segnet_ros.engine import Segmenter
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.scoring.evaluate import count
from squeeze_segnet_ros.scoring.remap import Remap

SEVERITIES = (1, 2, 3, 4, 5)
Image = np.ndarray
"""float32 (H, W, 3) RGB in 0..1; what a corruption returns is clipped to it."""
Random = np.random.Generator


def _gaussian_noise(image: Image, severity: int, random: Random) -> Image:
    sigma = (0.08, 0.12, 0.18, 0.26, 0.38)[severity]
    return image + random.normal(0, sigma, image.shape).astype(np.float32)


def _shot_noise(image: Image, severity: int, random: Random) -> Image:
    photons = (60, 25, 12, 5, 3)[severity]
    return (random.poisson(image * photons) / photons).astype(np.float32)


def _impulse_noise(image: Image, severity: int, random: Random) -> Image:
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity]
    drawn = random.random(image.shape, np.float32)
    return np.where(drawn < share / 2, 0, np.where(drawn < share, 1, image)).astype(np.float32)


def _defocus_blur(image: Image, severity: int, random: Random) -> Image:
    radius, alias = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))[severity]
    return np.asarray(cv2.filter2D(image, -1, _disk(radius, alias)))


def _glass_blur(image: Image, severity: int, random: Random) -> Image:
    sigma, reach, times = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[severity]
    image = cv2.GaussianBlur(image, (0, 0), sigma)
    rows, columns = np.indices(image.shape[:2], np.float32)
    for _ in range(times):
        moved = random.integers(-reach, reach + 1, (2, *image.shape[:2])).astype(np.float32)
        image = _sampled(image, columns + moved[0], rows + moved[1], cv2.INTER_NEAREST)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))


def _motion_blur(image: Image, severity: int, random: Random) -> Image:
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity]
    return np.asarray(cv2.filter2D(image, -1, _streak(radius, sigma, random.uniform(-45, 45))))


def _zoom_blur(image: Image, severity: int, random: Random) -> Image:
    end, step = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))[severity]
    zooms = np.arange(1, end, step)
    height, width = image.shape[:2]
    total = image.copy()
    for zoom in zooms:
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), 0, float(zoom))
        total += cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(total / (len(zooms) + 1))


def _snow(image: Image, severity: int, random: Random) -> Image:
    mean, sigma, zoom, least, radius, blur, kept = (
        (0.1, 0.3, 3.0, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2.0, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4.0, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[severity]
    height, width = image.shape[:2]
    small = (max(1, round(height / zoom)), max(1, round(width / zoom)))
    flakes = cv2.resize(random.normal(mean, sigma, small).astype(np.float32), (width, height))
    flakes = np.where(flakes < least, 0, flakes).clip(0, 1)
    flakes = cv2.filter2D(flakes, -1, _streak(radius, blur, random.uniform(-135, -45)))[:, :, None]
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None]
    whiter = np.maximum(image, gray * 1.5 + 0.5)
    return np.asarray(kept * image + (1 - kept) * whiter + flakes + flakes[::-1, ::-1])


def _frost(image: Image, severity: int, random: Random) -> Image:
    kept, ice = ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity]
    # Ridges of noise, as crystals grow along lines.
    ridges = 1 - np.abs(2 * _cloud(image.shape[:2], 1.6, random) - 1)
    crystals = (ridges**4)[:, :, None] * np.array([0.85, 0.95, 1.0], np.float32)
    return np.asarray(kept * image + ice * crystals)


def _fog(image: Image, severity: int, random: Random) -> Image:
    density, decay = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))[severity]
    brightest = float(image.max())
    foggy = image + density * _cloud(image.shape[:2], decay, random)[:, :, None]
    return np.asarray(foggy * brightest / (brightest + density))


def _brightness(image: Image, severity: int, random: Random) -> Image:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hsv[:, :, 2] = (hsv[:, :, 2] + (0.1, 0.2, 0.3, 0.4, 0.5)[severity]).clip(0, 1)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def _contrast(image: Image, severity: int, random: Random) -> Image:
    level = image.mean((0, 1), keepdims=True)
    return np.asarray(level + (0.4, 0.3, 0.2, 0.1, 0.05)[severity] * (image - level))


def _elastic_transform(image: Image, severity: int, random: Random) -> Image:
    # In the paper, shares of an image of 244 pixels.
    strength, smoothness, corners = (
        (488, 170.8, 24.4), (488, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88), (29.28, 2.44, 4.88),
    )[severity]  # fmt: skip
    height, width = image.shape[:2]
    middle, third = np.array([width, height], np.float32) / 2, min(height, width) / 3
    triangle = middle + third * np.array([[1, 1], [1, -1], [-1, -1]], np.float32)
    moved = triangle + random.uniform(-corners, corners, (3, 2)).astype(np.float32)
    matrix = cv2.getAffineTransform(triangle, moved)
    image = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    waves = random.uniform(-1, 1, (2, height, width)).astype(np.float32)
    shifts = [strength * cv2.GaussianBlur(wave, (0, 0), smoothness) for wave in waves]
    rows, columns = np.indices((height, width), np.float32)
    return _sampled(image, columns + shifts[0], rows + shifts[1], cv2.INTER_LINEAR)


def _pixelate(image: Image, severity: int, random: Random) -> Image:
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity]
    height, width = image.shape[:2]
    small = (max(1, int(width * share)), max(1, int(height * share)))
    coarse = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST))


def _jpeg_compression(image: Image, severity: int, random: Random) -> Image:
    import io

    from PIL import Image as pictures

    buffer = io.BytesIO()
    pictures.fromarray(_bytes(image)).save(buffer, "JPEG", quality=(25, 18, 15, 10, 7)[severity])
    return np.asarray(pictures.open(buffer), np.float32) / 255


CORRUPTIONS: dict[str, Callable[[Image, int, Random], Image]] = {
    function.__name__[1:]: function
    for function in (
        _gaussian_noise, _shot_noise, _impulse_noise,
        _defocus_blur, _glass_blur, _motion_blur, _zoom_blur,
        _snow, _frost, _fog, _brightness,
        _contrast, _elastic_transform, _pixelate, _jpeg_compression,
    )
}  # fmt: skip
"""By name: noise, blur, weather, digital; each takes an image, a severity of 0..4 and a random generator."""


def corrupt(image: np.ndarray, name: str, severity: int, number: int = 0) -> np.ndarray:
    """Return a corrupted image; the same ``number`` gives the same one.

    Args:
        image: uint8 (H, W, 3) RGB.
        name: one of ``CORRUPTIONS``.
        severity: 1..5.
        number: of the image, for what is random.

    Raises:
        ConfigError: there is no such corruption or severity.
    """
    check([name], [severity])
    random = np.random.default_rng([zlib.crc32(name.encode()), severity, number])
    return _bytes(CORRUPTIONS[name](image.astype(np.float32) / 255, severity - 1, random))


def check(names: Sequence[str], severities: Sequence[int]) -> None:
    """Raise ConfigError for a corruption or a severity that there is not."""
    for name in names:
        if name not in CORRUPTIONS:
            raise ConfigError(f"there is no corruption '{name}': choose from {', '.join(CORRUPTIONS)}")
    for severity in severities:
        if severity not in SEVERITIES:
            raise ConfigError(f"severity {severity}: choose from {', '.join(map(str, SEVERITIES))}")


def robustness(
    segmenter: Segmenter,
    images: Images,
    remap: Remap,
    clean: float,
    names: Sequence[str] = tuple(CORRUPTIONS),
    severities: Sequence[int] = SEVERITIES,
) -> dict[str, Any]:
    """Return the mean IoU under each corruption at each severity, and their mean as a share of ``clean``.

    Args:
        segmenter: the network.
        images: with their true labels, which no corruption moves.
        remap: the classes that both are scored in.
        clean: mean IoU without any.
        names: which corruptions.
        severities: which of 1..5.

    Raises:
        ConfigError: there is no such corruption or severity.
    """
    check(names, severities)
    found: dict[str, dict[str, float]] = {}
    with tqdm(total=len(names) * len(severities), unit="pass", desc="corruptions") as bar:
        for name in names:
            found[name] = {}
            for severity in severities:

                def change(
                    number: int, image: np.ndarray, name: str = name, severity: int = severity
                ) -> np.ndarray:
                    return corrupt(image, name, severity, number)

                counts = count(segmenter, images, remap, boundaries=False, change=change)
                found[name][str(severity)] = counts.scores.mean_iou
                bar.update()
    mean = float(np.mean([value for values in found.values() for value in values.values()]))
    return {"clean": clean, "mean": mean, "retained": mean / clean if clean else 0.0, "mean_iou": found}


def markdown_table(report: dict[str, Any]) -> str:
    """Return what :func:`robustness` found as Markdown."""
    severities = list(next(iter(report["mean_iou"].values())))
    lines = [
        f"### mean IoU under corruptions (without any: {report['clean']:.3f})",
        "",
        f"| corruption | {' | '.join(severities)} | mean |",
        "|---|" + "---|" * (len(severities) + 1),
    ]
    for name, values in report["mean_iou"].items():
        cells = [f"{value:.3f}" for value in (*values.values(), float(np.mean(list(values.values()))))]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    lines += ["", f"Mean {report['mean']:.3f}: {report['retained']:.1%} of what it is without."]
    return "\n".join(lines) + "\n"


def draw(
    path: Path, segmenter: Segmenter, image: np.ndarray, remap: Remap, names: Sequence[str], severity: int = 3
) -> None:
    """Draw one image under each corruption, and what the network says of it, in rows of five."""
    classes: LabelSet = remap.classes
    width = 320
    size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
    tiles = []
    for name in names:
        seen = corrupt(image, name, severity)
        colored = classes.palette[remap.predicted[segmenter(seen)]]
        pair = [cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (seen, colored)]
        title = np.full((24, width, 3), 255, np.uint8)
        cv2.putText(
            title, name.replace("_", " "), (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA
        )
        tiles.append(np.vstack([title, *pair]))
    columns = min(5, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    cv2.imwrite(str(path), np.vstack(rows)[:, :, ::-1])


def _bytes(image: Image) -> np.ndarray:
    return np.asarray((image * 255).round().clip(0, 255).astype(np.uint8))


def _disk(radius: int, alias: float) -> np.ndarray:
    """Return a disk whose sum is 1, its edge softened: float32 (n, n)."""
    side = max(8, radius)
    rows, columns = np.mgrid[-side : side + 1, -side : side + 1]
    disk = (rows**2 + columns**2 <= radius**2).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(disk / disk.sum(), (3, 3) if radius <= 8 else (5, 5), alias))


def _streak(radius: int, sigma: float, angle: float) -> np.ndarray:
    """Return a line through the middle, fading, whose sum is 1: float32 (n, n); ``angle`` in degrees."""
    side = 2 * radius + 1
    line = np.zeros((side, side), np.float32)
    line[radius] = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    turned = cv2.warpAffine(line, cv2.getRotationMatrix2D((radius, radius), angle, 1), (side, side))
    return np.asarray(turned / turned.sum())


def _cloud(shape: tuple[int, ...], decay: float, random: Random) -> np.ndarray:
    """Return noise in 0..1 whose octaves weigh ``decay`` times less each: float32 (H, W)."""
    height, width = shape
    total = np.zeros((height, width), np.float32)
    cells, weight = 2, 1.0
    while cells <= max(height, width):
        grid = random.random((cells + 1, cells + 1), np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, weight = 2 * cells, weight / decay
    total -= total.min()
    return np.asarray(total / max(float(total.max()), 1e-6))


def _sampled(image: Image, columns: np.ndarray, rows: np.ndarray, way: int) -> Image:
    return np.asarray(cv2.remap(image, columns, rows, way, borderMode=cv2.BORDER_REFLECT_101))
