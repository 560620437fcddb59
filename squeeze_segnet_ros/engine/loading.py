"""From a network's name and a file to a network that runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from squeeze_segnet_ros.classes import LabelSet
from squeeze_segnet_ros.engine.backends.base import Backend
from squeeze_segnet_ros.engine.backends.plain import Normalization
from squeeze_segnet_ros.engine.backends.torch_cpu import torch_on_cpu
from squeeze_segnet_ros.engine.backends.torch_cuda import torch_on_cuda
from squeeze_segnet_ros.engine.device import choose_device, choose_precision
from squeeze_segnet_ros.engine.fold import fold_batch_norm
from squeeze_segnet_ros.models import weights as weights_files


@dataclass(frozen=True)
class Loaded:
    """A network that runs, and what it is.

    Attributes:
        name: what stats and diagnostics call it.
        file: where its parameters come from; sha256: that file's hash.
        label_set: the classes of its labels.
        backend: what runs it.
    """

    name: str
    file: Path
    sha256: str
    label_set: LabelSet
    backend: Backend


def load_network(name: str, weights: Path | None, device: str, precision: str) -> Loaded:
    """Load a network of ours with its weights; None takes the released ones.

    Raises:
        UnknownModelError, WeightsError, DeviceError: see the message.
    """
    chosen = choose_device(device)
    precision = choose_precision(precision, chosen)
    network, metadata, file = weights_files.network_with(name, weights)
    normalization = Normalization(metadata.mean, metadata.std)
    folded = fold_batch_norm(network)
    backend: Backend
    if chosen.type == "cpu":
        backend = torch_on_cpu(folded, precision, normalization)
    else:
        backend = torch_on_cuda(folded, chosen, precision, normalization)
    return Loaded(name, file, sha256_of(file), metadata.label_set, backend)


def sha256_of(file: Path) -> str:
    """Return the hash of a file's content, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
