"""The one interface of all ways to run a network: images in, scores or labels out, on a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from squeeze_segnet_ros.engine.scores import Labels, Scores
from squeeze_segnet_ros.errors import ConfigError

Results = Sequence["Tensor | None"]
Function = Callable[..., Results]


class Network(Protocol):
    """From images to scores.

    Called with uint8 or float (N, 3, H, W) RGB in 0..255 on the backend's device, it returns the scores, or
    labels alone, of those N images of H x W pixels.
    """

    def __call__(self, rgb: Tensor, /) -> Scores | Labels:
        """Return what the network says about images."""


class TensorKind(NamedTuple):
    """What a file says of a tensor: its name, its lengths, None where any will do, and its type."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self) -> str:
        lengths = ", ".join("any" if length is None else str(length) for length in self.shape)
        return f"'{self.name}' {self.dtype} ({lengths})"


class Runtime(ABC):
    """A network's file, open in the library that runs it: one tensor in, one out.

    Attributes:
        input, output: what the file says of them.
        device: where the tensors are.
        name: what stats call the device.
        precision: what it computes in.
    """

    input: TensorKind
    output: TensorKind
    device: torch.device
    name: str
    precision: str

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Return the output for an input that is contiguous and of the file's type."""


class Backend(ABC):
    """A network on its device, and the way of images there and of results back.

    Attributes:
        network: what scores the images.
        device: where it does.
        precision: what it computes in.
        gives_scores: whether it gives scores, from which a confidence follows, or labels alone.
    """

    def __init__(
        self, network: Network, device: torch.device, precision: str, gives_scores: bool = True
    ) -> None:
        self.network = network
        self.device = device
        self.precision = precision
        self.gives_scores = gives_scores

    @abstractmethod
    def run(
        self, function: Function, inputs: Sequence[Tensor], key: Hashable
    ) -> tuple[Results, dict[str, float]]:
        """Call ``function``, which calls the network, on the device with inputs from the host.

        Args:
            function: gets the inputs as tensors on the device.
            inputs: tensors on the host.
            key: stands for whatever else decides what the function does.

        Returns:
            its results, on the host, and the seconds of each stage: upload, network, download.

        Raises:
            DeviceLostError: the device has failed for good, in this process.
        """

    def free_memory(self) -> bool:
        """Give up what is kept between passes; return whether that may make room on the device."""
        return False


def only_input(inputs: Sequence[TensorKind], file: Path) -> TensorKind:
    """Return the input of a file that has one, the image.

    Raises:
        ConfigError: it has none, or more.
    """
    if len(inputs) != 1:
        shown = ", ".join(map(str, inputs)) or "none"
        raise ConfigError(f"{file} has {len(inputs)} inputs ({shown}): expected one, the image")
    return inputs[0]


def chosen_output(outputs: Sequence[TensorKind], name: str | None, file: Path) -> int:
    """Return the number of the output of that name, or of the only one.

    Raises:
        ConfigError: there is none of that name, or without a name more than one.
    """
    shown = ", ".join(map(str, outputs)) or "none"
    names = [output.name for output in outputs]
    if name is None and len(outputs) == 1:
        return 0
    if name is None:
        raise ConfigError(f"{file} has {len(outputs)} outputs ({shown}): name one in the card, output.name")
    if name not in names:
        raise ConfigError(f"{file} has no output '{name}': it has {shown}")
    return names.index(name)
