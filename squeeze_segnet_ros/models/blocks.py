"""The building blocks that the networks share.

``Fire`` is SqueezeNet's module (arXiv 1602.07360, section 3.1), ``DFire`` its inverse in Squeeze-SegNet's
decoder (arXiv 1711.05491, section 3.2).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    """Return a size-keeping convolution, batch norm, ReLU; the norm folds into the convolution later."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class Fire(nn.Module):
    """SqueezeNet's Fire: a 1x1 squeeze, then 1x1 and 3x3 expansions side by side, concatenated.

    (N, in_channels, H, W) -> (N, 2 * expand, H, W).
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(in_channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze1x1(x))
        return torch.cat((F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))), 1)


class DFire(nn.Module):
    """The inverse of a Fire: 1x1 and 3x3 expansions side by side, concatenated, then a 1x1 squeeze.

    (N, in_channels, H, W) -> (N, out_channels, H, W). Each expansion is ``in_channels // 8`` wide.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        expand = in_channels // 8
        self.expand1x1 = conv_bn_relu(in_channels, expand, 1)
        self.expand3x3 = conv_bn_relu(in_channels, expand, 3)
        self.squeeze1x1 = conv_bn_relu(2 * expand, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.squeeze1x1(torch.cat((self.expand1x1(x), self.expand3x3(x)), 1))
