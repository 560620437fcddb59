"""From a network's name and a file to a network that runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import LabelSet
from squeeze_segnet_ros.engine.backends.base import Backend, Runtime
from squeeze_segnet_ros.engine.backends.card_network import CardNetwork, FittedNetwork
from squeeze_segnet_ros.engine.backends.exported import Exported
from squeeze_segnet_ros.engine.backends.onnx import open_onnx
from squeeze_segnet_ros.engine.backends.plain import Normalization
from squeeze_segnet_ros.engine.backends.torch_cpu import CpuBackend, torch_on_cpu
from squeeze_segnet_ros.engine.backends.torch_cuda import CudaBackend, torch_on_cuda
from squeeze_segnet_ros.engine.device import INT8, choose_device, choose_precision
from squeeze_segnet_ros.engine.fold import fold_batch_norm
from squeeze_segnet_ros.errors import WeightsError
from squeeze_segnet_ros.models import weights as weights_files
from squeeze_segnet_ros.models.card import Card, read_card
from squeeze_segnet_ros.models.weights import Int8Scales


@dataclass(frozen=True)
class Loaded:
    """A network that runs, and what it is.

    Attributes:
        name: what stats and diagnostics call it.
        file: where its parameters come from; sha256: that file's hash.
        label_set: the classes of its labels.
        backend: what runs it; device: what stats and diagnostics call where.
        any_size: whether it takes images of any size.
    """

    name: str
    file: Path
    sha256: str
    label_set: LabelSet
    backend: Backend
    device: str
    any_size: bool = True


def load_network(name: str, weights: Path | None, device: str, precision: str) -> Loaded:
    """Load a network of ours with its weights; None takes the released ones.

    Raises:
        UnknownModelError, WeightsError, DeviceError: see the message.
    """
    network, metadata, file = weights_files.network_with(name, weights)
    normalization = Normalization(metadata.mean, metadata.std)
    backend = _torch_backend(network, normalization, device, precision, file, metadata.int8)
    return Loaded(name, file, sha256_of(file), metadata.label_set, backend, str(backend.device))


def load_card(path: Path, device: str, precision: str) -> Loaded:
    """Load the network that a card describes.

    Raises:
        ConfigError, WeightsError, DeviceError: see the message.
    """
    card = read_card(path)
    sha256 = sha256_of(card.file)
    if card.file.suffix == ".safetensors":
        return _load_card_of_ours(card, sha256, device, precision)
    runtime: Runtime
    if card.file.suffix == ".onnx":
        runtime = open_onnx(card.file, card.output.name, device, precision, sha256)
    else:
        runtime = Exported(card.file, card.output.name, device, precision)
    network = CardNetwork(card, runtime)
    gives_scores = card.output.kind != "labels"
    backend: Backend
    if runtime.device.type == "cpu":
        backend = CpuBackend(network, runtime.precision, gives_scores)
    else:
        # Of PyTorch's own kernels alone a graph can be captured.
        graphs = isinstance(runtime, Exported)
        backend = CudaBackend(network, runtime.device, runtime.precision, gives_scores, graphs)
    assert card.label_set is not None
    any_size = card.input.size is None
    return Loaded(card.name, card.file, sha256, card.label_set, backend, runtime.name, any_size)


def _load_card_of_ours(card: Card, sha256: str, device: str, precision: str) -> Loaded:
    """Load a weights file of ours with what the card says otherwise: normalization, classes, size."""
    tensors, metadata = weights_files.load(card.file)
    label_set = card.classes or metadata.label_set
    if len(label_set) != len(metadata.label_set):
        card.fail(
            "classes",
            f"found {len(label_set)} classes: {card.file} has {len(metadata.label_set)}, those of "
            f"{metadata.label_set.name}",
        )
    network = models.build(metadata.model, len(label_set))
    weights_files.fill(network, metadata.model, tensors, metadata, card.file)
    # The card's scale is of pixels, ours of 0..1.
    scale = 255 * card.input.scale if card.says("input.scale") else 1.0
    mean = card.input.mean if card.says("input.mean") else metadata.mean
    std = card.input.std if card.says("input.std") else metadata.std
    normalization = Normalization(tuple(m / scale for m in mean), tuple(s / scale for s in std))
    backend = _torch_backend(network, normalization, device, precision, card.file, metadata.int8)
    if card.targets is not None or card.input.size is not None:
        backend.network = FittedNetwork(backend.network, card, backend.device)
    label_set = card.label_set or label_set
    any_size = card.input.size is None
    return Loaded(card.name, card.file, sha256, label_set, backend, str(backend.device), any_size)


def _torch_backend(
    network: nn.Module,
    normalization: Normalization,
    device: str,
    precision: str,
    file: Path,
    int8: Int8Scales | None,
) -> Backend:
    chosen = choose_device(device)
    precision = choose_precision(precision, chosen)
    if precision == INT8 and int8 is None:
        raise WeightsError(
            f"{file} has no scales for int8: write a file that has them with "
            f"`python -m squeeze_segnet_ros quantize --weights {file} --output NEW`"
        )
    folded = fold_batch_norm(network)
    if chosen.type == "cpu":
        return torch_on_cpu(folded, precision, normalization, int8)
    return torch_on_cuda(folded, chosen, precision, normalization)


def sha256_of(file: Path) -> str:
    """Return the hash of a file's content, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
