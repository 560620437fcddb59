"""What oneDNN's convolutions have in common, whatever they compute in: weights in an order of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

_SHAPES = 8
"""Shapes of its input for which a convolution keeps its weights in order."""


class PackedConvolution(nn.Module, ABC):
    """A convolution, and a ReLU if asked for, in one pass."""

    def __init__(self, convolution: nn.Conv2d, relu: bool = True) -> None:
        super().__init__()
        self.stride, self.padding = list(convolution.stride), list(convolution.padding)
        self.dilation, self.groups = list(convolution.dilation), convolution.groups
        self.activation = "relu" if relu else "none"
        self._packed: dict[tuple[torch.Size, int], Tensor] = {}

    @abstractmethod
    def pack(self, shape: torch.Size) -> Tensor:
        """Return the weights in oneDNN's order for an input of this shape."""

    def packed_for(self, x: Tensor) -> Tensor:
        """Return the weights as :meth:`pack` does, from before where it can be."""
        # The order depends on both; oneDNN would change it in every pass.
        key = (x.shape, torch.get_num_threads())
        if key not in self._packed:
            if len(self._packed) == _SHAPES:
                self._packed.clear()
            self._packed[key] = self.pack(x.shape)
        return self._packed[key]
