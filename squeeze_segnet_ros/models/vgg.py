"""What the networks on VGG share (Simonyan and Zisserman, arXiv 1409.1556, table 1: columns D and E).

A VGG is five stages of 3x3 convolutions, each followed by 2x2 max-pooling with stride 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

WIDTHS = (64, 128, 256, 512, 512)
"""Filters of the convolutions of each stage."""
VGG16_DEPTHS = (2, 2, 3, 3, 3)
VGG19_DEPTHS = (2, 2, 4, 4, 4)
"""Convolutions in each stage."""


def torchvision_convolutions(
    depths: Sequence[int], tensors: Mapping[str, Tensor]
) -> Iterator[tuple[int, int, str, str | None]]:
    """Yield where torchvision keeps the convolutions of a VGG, whose layers it numbers in one row.

    Args:
        depths: convolutions in each stage.
        tensors: the file's tensors, which show whether it is the variant with batch norm.

    Yields:
        stage, position in the stage, the convolution's name, the name of its batch norm or None.
    """
    has_norms = any(name.endswith(".running_mean") for name in tensors)
    layer = 0
    for stage, depth in enumerate(depths):
        for position in range(depth):
            yield stage, position, f"features.{layer}", f"features.{layer + 1}" if has_norms else None
            layer += 3 if has_norms else 2
        layer += 1
