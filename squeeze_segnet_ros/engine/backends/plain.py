"""A PyTorch network as it is, behind the normalization that it was trained with."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from squeeze_segnet_ros.engine.scores import Scores
from squeeze_segnet_ros.images.pixels import MEAN, STD, normalize


class Normalization(NamedTuple):
    """Mean and standard deviation of red, green and blue in 0..1 that a network's images have."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalization(MEAN, STD)


class PlainNetwork(nn.Module):
    """Maps RGB in 0..255, uint8 or float (N, 3, H, W), to :class:`Scores`."""

    def __init__(self, network: nn.Module, dtype: torch.dtype, normalization: Normalization) -> None:
        super().__init__()
        self.dtype = dtype
        self.normalization = normalization
        self.network = network.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, rgb: Tensor) -> Scores:
        image = normalize(rgb, *self.normalization)  # float32 (N, 3, H, W)
        logits = self.network(image.to(self.dtype, memory_format=torch.channels_last))  # (N, K, H, W)
        return Scores.of_logits(logits)
