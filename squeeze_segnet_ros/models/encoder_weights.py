"""Starts a network's encoder from weights that were trained on ImageNet.

A network that can do so has a method ``convert_encoder_weights(tensors)`` that takes a file's tensors by the
names they have there and returns those it can use under its own parameters' and buffers' names.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from squeeze_segnet_ros.errors import WeightsError

_DAMAGED = (SafetensorError, OSError, ValueError, EOFError, RuntimeError, pickle.UnpicklingError, BadZipFile)
"""What the readers of the three formats raise."""


@dataclass(frozen=True)
class EncoderReport:
    """What was taken from a file of encoder weights.

    ``taken`` holds names of the network's parameters and buffers, ``unused`` names of the file's tensors.
    """

    path: Path
    taken: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        unused = ", ".join(self.unused) or "none"
        return f"encoder: {len(self.taken)} tensors taken from {self.path.name}; not used: {unused}"


def load(network: nn.Module, path: Path) -> EncoderReport:
    """Copy the encoder weights in ``path`` into ``network``.

    Args:
        network: any network whose encoder ImageNet weights are known for.
        path: .safetensors, .npz, or a state dict (.pth, .pt) of which only tensors are read. Names are
            torchvision's for VGG, those of the Caffe release for SqueezeNet.

    Raises:
        WeightsError: the file is missing or damaged, or nothing in it fits the network.
    """
    tensors = _read(path)
    convert = getattr(network, "convert_encoder_weights", None)
    if convert is None:
        raise WeightsError(f"{type(network).__name__} has no encoder that ImageNet weights are known for")
    fitting: dict[str, Tensor] = {}
    own = network.state_dict()
    used = set()
    for source, (name, tensor) in convert(tensors).items():
        if name in own and own[name].shape == tensor.shape:
            fitting[name] = tensor
            used.add(source)
    if not fitting:
        names = _shortened(tuple(tensors)) or "nothing"
        raise WeightsError(
            f"nothing in {path} fits the encoder of {type(network).__name__}: it holds {names}"
        )
    for name, tensor in fitting.items():
        own[name].copy_(tensor)
    return EncoderReport(path, tuple(fitting), tuple(name for name in tensors if name not in used))


def _shortened(names: tuple[str, ...], most: int = 12) -> str:
    left_out = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + left_out


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"no encoder weights at {path}: give a .safetensors, .npz or .pth file")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: torch.from_numpy(file[name]) for name in file.files}
        if path.suffix in (".pth", ".pt"):
            return _tensors_of(torch.load(path, map_location="cpu", weights_only=True), path)
        return load_file(path)
    except _DAMAGED as error:
        reason = str(error).partition("\n")[0]
        raise WeightsError(f"{path} is not a complete .safetensors, .npz or .pth file ({reason})") from error


def _tensors_of(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(
            f"{path} is not a state dict: a .pth file must hold a dictionary of names and tensors"
        )
    return dict(state)
