"""Augmentation on the training device, a whole batch at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.data.crops import Crop
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
    does (arXiv 2007.07936). Where no names are given, both are the classes with less than 2 % of the labelled
    pixels of what is trained on.
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
    rare_classes: tuple[str, ...] = ()
    paste_share: float = 0.0
    pasted_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"scale is {list(self.scale)}: give the least zoom, above 0, and the largest")
        for key in ("rare_class_share", "paste_share"):
            if not 0 <= getattr(self, key) <= 1:
                raise ConfigError(f"{key} is {getattr(self, key)}: it is a share in 0..1")


def draw_crop(config: AugmentConfig, generator: torch.Generator, shows: int = -1) -> Crop:
    """Return a crop of random zoom, angle, side and place; ``shows``: class that it must show, or -1."""
    zoom, angle, side, y, x, pixel = torch.rand(6, generator=generator).tolist()
    low, high = map(math.log, config.scale)
    return Crop(
        config.crop,
        math.exp(low + zoom * (high - low)),
        math.radians((2 * angle - 1) * config.rotation),
        -1.0 if config.flip and side < 0.5 else 1.0,
        (y, x),
        shows,
        pixel,
    )


def warp(image: Tensor, labels: Tensor, theta: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return a crop out of a part of an image.

    Args:
        image: uint8 (h, w, 3) RGB.
        labels: uint8 (h, w).
        theta: float (2, 3), as :class:`~squeeze_segnet_ros.data.crops.Cut` has it.
        size: height and width of the crop.

    Returns:
        float (1, 3, H, W) in 0..255 and uint8 (1, H, W); what lies outside the image is black and 255.
    """
    grid = F.affine_grid(theta[None], [1, 1, *size], align_corners=False)
    # 255 - label keeps 0, grid_sample's padding, for what lies outside.
    flipped = (UNLABELLED - labels.float())[None, None]
    flipped = F.grid_sample(flipped, grid, mode="nearest", align_corners=False)
    pixels = image.permute(2, 0, 1)[None].float()
    return (
        F.grid_sample(pixels, grid, mode="bilinear", align_corners=False),
        (UNLABELLED - flipped[:, 0]).to(torch.uint8),
    )


def augment(
    images: Tensor,
    labels: Tensor,
    config: AugmentConfig,
    generator: torch.Generator,
    pasted: Sequence[int] = (),
) -> tuple[Tensor, Tensor]:
    """Change the light of crops, and paste classes of one onto another.

    Args:
        images: float (N, 3, h, w) RGB in 0..255.
        labels: uint8 (N, h, w).
        config: how strongly.
        generator: source of randomness, on the CPU.
        pasted: ids of the classes that are pasted.

    Returns:
        the same, changed.
    """
    images = _change_light(images, config, generator)
    if config.paste_share and pasted and len(images) > 1:
        images, labels = _paste(images, labels, config, generator, pasted)
    return images, labels


def _uniform(generator: torch.Generator, n: int, low: float, high: float, device: torch.device) -> Tensor:
    return (torch.rand(n, generator=generator) * (high - low) + low).to(device)


def _paste(
    images: Tensor,
    labels: Tensor,
    config: AugmentConfig,
    generator: torch.Generator,
    pasted: Sequence[int],
) -> tuple[Tensor, Tensor]:
    """Paste the pixels of some classes of another crop of the batch onto a share of the crops."""
    n, device = len(images), images.device
    donor = (torch.arange(n) + 1 + torch.randint(n - 1, (), generator=generator)) % n
    receives = (_uniform(generator, n, 0, 1, device) < config.paste_share).view(n, 1, 1)
    donor = donor.to(device)
    mask = torch.isin(labels[donor], torch.tensor(pasted, device=device)) & receives
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
