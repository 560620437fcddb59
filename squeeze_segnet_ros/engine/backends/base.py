"""The one interface of all ways to run a network: images in, scores or labels out, on a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from squeeze_segnet_ros.engine.scores import Labels, Scores

Results = Sequence["Tensor | None"]
Function = Callable[..., Results]


class Network(Protocol):
    """From images to scores.

    Called with uint8 or float (N, 3, H, W) RGB in 0..255 on the backend's device, it returns the scores, or
    labels alone, of those N images of H x W pixels.
    """

    def __call__(self, rgb: Tensor, /) -> Scores | Labels:
        """Return what the network says about images."""


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
