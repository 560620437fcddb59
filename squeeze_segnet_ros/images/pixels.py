"""Pixel transforms with one definition for training, the CPU and the GPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's RGB values in 0..1, for every network of this package."""


def normalize(
    image: Tensor, mean: Sequence[float] = MEAN, std: Sequence[float] = STD, scale: float = 1 / 255
) -> Tensor:
    """Return (image * scale - mean) / std of uint8 or float (N, 3, H, W), in float32, channel by channel."""
    # Constants made on the device by fill, not by copy, so that a CUDA graph can capture them.
    factor = torch.stack([torch.full((1, 1), scale / s, device=image.device) for s in std])
    shift = torch.stack(
        [torch.full((1, 1), -m / s, device=image.device) for m, s in zip(mean, std, strict=True)]
    )
    return torch.addcmul(shift, image.to(torch.float32), factor)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize float (N, C, h, w) to (N, C, H, W), bilinearly; antialiased when it shrinks."""
    if tuple(image.shape[2:]) == size:
        return image
    if size[0] >= image.shape[2] and size[1] >= image.shape[3]:
        return F.interpolate(image, size, mode="bilinear", align_corners=False)
    # On a CPU there is an antialiased one for fp32 alone.
    resized = F.interpolate(image.float(), size, mode="bilinear", align_corners=False, antialias=True)
    return resized.to(image.dtype)


def resize_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 (N, h, w) to (N, H, W), the nearest label; no value appears that was not there."""
    if tuple(labels.shape[1:]) == size:
        return labels
    return F.interpolate(labels[:, None], size, mode="nearest-exact")[:, 0]


def blend(image: Tensor, labels: Tensor, palette: Tensor, weight: Tensor) -> Tensor:
    """Mix the class colors into an image.

    Args:
        image: uint8 (N, H, W, 3) RGB.
        labels: uint8 (N, H, W).
        palette: uint8 (256, 3), the color of each label.
        weight: float (256,) in 0..1, the share of each label's color.

    Returns:
        uint8 (N, H, W, 3).
    """
    # Seven bits of weight keep every product within int16.
    share = (weight * 128).round().to(torch.int16)
    color = palette.to(torch.int16) * share[:, None] + 64
    index = labels.to(torch.int32)
    mixed = image.to(torch.int16) * (128 - share)[index][..., None]
    return mixed.add_(color[index]).bitwise_right_shift_(7).to(torch.uint8)
