"""ENet (Paszke, Chaurasia, Kim, Culurciello, arXiv 1606.02147, sections 3 and 4, table 1).

Widths, kernels, norms and dropout follow the paper and the authors' Torch files
``train/models/encoder.lua`` and ``train/models/decoder.lua``: the decoder has ReLU where the encoder has
PReLU, and no dropout; bottleneck 5.0 unpools with the indices of bottleneck 1.0; the last deconvolution
upsamples by itself.

Deviations, and why:

* A convolution before a batch norm has no bias; the norm's shift makes it redundant. (The paper drops them
  in the projections, the Torch files keep those of the middle and of the initial convolution.)
* The initial block's batch norm is two, one for the convolution's 13 channels and one for the 3 pooled
  ones: the same function, but the first folds into the convolution.
* Inputs of odd size are padded by one row or column before each downsampling, and upsampling is cut to the
  size that was. For even sizes nothing changes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from squeeze_segnet_ros.models.unpooling import MaxPool, Places, max_unpool

INITIAL_CONV_CHANNELS = 13
STAGE1_CHANNELS = 64
STAGE2_CHANNELS = 128
PROJECTION_RATIO = 4
STAGE1_DROPOUT = 0.01
STAGE2_DROPOUT = 0.1
BATCH_NORM_EPS = 1e-3
ASYMMETRIC_KERNEL = 5
STAGE2_ROW: tuple[tuple[str, int], ...] = (
    ("regular", 1),
    ("dilated", 2),
    ("asymmetric", 1),
    ("dilated", 4),
    ("regular", 1),
    ("dilated", 8),
    ("asymmetric", 1),
    ("dilated", 16),
)
"""Kind and dilation of bottlenecks 2.1 to 2.8; stage 3 repeats them."""


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)


def _conv_norm(in_channels: int, out_channels: int, kernel_size: int = 1, stride: int = 1) -> nn.Sequential:
    """Return a convolution without padding, batch norm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride, bias=False), _norm(out_channels)
    )


def _pad_to_even(x: Tensor) -> Tensor:
    """Add a row or column of zeros below or right of an odd-sized (N, C, H, W)."""
    return F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))


class InitialBlock(nn.Module):
    """A 3x3 convolution with stride 2 beside 2x2 max-pooling, concatenated (figure 2a): 3 -> 16 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, INITIAL_CONV_CHANNELS, 3, stride=2, padding=1, bias=False),
            _norm(INITIAL_CONV_CHANNELS),
        )
        self.pool = nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), _norm(3))
        self.activation = nn.PReLU(INITIAL_CONV_CHANNELS + 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.activation(torch.cat((self.conv(image), self.pool(image)), 1))


class Bottleneck(nn.Module):
    """A residual block: projection, 3x3 convolution, expansion beside the identity (figure 2b).

    Args:
        channels: of input and output.
        dropout: probability that spatial dropout drops a channel of the residual.
        kind: "regular", "dilated" or "asymmetric" (a row of 5, then a column of 5, as in the Torch file).
        dilation: of the 3x3 convolution.
        activation: of this block, called with a number of channels.
    """

    def __init__(
        self,
        channels: int,
        dropout: float = 0.0,
        kind: str = "regular",
        dilation: int = 1,
        activation: type[nn.PReLU | nn.ReLU] = nn.PReLU,
    ) -> None:
        super().__init__()
        inner = channels // PROJECTION_RATIO
        if kind == "asymmetric":
            margin = ASYMMETRIC_KERNEL // 2
            middle = [
                nn.Conv2d(inner, inner, (1, ASYMMETRIC_KERNEL), padding=(0, margin), bias=False),
                nn.Conv2d(inner, inner, (ASYMMETRIC_KERNEL, 1), padding=(margin, 0), bias=False),
            ]
        else:
            middle = [nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation, bias=False)]
        self.residual = nn.Sequential(
            *_conv_norm(channels, inner),
            _activation(activation, inner),
            *middle,
            _norm(inner),
            _activation(activation, inner),
            *_conv_norm(inner, channels),
            nn.Dropout2d(dropout),
        )
        self.activation = _activation(activation, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x + self.residual(x))


class DownsamplingBottleneck(nn.Module):
    """Halves the size: a 2x2 projection with stride 2, a 3x3, an expansion beside zero-padded max-pooling."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        inner = out_channels // PROJECTION_RATIO
        self.extra_channels = out_channels - in_channels
        self.pool = MaxPool(2)
        self.residual = nn.Sequential(
            *_conv_norm(in_channels, inner, 2, stride=2),
            nn.PReLU(inner),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            _norm(inner),
            nn.PReLU(inner),
            *_conv_norm(inner, out_channels),
            nn.Dropout2d(dropout),
        )
        self.activation = nn.PReLU(out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Places]:
        """Map (N, in, H, W) to (N, out, h, w) and the places of (N, in, h, w) maxima in 2h x 2w."""
        x = _pad_to_even(x)
        pooled, places = self.pool(x)
        pooled = F.pad(pooled, (0, 0, 0, 0, 0, self.extra_channels))
        return self.activation(pooled + self.residual(x)), places


class UpsamplingBottleneck(nn.Module):
    """Doubles the size: projection, 3x3 deconvolution, expansion beside a projection that is unpooled."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        inner = out_channels // PROJECTION_RATIO
        self.main = _conv_norm(in_channels, out_channels)
        self.residual = nn.Sequential(
            *_conv_norm(in_channels, inner),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(inner, inner, 3, stride=2, padding=1, output_padding=1, bias=False),
            _norm(inner),
            nn.ReLU(inplace=True),
            *_conv_norm(inner, out_channels),
        )

    def forward(self, x: Tensor, places: Places, output_size: tuple[int, int]) -> Tensor:
        """Map (N, in, h, w) and the places of (N, out, h, w) maxima to (N, out, *output_size)."""
        unpooled = max_unpool(self.main(x), places)
        x = F.relu(unpooled + self.residual(x))
        return x[:, :, : output_size[0], : output_size[1]]


def _activation(kind: type[nn.PReLU | nn.ReLU], channels: int) -> nn.Module:
    return nn.PReLU(channels) if kind is nn.PReLU else nn.ReLU(inplace=True)


class ENet(nn.Module):
    """ENet.

    Maps float (N, 3, H, W), normalized RGB, H and W of at least 32, to logits (N, num_classes, H, W).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        initial_channels = INITIAL_CONV_CHANNELS + 3
        self.initial = InitialBlock()
        self.down1 = DownsamplingBottleneck(initial_channels, STAGE1_CHANNELS, STAGE1_DROPOUT)
        self.stage1 = nn.Sequential(*[Bottleneck(STAGE1_CHANNELS, STAGE1_DROPOUT) for _ in range(4)])
        self.down2 = DownsamplingBottleneck(STAGE1_CHANNELS, STAGE2_CHANNELS, STAGE2_DROPOUT)
        self.stage2 = self._stage2()
        self.stage3 = self._stage2()
        self.up4 = UpsamplingBottleneck(STAGE2_CHANNELS, STAGE1_CHANNELS)
        self.stage4 = nn.Sequential(*[Bottleneck(STAGE1_CHANNELS, activation=nn.ReLU) for _ in range(2)])
        self.up5 = UpsamplingBottleneck(STAGE1_CHANNELS, initial_channels)
        self.stage5 = Bottleneck(initial_channels, activation=nn.ReLU)
        self.full_conv = nn.ConvTranspose2d(initial_channels, num_classes, 2, stride=2)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    @staticmethod
    def _stage2() -> nn.Sequential:
        return nn.Sequential(*[Bottleneck(STAGE2_CHANNELS, STAGE2_DROPOUT, *row) for row in STAGE2_ROW])

    def forward(self, image: Tensor) -> Tensor:
        half = self.initial(image)
        quarter, places1 = self.down1(half)
        quarter = self.stage1(quarter)
        eighth, places2 = self.down2(quarter)
        eighth = self.stage3(self.stage2(eighth))
        x = self.stage4(self.up4(eighth, places2, _size(quarter)))
        x = self.stage5(self.up5(x, places1, _size(half)))
        return self.full_conv(x)[:, :, : image.shape[2], : image.shape[3]]


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[2], x.shape[3]


def enet(num_classes: int) -> ENet:
    """Build ENet: 0.36 M parameters, 1.5 MB."""
    return ENet(num_classes)
