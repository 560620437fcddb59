"""Squeeze-SegNet (Nanfack, Elhassouny, Oulad Haj Thami, arXiv 1711.05491, section 3).

Encoder: SqueezeNet without its average pooling. Decoder: a 1x1 convolution that inverts conv10, then a DFire
for each Fire in reverse order with max-unpooling by the encoder's indices in between, and last a 3x3
deconvolution with stride 2 that inverts conv1 and gives the class scores, averaged over 3x3 pixels.

How the paper was read, where it leaves a choice, and where we deviate:

* The table's 2.7 M parameters and 10.35 MB come out (2,709,707 and 10.34 MiB with batch norm folded) with
  expansions of C/8 in every DFire and conv10 and its inverse 512 to 512; the text gives no widths.
* The text says the first layer is "of size 3" and praises its large receptive field; we take SqueezeNet
  v1.0's 7x7 stem with 96 filters, which has one and for which ImageNet weights exist.
  ``squeeze_segnet_v11`` has the 3x3 stem.
* The last deconvolution of size 3 undoes a stem of size 7, so by itself it ends 2 pixels short of the border
  on each side; its input is padded by repeating the border, which gives an output of exactly the input's
  size, for any input, with each score at the center of the stem's window.
* The class scores are averaged over 3x3 pixels, which the paper does not have and which takes no parameters:
  max-unpooling leaves most of the deconvolution's input zero, at other places in every channel, and every
  fourth pixel sees one position of it. Without the average, single pixels have wrong labels all over.
* The decoder's convolutions carry batch norm, which the paper does not name; it folds away for inference.
  The encoder has none, like SqueezeNet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from squeeze_segnet_ros.images.pixels import MEAN, STD
from squeeze_segnet_ros.models.blocks import DFire, Fire, conv_bn_relu
from squeeze_segnet_ros.models.unpooling import MaxPool, Places, max_unpool


class FireRow(NamedTuple):
    """One Fire of SqueezeNet's table: its name, its squeeze width, the width of each expansion."""

    name: str
    squeeze: int
    expand: int


FIRES = (
    FireRow("fire2", 16, 64),
    FireRow("fire3", 16, 64),
    FireRow("fire4", 32, 128),
    FireRow("fire5", 32, 128),
    FireRow("fire6", 48, 192),
    FireRow("fire7", 48, 192),
    FireRow("fire8", 64, 256),
    FireRow("fire9", 64, 256),
)
CONV10_CHANNELS = 512
_CAFFE_MEAN_RGB = (123.0, 117.0, 104.0)


class SqueezeSegNet(nn.Module):
    """Squeeze-SegNet on the layout of SqueezeNet v1.0 or v1.1.

    Args:
        num_classes: number of class scores per pixel.
        stem_channels: filters of conv1.
        stem_size: kernel size of conv1, which has stride 2 and no padding.
        pool_after: names of the layers that are followed by 3x3 max-pooling with stride 2.

    Maps float (N, 3, H, W), normalized RGB, H and W of at least 32, to logits (N, num_classes, H, W).
    """

    def __init__(
        self, num_classes: int, stem_channels: int, stem_size: int, pool_after: Sequence[str]
    ) -> None:
        super().__init__()
        self.pool_after = frozenset(pool_after)
        self.conv1 = nn.Conv2d(3, stem_channels, stem_size, stride=2)
        self.pool = MaxPool(3, ceil_mode=True)
        self.encoder = nn.ModuleDict()
        self.decoder = nn.ModuleDict()
        channels = stem_channels
        for fire in FIRES:
            self.encoder[fire.name] = Fire(channels, fire.squeeze, fire.expand)
            self.decoder[fire.name] = DFire(2 * fire.expand, channels)
            channels = 2 * fire.expand
        self.conv10 = nn.Conv2d(channels, CONV10_CHANNELS, 1)
        self.conv10_relu = nn.ReLU(inplace=True)
        self.inverse_conv10 = conv_bn_relu(CONV10_CHANNELS, channels, 1)
        self.inverse_conv1 = nn.ConvTranspose2d(stem_channels, num_classes, 3, stride=2)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def convert_encoder_weights(self, tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
        """Map tensors of a Caffe SqueezeNet (``conv1.weight``, ``fire2/squeeze1x1.weight``, ...) to ours.

        The Caffe networks take BGR in 0..255 minus a mean; conv1 is rewritten so that it gives the same
        values for RGB normalized as in all of this package. Returns {name there: (name here, tensor)}.
        """
        converted = {}
        for source, tensor in tensors.items():
            layer, _, kind = source.rpartition(".")
            if layer.startswith("fire"):
                converted[source] = f"encoder.{layer.replace('/', '.')}.{kind}", tensor
        if {"conv1.weight", "conv1.bias"} <= set(tensors):
            weight = tensors["conv1.weight"].flip(1)
            std, mean = torch.tensor(STD), torch.tensor(MEAN)
            offset = 255 * mean - torch.tensor(_CAFFE_MEAN_RGB)
            bias = tensors["conv1.bias"] + (weight * offset.view(1, 3, 1, 1)).sum((1, 2, 3))
            converted["conv1.weight"] = "conv1.weight", weight * (255 * std).view(1, 3, 1, 1)
            converted["conv1.bias"] = "conv1.bias", bias
        return converted

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        x = self.between(F.relu(self.conv1(image)))  # (N, stem_channels, h, w)
        x, first = self.repeat_border(x, (height, width))
        logits = F.avg_pool2d(self.inverse_conv1(x), 3, stride=1)
        return logits[:, :, first : first + height, first : first + width]

    def between(self, x: Tensor) -> Tensor:
        """Return the input of the last deconvolution for the output of the first convolution.

        Both are (N, stem_channels, h, w).
        """
        pooled: dict[str, Places] = {}

        def pool_if_due(name: str, x: Tensor) -> Tensor:
            if name not in self.pool_after:
                return x
            x, pooled[name] = self.pool(x)
            return x

        def unpool_if_due(name: str, x: Tensor) -> Tensor:
            return max_unpool(x, pooled[name]) if name in pooled else x

        x = pool_if_due("conv1", x)
        for name, fire in self.encoder.items():
            x = pool_if_due(name, fire(x))
        x = self.inverse_conv10(self.conv10_relu(self.conv10(x)))
        for name, dfire in reversed(list(self.decoder.items())):
            x = dfire(unpool_if_due(name, x))
        return unpool_if_due("conv1", x)

    def repeat_border(self, x: Tensor, image_size: tuple[int, int]) -> tuple[Tensor, int]:
        """Pad the input of the last deconvolution, (N, stem_channels, h, w), by repeating its border.

        Returns:
            the padded input, and the row and column of the averages where the image begins.
        """
        # Stem window i is centered on pixel 2 i + stem_size // 2, and its averages on row 2 i of theirs.
        before = self.conv1.kernel_size[0] // 4 + 1
        first = 2 * before - self.conv1.kernel_size[0] // 2
        after_height, after_width = (
            max(0, (first + size + 2) // 2 - before - windows)
            for size, windows in zip(image_size, x.shape[2:], strict=True)
        )
        return F.pad(x, (before, after_width, before, after_height), mode="replicate"), first


def squeeze_segnet(num_classes: int) -> SqueezeSegNet:
    """Build Squeeze-SegNet on SqueezeNet v1.0, the paper's: 2.71 M parameters, 14.8 GFLOP at 480x360."""
    return SqueezeSegNet(num_classes, 96, 7, ("conv1", "fire4", "fire8"))


def squeeze_segnet_v11(num_classes: int) -> SqueezeSegNet:
    """Build the same on SqueezeNet v1.1, which pools earlier: 2.69 M parameters, 6.6 GFLOP at 480x360."""
    return SqueezeSegNet(num_classes, 64, 3, ("conv1", "fire3", "fire5"))
