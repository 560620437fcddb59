"""Augmentation on the training device, a whole batch at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from squeeze_segnet_ros.classes import CAMVID, UNLABELLED
from squeeze_segnet_ros.errors import ConfigError


@dataclass(frozen=True)
class AugmentConfig:
    """How strongly images are changed.

    ``scale`` is the range of the zoom, ``rotation`` the largest angle in degrees; ``brightness``,
    ``contrast``, ``saturation`` and ``gamma`` are the largest relative changes (0 for none); ``color_cast``
    the largest relative change of a single channel; ``shade`` the largest darkening of a half-plane, as a
    cast shadow; ``blur`` and ``noise`` the largest standard deviations in pixels and gray levels.
    ``rare_class_share`` is the share of crops that are laid around a pixel of one of ``rare_classes``;
    ``paste_share`` the share of crops onto which another crop's ``pasted_classes`` are pasted, as ClassMix
    does (arXiv 2007.07936).
    """

    crop: tuple[int, int] = (288, 384)
    scale: tuple[float, float] = (0.66, 1.7)
    flip: bool = True
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    gamma: float = 0.0
    color_cast: float = 0.0
    shade: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    rare_class_share: float = 0.0
    rare_classes: tuple[str, ...] = ("pole", "sign", "fence", "pedestrian", "bicyclist")
    paste_share: float = 0.0
    pasted_classes: tuple[str, ...] = ("pole", "sign", "pedestrian", "bicyclist")

    def __post_init__(self) -> None:
        for name in (*self.rare_classes, *self.pasted_classes):
            if name not in CAMVID.names:
                raise ConfigError(f"there is no class '{name}': choose from {', '.join(CAMVID.names)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"scale is {list(self.scale)}: give the least zoom, above 0, and the largest")
        for key in ("rare_class_share", "paste_share"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"{key} is {getattr(self, key)}: it is a share in 0..1")


_KEPT_FROM_EDGE = 0.1
"""How much of half a crop must lie between its edge and a point that it must show."""


def augment(
    images: Tensor,
    labels: Tensor,
    config: AugmentConfig,
    generator: torch.Generator,
    points: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return random crops of random zoom, side and light.

    Args:
        images: uint8 (N, 3, H, W) RGB.
        labels: uint8 (N, H, W).
        config: the ranges of zoom, light and the rest.
        generator: source of randomness, on the CPU.
        points: float (N, 2), row and column of a pixel that each crop must show; NaN where any crop will do.

    Returns:
        float (N, 3, h, w) in 0..255 and uint8 (N, h, w), with (h, w) the crop's size; what lies outside the
        image is black and 255.
    """
    images, labels = _crop(images, labels, config, generator, points)
    images = _change_light(images, config, generator)
    if config.paste_share and len(images) > 1:
        images, labels = _paste(images, labels, config, generator)
    return images, labels


def _uniform(generator: torch.Generator, n: int, low: float, high: float, device: torch.device) -> Tensor:
    return (torch.rand(n, generator=generator) * (high - low) + low).to(device)


def _crop(
    images: Tensor,
    labels: Tensor,
    config: AugmentConfig,
    generator: torch.Generator,
    points: Tensor | None,
) -> tuple[Tensor, Tensor]:
    n, _, height, width = images.shape
    device = images.device
    zoom = torch.exp(_uniform(generator, n, math.log(config.scale[0]), math.log(config.scale[1]), device))
    angle = torch.deg2rad(_uniform(generator, n, -config.rotation, config.rotation, device))
    side = torch.where(_uniform(generator, n, 0, 1, device) < 0.5, -1.0, 1.0) if config.flip else 1.0
    # Half the extent of the crop in the image, in pixels; its center may lie where the crop stays inside.
    half_h, half_w = config.crop[0] / 2 / zoom, config.crop[1] / 2 / zoom
    free_h, free_w = (height / 2 - half_h).clamp_min(0), (width / 2 - half_w).clamp_min(0)
    point_y, point_x = (None, None) if points is None else points.to(device).unbind(1)
    center_y = _center(generator, free_h, half_h, None if point_y is None else point_y + 0.5 - height / 2)
    center_x = _center(generator, free_w, half_w, None if point_x is None else point_x + 0.5 - width / 2)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = side * angle.cos() * half_w / (width / 2)
    theta[:, 0, 1] = -angle.sin() * half_h / (width / 2)
    theta[:, 0, 2] = center_x / (width / 2)
    theta[:, 1, 0] = side * angle.sin() * half_w / (height / 2)
    theta[:, 1, 1] = angle.cos() * half_h / (height / 2)
    theta[:, 1, 2] = center_y / (height / 2)
    grid = F.affine_grid(theta, [n, 1, *config.crop], align_corners=False)
    images = F.grid_sample(images.float(), grid, mode="bilinear", align_corners=False)
    # 255 - label keeps 0, grid_sample's padding, for what lies outside.
    flipped = UNLABELLED - labels[:, None].float()
    flipped = F.grid_sample(flipped, grid, mode="nearest", align_corners=False)
    return images, (UNLABELLED - flipped[:, 0]).to(torch.uint8)


def _center(generator: torch.Generator, free: Tensor, half: Tensor, point: Tensor | None) -> Tensor:
    """Return centers of crops along one axis, (N,), from the image's: in -free..free, near ``point``."""
    low, high = -free, free
    if point is not None:
        reach = (1 - _KEPT_FROM_EDGE) * half
        near = (point - reach).clamp(-free, free), (point + reach).clamp(-free, free)
        low, high = (torch.where(point.isnan(), a, b) for a, b in zip((low, high), near, strict=True))
    return low + _uniform(generator, len(free), 0, 1, free.device) * (high - low)


def _paste(
    images: Tensor, labels: Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Paste the pixels of some classes of another crop of the batch onto a share of the crops."""
    n, device = len(images), images.device
    donor = (torch.arange(n) + 1 + torch.randint(n - 1, (), generator=generator)) % n
    receives = (_uniform(generator, n, 0, 1, device) < config.paste_share).view(n, 1, 1)
    donor = donor.to(device)
    pasted = torch.tensor([CAMVID.names.index(name) for name in config.pasted_classes], device=device)
    mask = torch.isin(labels[donor], pasted) & receives
    return torch.where(mask[:, None], images[donor], images), torch.where(mask, labels[donor], labels)


def _change_light(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    n, _, height, width = images.shape
    device = images.device

    def factor(strength: float, channels: int = 1) -> Tensor:
        return 1 + _uniform(generator, n * channels, -strength, strength, device).view(n, channels, 1, 1)

    if config.gamma:
        images = 255 * (images / 255).clamp(0, 1) ** factor(config.gamma)
    images = images * factor(config.brightness) * factor(config.color_cast, 3)
    gray = images.mean(1, keepdim=True)
    images = gray + (images - gray) * factor(config.saturation)
    level = gray.mean((2, 3), keepdim=True)
    images = level + (images - level) * factor(config.contrast)
    if config.shade:
        angle = _uniform(generator, n, 0, 2 * math.pi, device).view(n, 1, 1, 1)
        offset = _uniform(generator, n, -0.6, 0.6, device).view(n, 1, 1, 1)
        y = torch.linspace(-1, 1, height, device=device).view(1, 1, height, 1)
        x = torch.linspace(-1, 1, width, device=device).view(1, 1, 1, width)
        side = torch.sigmoid((x * angle.cos() + y * angle.sin() + offset) * 20)
        depth = _uniform(generator, n, -config.shade, config.shade, device).clamp_min(0).view(n, 1, 1, 1)
        images = images * (1 - depth * side)
    if config.blur:
        images = _blur(images, _uniform(generator, n, -config.blur, config.blur, device).clamp_min(0.05))
    if config.noise:
        sigma = _uniform(generator, n, 0, config.noise, device).view(n, 1, 1, 1)
        images = images + sigma * torch.randn(images.shape, generator=generator).to(device)
    return images.clamp(0, 255)


def _blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur with a Gaussian of 5x5 and one sigma an image."""
    n, c, height, width = images.shape
    steps = torch.arange(-2, 3, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0)
    flat = F.pad(images, (2, 2, 2, 2), mode="replicate").view(1, n * c, height + 4, width + 4)
    flat = F.conv2d(flat, kernel.view(n * c, 1, 1, 5), groups=n * c)
    return F.conv2d(flat, kernel.view(n * c, 1, 5, 1), groups=n * c).view(n, c, height, width)
