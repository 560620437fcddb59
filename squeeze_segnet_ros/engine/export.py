"""``python -m squeeze_segnet_ros export``: writes a network, from image to labels, for other runtimes.

The file takes ``image``, uint8 (N, H, W, 3) RGB, and gives ``labels``, uint8 (N, H, W) class ids; N, H and W
are fixed.
Unpooling is written as comparisons, without a scatter and without MaxUnpool, which most runtimes lack.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from squeeze_segnet_ros.engine.backends.plain import IMAGENET, Normalization
from squeeze_segnet_ros.engine.fold import fold_batch_norm
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.models import weights as weights_files

OPSET = 18


class LabelsNetwork(nn.Module):
    """A network from uint8 (N, H, W, 3) RGB to uint8 (N, H, W) labels."""

    def __init__(self, network: nn.Module, normalization: Normalization = IMAGENET) -> None:
        super().__init__()
        self.network = network
        self.normalization = normalization

    def forward(self, image: Tensor) -> Tensor:
        normalized = normalize(image.permute(0, 3, 1, 2), *self.normalization)
        return self.network(normalized).argmax(1).to(torch.uint8)


def labels_network(model: str, weights: Path | None = None) -> LabelsNetwork:
    """Return a network from bytes to labels, in fp32, batch norm folded.

    Raises:
        UnknownModelError, WeightsError: see the message.
    """
    network, metadata, _ = weights_files.network_with(model, weights)
    normalization = Normalization(metadata.mean, metadata.std)
    return LabelsNetwork(fold_batch_norm(network), normalization).eval()


def exported(network: nn.Module, size: tuple[int, int], batch: int = 1) -> torch.export.ExportedProgram:
    """Return ``network``, which takes uint8 (N, H, W, 3), as a graph for ``batch`` images of ``size``."""
    image = torch.zeros(batch, *size, 3, dtype=torch.uint8)
    with torch.no_grad():
        return torch.export.export(network, (image,))


def write_onnx(network: nn.Module, path: Path, size: tuple[int, int], batch: int = 1) -> None:
    """Write the graph of :func:`exported` as one ONNX file.

    Raises:
        ConfigError: the packages for it are not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"ONNX needs {error.name}: install squeeze_segnet_ros[export]") from error
    program = torch.onnx.export(
        exported(network, size, batch),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image"],
        output_names=["labels"],
        verbose=False,
    )
    if program is None:
        raise ConfigError(f"PyTorch {torch.__version__} writes no ONNX program: install a newer one")
    program.save(str(path), external_data=False)
