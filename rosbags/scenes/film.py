"""The camera: where it is, and how its film turns radiance into the picture of a 2008 dashboard camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Lens:
    """A pinhole camera without distortion: size and focal length in pixels, principal point in the middle."""

    width: int = 480
    height: int = 360
    focal: float = 440.0

    @property
    def field_of_view(self) -> float:
        """Horizontal, in degrees."""
        return float(np.degrees(2 * np.arctan(self.width / 2 / self.focal)))


@dataclass(frozen=True)
class Pose:
    """Position in the world (meters) and radians: ``yaw`` to the left, ``pitch`` up, ``roll`` clockwise."""

    position: np.ndarray
    yaw: float
    pitch: float = 0.0
    roll: float = 0.0

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return unit vectors of the view's direction and of the image's upward side."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        ahead = np.array([cy * cp, sy * cp, sp])
        up, right = np.array([-cy * sp, -sy * sp, cp]), np.array([sy, -cy, 0])
        return ahead, up * np.cos(self.roll) + right * np.sin(self.roll)


@dataclass(frozen=True)
class Film:
    """How a picture is developed. ``exposure`` is the sRGB value, 0..1, that the street's median gets."""

    exposure: float = 0.34
    contrast: float = 0.35
    saturation: float = 0.85
    warmth: float = 0.0
    blur: float = 0.5
    noise: float = 0.012
    vignette: float = 0.22
    veil: float = 0.025

    @staticmethod
    def random(rng: np.random.Generator) -> Film:
        """Return a film as one of CamVid's sequences might have had it, from dusk to an overexposed noon."""
        return Film(
            exposure=float(np.clip(rng.normal(0.35, 0.055), 0.24, 0.48)),
            contrast=rng.uniform(0.2, 0.55),
            saturation=rng.uniform(0.65, 1.0),
            warmth=rng.normal(0, 0.03),
            blur=rng.uniform(0.4, 0.8),
            noise=rng.uniform(0.006, 0.02),
            vignette=rng.uniform(0.1, 0.35),
            veil=rng.uniform(0.01, 0.05),
        )

    def meter(self, radiance: np.ndarray, ground: np.ndarray) -> float:
        """Return the factor that brings the median of the pixels ``ground``, bool (H, W), to ``exposure``."""
        luminance = radiance.mean(2)[ground]
        median = float(np.median(luminance)) if luminance.size else float(radiance.mean())
        return float(np.clip(_to_linear(self.exposure) / max(median, 1e-4), 0.02, 3.0))

    def develop(self, rng: np.random.Generator, radiance: np.ndarray, gain: float) -> np.ndarray:
        """Return linear radiance, float (H, W, 3), times ``gain`` as uint8 sRGB (H, W, 3)."""
        rows, columns = radiance.shape[:2]
        light = np.minimum(radiance * gain, 4.0).astype(np.float32)
        light *= np.array([1 + self.warmth, 1.0, 1 - self.warmth], np.float32)
        light += self.veil * cv2.GaussianBlur(light, (0, 0), columns / 10)
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), self.blur * columns / 480), np.float32)
        y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
        light *= (1 - self.vignette * (x**2 + y**2) / 2).astype(np.float32)[..., None]
        grain = rng.standard_normal((*light.shape[:2], 3)).astype(np.float32)
        grain = 0.6 * grain + 0.8 * grain.mean(2, keepdims=True)
        light += grain * self.noise * np.sqrt(np.maximum(light, 0) * 0.5 + 0.002)
        gray = light.mean(2, keepdims=True)
        light = np.clip(gray + self.saturation * (light - gray), 0, 1)
        image = _to_srgb(light)
        # An S-curve around the median: the shadows of these cameras are close to black.
        curve = image - self.contrast * np.sin(2 * np.pi * np.clip(image, 0, 1)) / (2 * np.pi)
        sharp = curve + 0.35 * (curve - cv2.GaussianBlur(curve, (0, 0), 1.2 * columns / 480))
        return (np.clip(sharp, 0, 1) * 255 + 0.5).astype(np.uint8)


def hazy(radiance: np.ndarray, depth: np.ndarray, haze: float, sky: np.ndarray) -> np.ndarray:
    """Fade radiance into the mean of the ``sky`` with ``depth``, float (H, W) in meters, as air does."""
    veil = sky[sky.shape[0] * 3 // 8 : sky.shape[0] // 2].mean((0, 1)) * 0.8
    kept = np.exp(-depth / haze)[..., None]
    return radiance * kept + veil * (1 - kept)


def denoise(radiance: np.ndarray, albedo: np.ndarray, normal: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Smooth the light, not the surfaces: an edge-avoiding wavelet filter over radiance / albedo.

    All are float (H, W, 3), but ``depth`` (H, W). A pixel takes from its neighbors as far as normal, depth
    and albedo agree.
    """
    base = np.maximum(albedo, 0) + 0.03
    light = np.minimum(radiance / base, 60.0).astype(np.float32)
    # A path that met the sun by chance leaves a lone bright pixel.
    calm = np.stack([cv2.medianBlur(np.ascontiguousarray(light[..., c]), 5) for c in range(3)], -1)
    light = np.where(light.mean(2, keepdims=True) > 2.5 * calm.mean(2, keepdims=True) + 0.05, calm, light)
    near = np.log1p(depth).astype(np.float32)
    guide = np.concatenate(
        [normal * 2.2, near[..., None] * 6.0, np.sqrt(np.maximum(albedo, 0)) * 3.0], 2
    ).astype(np.float32)
    for level in range(4):
        step = 1 << level
        total, weights = np.zeros_like(light), np.zeros(light.shape[:2], np.float32)
        brightness = np.log(cv2.GaussianBlur(light.mean(2), (0, 0), 1.0) + 0.05)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                shifted, other = _shift(light, dy * step, dx * step), _shift(guide, dy * step, dx * step)
                distance = ((guide - other) ** 2).sum(2)
                contrast = (brightness - _shift(brightness, dy * step, dx * step)) ** 2
                weight = (0.5 ** (abs(dy) + abs(dx))) * np.exp(-distance * 4 - contrast * 2 * 2**level)
                total += shifted * weight[..., None]
                weights += weight
        light = total / weights[..., None]
    return np.where((depth > 0)[..., None], light * base, radiance)


def _shift(array: np.ndarray, dy: int, dx: int) -> np.ndarray:
    rows = np.clip(np.arange(array.shape[0]) + dy, 0, array.shape[0] - 1)
    columns = np.clip(np.arange(array.shape[1]) + dx, 0, array.shape[1] - 1)
    return array[rows][:, columns]


def _to_linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _to_srgb(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-6) ** (1 / 2.4) - 0.055)
