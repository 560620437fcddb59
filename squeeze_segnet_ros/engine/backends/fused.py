"""Networks rewritten for a CPU: the same function in fewer passes over memory.

oneDNN, PyTorch's library for convolutions, can apply a ReLU within the convolution that comes before it; here
it is called by name to do so. Squeeze-SegNet gets more: its first convolution takes the camera's bytes, and
its last deconvolution becomes a convolution whose output channels are the four pixels of each 2x2 block, as
which they are averaged; in int8, where multiplying costs less than adding up, it averages too.
"""

from __future__ import annotations

import copy
import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from squeeze_segnet_ros.engine.backends.int8 import STEM, Int8Plan, QuantizedConvolution
from squeeze_segnet_ros.engine.backends.packed import PackedConvolution
from squeeze_segnet_ros.engine.backends.plain import Normalization, PlainNetwork
from squeeze_segnet_ros.engine.scores import Scores
from squeeze_segnet_ros.models.blocks import Fire
from squeeze_segnet_ros.models.squeeze_segnet import SqueezeSegNet
from squeeze_segnet_ros.models.weights import Int8Scales

_EXACT_LAYERS = (
    "stem",
    *(f"network.encoder.fire2.{part}" for part in ("squeeze1x1", "expand1x1", "expand3x3")),
)
"""Squeeze-SegNet's layers that stay in fp32 when the rest is in bf16.

What bf16 changes in the labels comes almost all from the encoder's first layers: features that round to the
same value make a pooling remember another pixel. They also are the ones that gain least from bf16.
"""
_FIRST_ROUNDED = "fire3"
"""The layer that follows them."""
_VECTOR = 16
"""Output channels that oneDNN computes at once; an output that is no multiple of it is slower."""


def for_cpu(
    network: nn.Module, dtype: torch.dtype, normalization: Normalization, int8: Int8Scales | None = None
) -> nn.Module:
    """Return a network that maps RGB in 0..255, uint8 or float (N, 3, H, W), to :class:`Scores`.

    Args:
        network: in evaluation mode, with its batch norms folded; it is not changed.
        dtype: fp32 or bf16, to compute in.
        normalization: of the images that the network was trained with.
        int8: the convolutions that compute in int8 instead.
    """
    network = copy.deepcopy(network)
    if _onednn_computes_in(dtype):
        fusion = _Fusion(network, dtype, int8)
        fusion.fuse_relus()
        if isinstance(network, SqueezeSegNet):
            return _FusedSqueezeSegNet(network, dtype, normalization, fusion)
    return PlainNetwork(network, dtype, normalization)


def _onednn_computes_in(dtype: torch.dtype) -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype != torch.bfloat16 or torch.ops.mkldnn._is_mkldnn_bf16_supported()


class _Convolution(PackedConvolution):
    """One in fp32 or bf16."""

    def __init__(self, convolution: nn.Conv2d, relu: bool = True) -> None:
        super().__init__(convolution, relu)
        self.weight = convolution.weight
        # No parameter, so that it stays in fp32, in which oneDNN adds it to the sums.
        self.bias = None if convolution.bias is None else convolution.bias.detach().float()
        self.geometry = (self.padding, self.stride, self.dilation, self.groups)

    def pack(self, shape: torch.Size) -> Tensor:
        """See :class:`PackedConvolution`."""
        return torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.geometry, list(shape))

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise.default(
            x, self.packed_for(x), self.bias, *self.geometry, self.activation, [], ""
        )


class _FusedFire(nn.Module):
    def __init__(self, squeeze1x1: nn.Module, expand1x1: nn.Module, expand3x3: nn.Module) -> None:
        super().__init__()
        self.squeeze1x1, self.expand1x1, self.expand3x3 = squeeze1x1, expand1x1, expand3x3

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze1x1(x)
        return torch.cat((self.expand1x1(x), self.expand3x3(x)), 1)


class _Fusion:
    """Puts convolutions that do more in one pass, or do it in int8, in place of those of a network."""

    def __init__(self, network: nn.Module, dtype: torch.dtype, int8: Int8Scales | None) -> None:
        self._network = network
        self._dtype = dtype
        self._plan = None if int8 is None else Int8Plan(network, int8)

    def in_int8(self, name: str) -> bool:
        """Return whether the convolution of this name in the network computes in int8."""
        return self._plan is not None and name in self._plan.layers

    def convolution(self, name: str, convolution: nn.Conv2d, relu: bool = True) -> nn.Module:
        """Return what computes a convolution of this name in the network, and a ReLU if asked for."""
        if self._plan is not None and name in self._plan.layers:
            return self._plan.convolution(name, convolution, self._dtype, relu)
        return _Convolution(convolution, relu)

    def fuse_relus(self) -> None:
        """Fuse every ReLU that follows a convolution, in a Sequential or a Fire."""
        for path, parent in list(self._network.named_modules()):
            prefix = f"{path}." if path else ""
            for name, child in list(parent.named_children()):
                if isinstance(child, Fire):
                    parts = {
                        part: self.convolution(f"{prefix}{name}.{part}", convolution)
                        for part, convolution in child.named_children()
                        if isinstance(convolution, nn.Conv2d)
                    }
                    parent.register_module(name, _FusedFire(**parts))
            if isinstance(parent, nn.Sequential):
                busy = [i for i, layer in enumerate(parent) if not isinstance(layer, nn.Identity)]
                for i, following in itertools.pairwise(busy):
                    convolution = parent[i]
                    if isinstance(convolution, nn.Conv2d) and isinstance(parent[following], nn.ReLU):
                        parent[i] = self.convolution(f"{prefix}{i}", convolution)
                        parent[following] = nn.Identity()
        if self._plan and not isinstance(self._network, SqueezeSegNet):
            for name, layer in list(self._network.named_modules()):
                if isinstance(layer, nn.Conv2d) and name in self._plan.layers:
                    self._network.set_submodule(name, self.convolution(name, layer, relu=False))
        self._unwrap()

    def _unwrap(self) -> None:
        """Put what alone is left of a Sequential in its place: calling modules takes time too."""
        for parent in self._network.modules():
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Sequential):
                    busy = [layer for layer in child if not isinstance(layer, nn.Identity)]
                    if len(busy) == 1:
                        parent.register_module(name, busy[0])


class _Round(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)


class _FusedSqueezeSegNet(nn.Module):
    """Squeeze-SegNet from bytes to :class:`Scores`: its ends rewritten, what is between them as it is.

    C channels, windows of h x w, an image of H x W, K classes.
    """

    def __init__(
        self, network: SqueezeSegNet, dtype: torch.dtype, normalization: Normalization, fusion: _Fusion
    ) -> None:
        super().__init__()
        self.num_classes = network.inverse_conv1.out_channels
        self.stem = fusion.convolution(STEM, _taking_bytes(network.conv1, normalization))
        self.head_sums = fusion.in_int8("inverse_conv1")
        last = _summing(network.inverse_conv1) if self.head_sums else network.inverse_conv1
        blocks = _by_pixel_of_block(last, 1 / 9)
        self.head = fusion.convolution("inverse_conv1", blocks, relu=False)
        network.conv10 = fusion.convolution("conv10", network.conv10)  # type: ignore[assignment]
        network.conv10_relu = nn.Identity()  # type: ignore[assignment]
        self.network = network
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # A stem in int8 has changed more than rounding does.
        exact = () if isinstance(self.stem, QuantizedConvolution) else _EXACT_LAYERS
        for name, layer in self.named_modules():
            if isinstance(layer, _Convolution) and name not in exact:
                layer.to(dtype)
        first_rounded = network.encoder[_FIRST_ROUNDED]
        if exact and not any(isinstance(layer, QuantizedConvolution) for layer in first_rounded.modules()):
            network.encoder[_FIRST_ROUNDED] = nn.Sequential(_Round(dtype), first_rounded)

    def forward(self, rgb: Tensor) -> Scores:
        size = (rgb.shape[2], rgb.shape[3])
        if not isinstance(self.stem, QuantizedConvolution):
            rgb = rgb.to(torch.float32, memory_format=torch.channels_last)
        x = self.stem(rgb)  # (N, C, h, w)
        x, first = self.network.repeat_border(self.network.between(x), size)  # (N, C, h', w')
        blocks = self.head(x)[:, : 4 * self.num_classes]  # (N, 4K, h', w'): each a block of 2x2 pixels
        # Row by row, a transposition takes a quarter of the time of one of all pixels at once.
        sums = blocks.transpose(1, 2).contiguous().unflatten(2, (-1, 2, 2))  # (N, h', K, 2, 2, w')
        if not self.head_sums:  # Here h' and w' are larger by one block, which the sums lose.
            sums = _sums_of_three(_sums_of_three(sums, pair=3, along=1), pair=4, along=-1)

        def assemble(pixels: Tensor) -> Tensor:
            """Bring (..., N, h', 2, 2, w') to (..., N, H, W)."""
            plane = pixels.transpose(-2, -1).flatten(-2).flatten(-3, -2)  # (..., N, 2h', 2w')
            return plane[..., first : first + size[0], first : first + size[1]].contiguous()

        return Scores(sums.movedim(2, 0), assemble)  # (K, N, h', 2, 2, w')


def _taking_bytes(conv1: nn.Conv2d, normalization: Normalization) -> nn.Conv2d:
    """Return the first convolution, for RGB in 0..255 in place of normalized RGB. It must not pad."""
    mean, std = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in normalization)
    taking = copy.deepcopy(conv1)
    taking.weight.copy_(conv1.weight / std)
    if taking.bias is not None:
        taking.bias.sub_((taking.weight * mean).sum((1, 2, 3)))
    return taking


def _sums_of_three(blocks: Tensor, pair: int, along: int) -> Tensor:
    """Sum over three neighboring pixels along one axis, beginning with those around the second pixel.

    Args:
        blocks: the pixels by twos.
        pair: the dimension that counts the pixels of each block.
        along: the dimension that counts the blocks.
    """
    first, second = blocks.unbind(pair)
    both = first + second
    shape = list(blocks.shape)
    shape[along] -= 1
    sums = blocks.new_empty(shape)
    around_second, around_next = sums.unbind(pair)
    torch.add(both.narrow(along, 0, shape[along]), first.narrow(along, 1, shape[along]), out=around_second)
    torch.add(both.narrow(along, 1, shape[along]), second.narrow(along, 0, shape[along]), out=around_next)
    return sums


def _summing(deconvolution: nn.ConvTranspose2d) -> nn.ConvTranspose2d:
    """Return a deconvolution of size 5 that gives sums of 3x3 pixels of one of size 3, both of stride 2."""
    kernel = deconvolution.weight  # (C, K, 3, 3)
    sums = F.conv2d(kernel.flatten(0, 1)[:, None], kernel.new_ones(1, 1, 3, 3), padding=2)
    summing = copy.deepcopy(deconvolution)
    summing.weight = nn.Parameter(sums.view(*kernel.shape[:2], 5, 5), False)
    if summing.bias is not None:
        summing.bias = nn.Parameter(9 * summing.bias, False)
    return summing


def _by_pixel_of_block(deconvolution: nn.ConvTranspose2d, factor: float) -> nn.Conv2d:
    """Return ``factor`` times a deconvolution of size 3 or 5 and stride 2, as a convolution of size 2 or 3.

    Position j of the convolution, which sees inputs from j - 1 on, gives the 2x2 block of pixels that begins
    at 2 j, in a deconvolution of size 5 at 2 j + 2: output channel 4 k + 2 y + x is class k at row y and
    column x of the block; the rest is idle.
    """
    inputs, classes, size = deconvolution.weight.shape[:3]
    length = (size + 1) // 2
    kernel = torch.zeros(classes, 2, 2, inputs, length, length)
    taps = [
        (pixel, place, tap)
        for pixel, place in itertools.product(range(2), range(length))
        if 0 <= (tap := size - 1 - 2 * place + pixel) < size
    ]
    for (y, row, tap_y), (x, column, tap_x) in itertools.product(taps, taps):
        kernel[:, y, x, :, row, column] = deconvolution.weight[:, :, tap_y, tap_x].t()
    idle = -4 * classes % _VECTOR
    bias = deconvolution.weight.new_zeros(classes) if deconvolution.bias is None else deconvolution.bias
    convolution = nn.Conv2d(inputs, 4 * classes + idle, length, padding=1)
    kernel, bias = factor * kernel.flatten(0, 2), factor * bias.repeat_interleave(4)
    convolution.weight = nn.Parameter(F.pad(kernel, (0, 0, 0, 0, 0, 0, 0, idle)), False)
    convolution.bias = nn.Parameter(F.pad(bias, (0, idle)), False)
    return convolution
