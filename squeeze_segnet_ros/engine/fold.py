"""Folds batch norm into the convolution before it, for inference."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Copy ``network`` in evaluation mode without the batch norms that directly follow a convolution.

    Only pairs inside an ``nn.Sequential`` fold, where "follows" is certain. Same outputs but for rounding.
    """
    folded = copy.deepcopy(network).eval()
    for parent in [module for module in folded.modules() if isinstance(module, nn.Sequential)]:
        for i in range(len(parent) - 1):
            convolution, norm = parent[i], parent[i + 1]
            if isinstance(convolution, _CONVOLUTIONS) and isinstance(norm, nn.BatchNorm2d):
                transposed = isinstance(convolution, nn.ConvTranspose2d)
                parent[i] = fuse_conv_bn_eval(convolution, norm, transpose=transposed)
                parent[i + 1] = nn.Identity()
    return folded.requires_grad_(False)
