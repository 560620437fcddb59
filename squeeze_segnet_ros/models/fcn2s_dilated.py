"""FCN-2s-Dilated on VGG16 and VGG19 (Kamran, Hasan, Sabbir, arXiv 1707.08254).

VGG made fully convolutional: a 3x3 convolution with dilation 3 takes the place of the 7x7 fc6, whose field
it spans with 9 of its 49 taps, and fc7 becomes 1x1. Class scores of fc7 and of the four poolings pool4,
pool3, pool2 and pool1 are summed coarse to fine, each sum upsampled by two, down to stride 2; a last
upsampling by two gives the image's size. Widths and kernels follow the authors'
``Dilated_FCN-2s_VGG16/train.prototxt`` and ``Dilated_FCN-2s_VGG19/deploy.prototxt``: 4096 features in fc6
and fc7. The "one third" of FCN-8s's 134 M parameters that they speak of is a round figure: what their files
describe has 50.4 M (0.38) on VGG16 and 55.7 M (0.41) on VGG19, of which fc6 and fc7 are 35.7 M. Pooling
rounds up, as in Caffe.

Deviations, and why:

* The model files pad the image by 100 pixels so that an unpadded fc6 fits, and crop the scores by matching
  offsets. Here fc6 is padded by its dilation: no arithmetic on padding, every layer in line with the image.
* Their deconvolutions (kernel 4, stride 2) hold bilinear weights that are never trained. Here they are a
  bilinear interpolation, the same but at the border, where it repeats the edge instead of fading to zero.
* They scale pool4 to pool1 by fixed factors of 1e-2 to 1e-8, which hold the skips back under Caffe's
  unnormalized loss and its rate of 1e-10. With a normalized loss such factors would switch the skips off,
  so that there are none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from squeeze_segnet_ros.models import vgg

FC_CHANNELS = 4096
FC6_DILATION = 3
DROPOUT = 0.5


class FCN2sDilated(nn.Module):
    """FCN-2s-Dilated on a VGG.

    Args:
        num_classes: number of class scores per pixel.
        depths: convolutions in each of the VGG's five stages.

    Maps float (N, 3, H, W), normalized RGB, H and W of at least 32, to logits (N, num_classes, H, W).
    """

    def __init__(self, num_classes: int, depths: Sequence[int]) -> None:
        super().__init__()
        self.depths = tuple(depths)
        stages = []
        channels = 3
        for width, depth in zip(vgg.WIDTHS, depths, strict=True):
            layers: list[nn.Module] = []
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            stages.append(nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True)))
        self.stages = nn.ModuleList(stages)
        self.fc6 = nn.Conv2d(channels, FC_CHANNELS, 3, padding=FC6_DILATION, dilation=FC6_DILATION)
        self.fc7 = nn.Conv2d(FC_CHANNELS, FC_CHANNELS, 1)
        self.dropout = nn.Dropout(DROPOUT)
        self.score_fc7 = nn.Conv2d(FC_CHANNELS, num_classes, 1)
        self.score_pools = nn.ModuleList(nn.Conv2d(width, num_classes, 1) for width in vgg.WIDTHS[:-1])
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for score in (self.score_fc7, *self.score_pools):
            # Nearly zero: the sum of five random scores is no start.
            nn.init.normal_(score.weight, std=0.01)

    def convert_encoder_weights(self, tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, Tensor]]:
        """Map tensors of torchvision's ``vgg16`` or ``vgg19`` to ours: {name there: (name here, tensor)}.

        The variants with batch norm do not fit a network without, and give nothing.
        """
        names = {"classifier.0": "fc6", "classifier.3": "fc7"}
        for stage, position, conv, norm in vgg.torchvision_convolutions(self.depths, tensors):
            if norm:
                return {}
            names[conv] = f"stages.{stage}.{2 * position}"
        converted: dict[str, tuple[str, Tensor]] = {}
        for there, here in names.items():
            for kind in ("weight", "bias"):
                if f"{there}.{kind}" in tensors:
                    converted[f"{there}.{kind}"] = f"{here}.{kind}", tensors[f"{there}.{kind}"]
        if "classifier.0.weight" in converted:
            # Every third tap of fc6's 7x7 is where a 3x3 kernel with dilation 3 has its own.
            fc6 = tensors["classifier.0.weight"].unflatten(1, (-1, 7, 7))[
                :, :, ::FC6_DILATION, ::FC6_DILATION
            ]
            converted["classifier.0.weight"] = "fc6.weight", fc6
        if "classifier.3.weight" in converted:
            converted["classifier.3.weight"] = "fc7.weight", tensors["classifier.3.weight"][:, :, None, None]
        return converted

    def forward(self, image: Tensor) -> Tensor:
        x = image
        pools = []
        for stage in self.stages:
            x = stage(x)
            pools.append(x)
        x = self.dropout(F.relu(self.fc6(x)))
        x = self.dropout(F.relu(self.fc7(x)))
        scores = self.score_fc7(x)
        for score, pool in zip(reversed(self.score_pools), reversed(pools[:-1]), strict=True):
            scores = _upsample_to(scores, pool) + score(pool)
        return _upsample_to(scores, image)


def _upsample_to(x: Tensor, target: Tensor) -> Tensor:
    """Double ``x``, (N, K, h, w), bilinearly and cut it to the height and width of ``target``."""
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return x[:, :, : target.shape[2], : target.shape[3]]


def fcn2s_dilated_vgg16(num_classes: int) -> FCN2sDilated:
    """Build FCN-2s-Dilated on VGG16: 50.4 M parameters."""
    return FCN2sDilated(num_classes, vgg.VGG16_DEPTHS)


def fcn2s_dilated_vgg19(num_classes: int) -> FCN2sDilated:
    """Build FCN-2s-Dilated on VGG19: 55.7 M parameters."""
    return FCN2sDilated(num_classes, vgg.VGG19_DEPTHS)
