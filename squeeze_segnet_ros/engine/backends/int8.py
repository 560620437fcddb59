"""Convolutions in int8 on a CPU: bytes between them, 8-bit weights, exact 32-bit sums, by oneDNN.

The greatest input of each channel, which a weights file carries, becomes 255. A scale for every channel costs
nothing, since ReLU, pooling and unpooling commute with it: it goes into the weights of the convolutions on
either side (cross-layer equalization, Nagel et al., arXiv 1906.04721, section 4.1).

What is pooled stays numbers until then: of features that round to the same byte, pooling would remember
another pixel. They come from the convolution in the scale of the bytes, half a byte above them, so that
behind the pooling they are cut instead of rounded. (In bf16 large ones were rounded before, and come out half
a byte higher.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from squeeze_segnet_ros.engine.backends.packed import PackedConvolution
from squeeze_segnet_ros.errors import WeightsError
from squeeze_segnet_ros.models.squeeze_segnet import SqueezeSegNet
from squeeze_segnet_ros.models.weights import Int8Scales

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
"""What has scales: Squeeze-SegNet's last deconvolution becomes a convolution."""
STEM = "conv1"
"""Squeeze-SegNet's first convolution, which takes the camera's bytes as they are."""
_LARGEST_WEIGHT = 127
_TINY = 1e-12
_WHOLE = 2.0**23
"""A float32 of this size and less than twice it has its whole number in the lowest bits."""
_BITS_OF_255 = {torch.bfloat16: (torch.int16, 0x437F), torch.float32: (torch.int32, 0x437F0000)}
"""How 255 is stored, and as which whole number its bits are read."""


def is_supported() -> bool:
    """Return whether this PyTorch has oneDNN's convolutions in int8."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qconv2d_pointwise")


class ByteScale(NamedTuple):
    """How a tensor is stored as bytes: ``byte = round(value * factor) + zero``, channel by channel.

    ``factor`` is float32 (C,); ``zero`` is 0, or 128 for values of both signs.
    """

    factor: Tensor
    zero: int = 0

    @classmethod
    def of(cls, largest: Tensor, signed: bool) -> ByteScale:
        """Return the scale for channels whose values reach ``largest``, (C,), on one side of 0 or on both."""
        reach = torch.where(largest > 0, largest.float(), 1.0)
        return cls(127 / reach, 128) if signed else cls(255 / reach)

    def to_bytes(self, x: Tensor) -> Tensor:
        """Return float (N, C, H, W) as uint8; what lies beyond the scale becomes its end."""
        zero = torch.full((1,), _WHOLE + self.zero)
        whole = torch.addcmul(zero, x.float(), self.factor.view(1, -1, 1, 1)).clamp_(_WHOLE, _WHOLE + 255)
        return whole.view(torch.int32).to(torch.int16).to(torch.uint8)


def _cut_to_bytes(x: Tensor) -> Tensor:
    """Return fp32 or bf16 (N, C, H, W), 0 or more, as uint8: cut, not rounded, and at most 255."""
    # Numbers of one sign are in the order of their bits, and whole numbers are compared several times faster.
    bits, largest = _BITS_OF_255[x.dtype]
    return x.view(bits).clamp_max(largest).view(x.dtype).to(torch.int16).to(torch.uint8)


class QuantizedConvolution(PackedConvolution):
    """A convolution in int8, and a ReLU if asked for, in one pass.

    It takes bytes (N, C, H, W) in the scale ``takes``, or numbers, which it turns into such; with
    ``takes_pooled`` they are what follows ``gives_pooled``. It gives bytes in the scale ``gives``,
    (N, K, h, w), or without one numbers of ``dtype``, fp32 or bf16. With ``gives_pooled`` it gives numbers of
    ``dtype`` in that scale and half a byte more, 0 or more, to be pooled.
    """

    def __init__(
        self,
        convolution: nn.Conv2d,
        takes: ByteScale,
        gives: ByteScale | None = None,
        dtype: torch.dtype = torch.float32,
        relu: bool = True,
        *,
        takes_pooled: bool = False,
        gives_pooled: bool = False,
    ) -> None:
        super().__init__(convolution, relu)
        groups, outputs = convolution.groups, convolution.out_channels
        weight = convolution.weight.detach().float()  # (K, C / groups, kH, kW)
        bias = weight.new_zeros(outputs) if convolution.bias is None else convolution.bias.detach().float()
        factor = takes.factor.view(groups, -1).repeat_interleave(outputs // groups, 0)  # (K, C / groups)
        weight = weight / factor[:, :, None, None]
        if gives is not None:
            weight, bias = weight * gives.factor[:, None, None, None], bias * gives.factor
        if gives_pooled:
            bias = bias + 0.5
        self.weight_scale = weight.abs().amax((1, 2, 3)).clamp_min(_TINY) / _LARGEST_WEIGHT  # (K,)
        self.weight = (weight / self.weight_scale[:, None, None, None]).round().to(torch.int8)
        self.weight_zero = torch.zeros(outputs, dtype=torch.int32)
        self.bias = bias
        self.takes = takes
        self._to_bytes = _cut_to_bytes if takes_pooled else takes.to_bytes
        in_bytes = gives is not None and not gives_pooled
        self.gives_zero = gives.zero if gives is not None and in_bytes else 0
        self.dtype = torch.uint8 if in_bytes else dtype
        self.geometry = (self.stride, self.padding, self.dilation, self.groups)

    def pack(self, shape: torch.Size) -> Tensor:
        """See :class:`PackedConvolution`."""
        return torch.ops.onednn.qconv_prepack(
            self.weight, self.weight_scale, 1.0, self.takes.zero, *self.geometry, list(shape)
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8:
            x = self._to_bytes(x)
        x = x.contiguous(memory_format=torch.channels_last)
        return torch.ops.onednn.qconv2d_pointwise(
            x, 1.0, self.takes.zero, self.packed_for(x), self.weight_scale, self.weight_zero, self.bias,
            *self.geometry, 1.0, self.gives_zero, self.dtype, self.activation, [None], "",
        )  # fmt: skip


class Int8Plan:
    """Which convolutions of a network compute in int8, and in which scales they take and give bytes."""

    def __init__(self, network: nn.Module, scales: Int8Scales) -> None:
        _check(network, scales)
        self.layers = frozenset(scales.layers)
        self._takes = {
            name: ByteScale.of(largest, name in scales.signed) for name, largest in scales.largest.items()
        }
        self._gives: dict[str, ByteScale] = {}
        self._before_pooling: set[str] = set()
        self._after_pooling: set[str] = set()
        if isinstance(network, SqueezeSegNet):
            self._takes[STEM] = ByteScale(torch.ones(network.conv1.in_channels))
            self._join(network)

    def _join(self, network: SqueezeSegNet) -> None:
        """Have convolutions give what the next one in int8 takes, with pooling between them or without."""
        for parts, taker, pooled in _links(network):
            together = self.layers.issuperset((*parts, taker))
            first = 0
            for part in parts:
                last = first + cast(nn.Conv2d, network.get_submodule(part)).out_channels
                if together or (not pooled and part in self.layers and taker in self.layers):
                    scale = self._takes[taker]
                    self._gives[part] = ByteScale(scale.factor[first:last], scale.zero)
                first = last
            if together and pooled:
                self._before_pooling.update(parts)
                self._after_pooling.add(taker)

    def convolution(
        self, name: str, convolution: nn.Conv2d, dtype: torch.dtype, relu: bool
    ) -> QuantizedConvolution:
        """Return what computes a convolution of this name in the network, among ``layers``."""
        return QuantizedConvolution(
            convolution, self._takes[name], self._gives.get(name), dtype, relu,
            takes_pooled=name in self._after_pooling, gives_pooled=name in self._before_pooling,
        )  # fmt: skip


def _check(network: nn.Module, scales: Int8Scales) -> None:
    """Raise WeightsError for scales of another network."""
    convolutions = {name: layer for name, layer in network.named_modules() if isinstance(layer, CONVOLUTIONS)}
    for name in scales.layers:
        if name not in convolutions:
            raise WeightsError(
                f"the weights have a scale for int8 of '{name}': the network has no such layer"
            )
        inputs, channels = convolutions[name].in_channels, scales.largest[name].numel()
        if inputs != channels:
            raise WeightsError(
                f"the weights' scale for int8 of '{name}' has {channels} channels: the layer takes {inputs}"
            )


def _links(network: SqueezeSegNet) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """Yield the convolutions whose outputs, concatenated, the next one takes, and whether pooled before."""
    fires = list(network.encoder)
    following = [*(f"encoder.{fire}.squeeze1x1" for fire in fires), "conv10"]
    yield (STEM,), following[0], STEM in network.pool_after
    for fire, taker in zip(fires, following[1:], strict=True):
        yield (f"encoder.{fire}.squeeze1x1",), f"encoder.{fire}.expand1x1", False
        expansions = (f"encoder.{fire}.expand1x1", f"encoder.{fire}.expand3x3")
        yield expansions, taker, fire in network.pool_after
    before = "inverse_conv10.0"
    yield ("conv10",), before, False
    for fire in reversed(fires):
        expansions = (f"decoder.{fire}.expand1x1.0", f"decoder.{fire}.expand3x3.0")
        yield (before,), expansions[0], False
        before = f"decoder.{fire}.squeeze1x1.0"
        yield expansions, before, False
    yield (before,), "inverse_conv1", False
