"""Starts a network's encoder from weights that were trained on ImageNet.

A network that can do so has a method ``convert_encoder_weights(tensors)`` that takes a file's tensors by the
names they have there and returns those it can use under its own parameters' names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from squeeze_segnet_ros.errors import WeightsError


@dataclass(frozen=True)
class EncoderReport:
    """What was taken from a file of encoder weights.

    ``taken`` holds names of the network's parameters, ``unused`` names of the file's tensors.
    """

    path: Path
    taken: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        unused = ", ".join(self.unused) or "none"
        return f"encoder: {len(self.taken)} tensors taken from {self.path.name}; not used: {unused}"


def load(network: nn.Module, path: Path) -> EncoderReport:
    """Copies the encoder weights in ``path`` (.npz or .safetensors) into ``network``.

    Raises:
        WeightsError: the file is missing or damaged, or nothing in it fits the network.
    """
    tensors = _read(path)
    convert = getattr(network, "convert_encoder_weights", None)
    if convert is None:
        raise WeightsError(f"{type(network).__name__} has no encoder that ImageNet weights are known for")
    converted: dict[str, Tensor] = {}
    unused: list[str] = []
    parameters = dict(network.named_parameters())
    for source, (name, tensor) in convert(tensors).items():
        if name in parameters and parameters[name].shape == tensor.shape:
            converted[name] = tensor
        else:
            unused.append(source)
    unused += sorted(set(tensors) - set(convert(tensors)))
    if not converted:
        raise WeightsError(f"nothing in {path} fits the encoder of {type(network).__name__}: it holds {', '.join(tensors)}")
    with torch.no_grad():
        for name, tensor in converted.items():
            parameters[name].copy_(tensor)
    return EncoderReport(path, tuple(converted), tuple(unused))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"no encoder weights at {path}: give a .safetensors or .npz file")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: torch.from_numpy(file[name]) for name in file.files}
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a complete .safetensors or .npz file ({error})") from error
