"""Finds what a network needs to run in int8: the range of each input, and which layers may round so far.

The labels of the network in fp32 are the measure, so images alone are enough, without their true labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from squeeze_segnet_ros.engine.backends.fused import for_cpu
from squeeze_segnet_ros.engine.backends.int8 import CONVOLUTIONS, is_supported
from squeeze_segnet_ros.engine.backends.plain import Normalization
from squeeze_segnet_ros.engine.device import PRECISIONS, choose_precision
from squeeze_segnet_ros.errors import ConfigError, DeviceError
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.models.squeeze_segnet import SqueezeSegNet
from squeeze_segnet_ros.models.weights import Int8Scales

_LEAST_WORK = 32
"""Multiplications for each input value below which turning it to a byte takes more than int8 gains."""


class Part(NamedTuple):
    """Convolutions that are in int8 together or not at all.

    Attributes:
        name: of the module that holds them.
        layers: their names.
        work: their share of all multiplications.
        cost: share of the labels, 0..1, that change when they alone are in int8 and not when none are.
    """

    name: str
    layers: tuple[str, ...]
    work: float
    cost: float


class Quantization(NamedTuple):
    """What :func:`quantize` found.

    Attributes:
        scales: for the weights file.
        parts: of the network, those that were left out last.
        agreement: share of labels that are those of fp32, 0..1.
    """

    scales: Int8Scales
    parts: tuple[Part, ...]
    agreement: float


def quantize(
    network: nn.Module,
    normalization: Normalization,
    calibration: Iterable[Tensor],
    check: Sequence[Tensor],
    agreement: float,
) -> Quantization:
    """Choose the convolutions of a network that compute in int8, and their scales.

    Begin with all; while fewer labels than ``agreement`` are those of fp32, leave out the part that changes
    most of them for the work that it saves.

    Args:
        network: in evaluation mode, with its batch norms folded; it is not changed.
        normalization: of the images that it was trained with.
        calibration: images from which the ranges are learned, uint8 (N, 3, H, W) RGB.
        check: images whose labels are compared, alike.
        agreement: share of labels, 0..1, that are to be those of fp32.

    Raises:
        ConfigError: there are no images, or ``agreement`` is out of its range.
        DeviceError: this PyTorch has no convolutions in int8.
    """
    if not 0 < agreement < 1:
        raise ConfigError(f"agreement is {agreement}: give a share between 0 and 1")
    if not is_supported():
        raise DeviceError(f"PyTorch {torch.__version__} has no convolutions in int8 here: use x86-64")
    scales, work = _ranges(network, normalization, calibration)
    if not scales.layers or not check:
        raise ConfigError("there are no images to learn the ranges of int8 from: give some")
    dtype = PRECISIONS[choose_precision("auto", torch.device("cpu"))]

    def labels(layers: Sequence[str] | None) -> list[Tensor]:
        int8 = None if layers is None else replace(scales, layers=tuple(layers))
        runs = for_cpu(network, torch.float32 if int8 is None else dtype, normalization, int8)
        with torch.inference_mode():
            return [runs(image).decide(False)[0] for image in check]

    exact = labels(None)

    def disagreement(layers: Sequence[str]) -> float:
        pairs = zip(labels(layers), exact, strict=True)
        return sum(float((ours != theirs).float().mean()) for ours, theirs in pairs) / len(exact)

    total, without = sum(work.values()), disagreement(())
    parts = [
        Part(
            name,
            layers,
            work=sum(work[layer] for layer in layers) / total,
            cost=max(0.0, disagreement(layers) - without),
        )
        for name, layers in _parts(scales.layers).items()
    ]
    parts.sort(key=lambda part: part.cost / part.work)
    kept = len(parts)
    while kept:
        layers = tuple(layer for part in parts[:kept] for layer in part.layers)
        equal = 1 - disagreement(layers)
        if equal >= agreement:
            return Quantization(replace(scales, layers=layers), tuple(parts), equal)
        kept -= 1
    raise ConfigError(f"no part of the network keeps {agreement:.1%} of the labels in int8: ask for fewer")


def _ranges(
    network: nn.Module, normalization: Normalization, images: Iterable[Tensor]
) -> tuple[Int8Scales, dict[str, int]]:
    """Return the ranges of all inputs with every layer that may gain, and the multiplications of each."""
    largest: dict[str, Tensor] = {}
    signed: set[str] = set()
    work: dict[str, int] = {}

    def look(name: str, layer: nn.Module, x: Tensor) -> None:
        if bool((x < 0).any()):
            signed.add(name)
        reach = x.abs().amax((0, 2, 3))
        largest[name] = torch.maximum(largest[name], reach) if name in largest else reach
        work[name] = x[0, 0].numel() * _work_per_pixel(layer)

    with _watched(network, look), torch.inference_mode():
        for image in images:
            network(normalize(image, *normalization))
    bytes_throughout = isinstance(network, SqueezeSegNet)
    layers = tuple(name for name in largest if bytes_throughout or _gains(network.get_submodule(name)))
    return Int8Scales(largest, frozenset(signed), layers), {name: work[name] for name in layers}


def _gains(layer: nn.Module) -> bool:
    """Return whether a convolution is faster in int8 although its input comes as numbers."""
    return isinstance(layer, nn.Conv2d) and _work_per_pixel(layer) >= _LEAST_WORK * layer.in_channels


def _work_per_pixel(layer: nn.Module) -> int:
    """Return the multiplications for each pixel of the input."""
    assert isinstance(layer, CONVOLUTIONS)
    # A deconvolution's stride makes more pixels of one, a convolution's makes one of more.
    down, right = layer.stride if isinstance(layer, nn.Conv2d) else (1, 1)
    return layer.weight.numel() // (down * right)


def _parts(layers: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the layers by the module that holds them, of at most two names: ``decoder.fire9``."""
    parts: dict[str, tuple[str, ...]] = {}
    for layer in layers:
        name = ".".join(layer.split(".")[:2])
        parts[name] = (*parts.get(name, ()), layer)
    return parts


@contextmanager
def _watched(network: nn.Module, look: Callable[[str, nn.Module, Tensor], None]) -> Iterator[None]:
    """Call ``look`` with the name, the layer and the input of each convolution that runs."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda layer, inputs: look(name, layer, inputs[0])

    hooks = [
        layer.register_forward_pre_hook(hook(name))
        for name, layer in network.named_modules()
        if isinstance(layer, CONVOLUTIONS)
    ]
    try:
        yield
    finally:
        for each in hooks:
            each.remove()
