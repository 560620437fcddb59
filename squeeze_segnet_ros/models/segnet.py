"""SegNet and SegNet-Basic (Badrinarayanan, Kendall, Cipolla, arXiv 1511.00561, sections 3 and 3.1).

Every encoder stage ends in 2x2 max-pooling, and the decoder stage that mirrors it puts its input back where
that pooling found its maxima. Widths and kernels follow the authors' ``segnet_train.prototxt`` and
``segnet_basic_train.prototxt``. Pooling rounds up, as in Caffe, so that no border pixel is lost.

Deviations, and why:

* A convolution before a batch norm has no bias. The paper says so of SegNet-Basic, the model files have
  biases; the norm's shift makes them redundant.
* SegNet-Basic's model file puts a local response normalization before the first layer, for raw 0..255
  pixels; on images that are normalized as everywhere in this package it changes nothing to speak of, and is
  left out.
* The last layer scores the data set's classes, 11 for CamVid as in the model files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from squeeze_segnet_ros.models import vgg
from squeeze_segnet_ros.models.blocks import conv_bn_relu
from squeeze_segnet_ros.models.unpooling import MaxPool, max_unpool

BASIC_STAGES = 4
BASIC_WIDTH = 64
BASIC_KERNEL = 7


class _PoolingIndexNetwork(nn.Module):
    """Encoder stages with max-pooling, and decoder stages that undo it with the pooling indices.

    Maps float (N, 3, H, W), normalized RGB, H and W of at least 32, to logits (N, num_classes, H, W).
    """

    def __init__(self, encoder: Sequence[nn.Module], decoder: Sequence[nn.Module]) -> None:
        super().__init__()
        self.pool = MaxPool(2, ceil_mode=True)
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        x = image
        pooled = []
        for stage in self.encoder:
            x, places = self.pool(stage(x))
            pooled.append(places)
        for stage, places in zip(self.decoder, reversed(pooled), strict=True):
            x = stage(max_unpool(x, places))
        return x


class SegNet(_PoolingIndexNetwork):
    """The 13 convolutions of VGG16 with batch norm, and their mirror image as decoder."""

    def __init__(self, num_classes: int) -> None:
        encoder: list[nn.Module] = []
        decoder: list[nn.Module] = []
        before = 3
        for width, depth in zip(vgg.WIDTHS, vgg.VGG16_DEPTHS, strict=True):
            widths = [before, *[width] * depth]
            encoder.append(_convolutions(widths))
            decoder.insert(0, _convolutions(widths[::-1]))
            before = width
        # The image has no features to decode: the last convolution of the mirror image gives the scores.
        first_width = vgg.WIDTHS[0]
        decoder[-1] = nn.Sequential(
            conv_bn_relu(first_width, first_width, 3), nn.Conv2d(first_width, num_classes, 3, padding=1)
        )
        super().__init__(encoder, decoder)

    def convert_encoder_weights(self, tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
        """Map tensors of torchvision's ``vgg16`` or ``vgg16_bn`` to ours: {name there: (name here, tensor)}.

        Without batch norm there, its biases have no place here: our norms begin afresh, as in the paper.
        """
        converted: dict[str, tuple[str, Tensor]] = {}
        for stage, position, conv, norm in vgg.torchvision_convolutions(vgg.VGG16_DEPTHS, tensors):
            ours = f"encoder.{stage}.{position}"
            names = {f"{conv}.weight": f"{ours}.0.weight"}
            if norm:
                names |= {f"{norm}.{kind}": f"{ours}.1.{kind}" for kind in ("weight", "bias", "running_var")}
            converted |= {there: (here, tensors[there]) for there, here in names.items() if there in tensors}
            mean, bias = f"{norm}.running_mean", f"{conv}.bias"
            if mean in tensors and bias in tensors:
                # The convolution's bias lives on in the mean that the norm subtracts.
                shifted = f"{ours}.1.running_mean", tensors[mean] - tensors[bias]
                converted |= {mean: shifted, bias: shifted}
        return converted


class SegNetBasic(_PoolingIndexNetwork):
    """Four encoder and four decoder stages of one 7x7 convolution each, 64 features throughout.

    The decoder has batch norm but no ReLU (section 3.1).
    """

    def __init__(self, num_classes: int) -> None:
        widths = [3, *[BASIC_WIDTH] * BASIC_STAGES]
        encoder = [conv_bn_relu(a, b, BASIC_KERNEL) for a, b in pairwise(widths)]
        decoder = []
        for _ in range(BASIC_STAGES):
            conv, norm, _relu = conv_bn_relu(BASIC_WIDTH, BASIC_WIDTH, BASIC_KERNEL)
            decoder.append(nn.Sequential(conv, norm))
        decoder[-1].append(nn.Conv2d(BASIC_WIDTH, num_classes, 1))
        super().__init__(encoder, decoder)


def _convolutions(widths: Sequence[int]) -> nn.Sequential:
    """Return 3x3 convolutions with batch norm and ReLU between the given numbers of channels."""
    return nn.Sequential(*[conv_bn_relu(a, b, 3) for a, b in pairwise(widths)])


def segnet(num_classes: int) -> SegNet:
    """Build SegNet: 29.4 M parameters, 117.8 MB."""
    return SegNet(num_classes)


def segnet_basic(num_classes: int) -> SegNetBasic:
    """Build SegNet-Basic: 1.42 M parameters."""
    return SegNetBasic(num_classes)
