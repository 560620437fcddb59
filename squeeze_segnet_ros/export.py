"""``python -m squeeze_segnet_ros export``: writes a network, from image to labels, for other runtimes.

The file takes ``image``, uint8 (N, H, W, 3) RGB, and gives ``labels``, uint8 (N, H, W) class ids; N, H and W
are fixed.
Unpooling is written as comparisons, without a scatter and without MaxUnpool, which most runtimes lack.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from squeeze_segnet_ros import models
from squeeze_segnet_ros.engine.fold import fold_batch_norm
from squeeze_segnet_ros.engine.segmenter import MIN_SIZE
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.models import weights as weights_files
from squeeze_segnet_ros.transforms import normalize

FORMATS = {"onnx": ".onnx", "torch-export": ".pt2"}
OPSET = 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--format", required=True, choices=tuple(FORMATS), help="format of the file")
    parser.add_argument("--model", default="squeeze_segnet", help="network [squeeze_segnet]")
    parser.add_argument("--weights", type=Path, help="safetensors file [the released weights]")
    parser.add_argument("--size", default="480x360", help="width x height of the images in pixels [480x360]")
    parser.add_argument("--batch", type=int, default=1, help="images that go through at once [1]")
    parser.add_argument("--output", type=Path, help="file to write [build/export/MODEL_SIZE.onnx or .pt2]")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    size = _parse_size(args.size)
    if args.batch < 1:
        raise ConfigError(f"--batch is {args.batch}: give at least 1")
    default = Path("build/export") / f"{args.model}_{size[1]}x{size[0]}{FORMATS[args.format]}"
    path = args.output or default
    network = labels_network(args.model, args.weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    if args.format == "onnx":
        write_onnx(network, path, size, args.batch)
    else:
        torch.export.save(exported(network, size, args.batch), path)
    print(f"written to {path}: image uint8 ({args.batch}, {size[0]}, {size[1]}, 3) RGB -> labels uint8")
    return 0


class LabelsNetwork(nn.Module):
    """A network from uint8 (N, H, W, 3) RGB to uint8 (N, H, W) labels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(normalize(image.permute(0, 3, 1, 2))).argmax(1).to(torch.uint8)


def labels_network(model: str, weights: Path | None = None) -> LabelsNetwork:
    """A network from bytes to labels, in fp32, batch norm folded.

    Raises:
        UnknownModelError, WeightsError: see the message.
    """
    models.check(model)
    path = weights_files.released(model) if weights is None else weights
    tensors, metadata = weights_files.load(path)
    network = models.build(model, len(metadata.label_set))
    weights_files.fill(network, model, tensors, metadata, path)
    return LabelsNetwork(fold_batch_norm(network)).eval()


def exported(network: nn.Module, size: tuple[int, int], batch: int = 1) -> torch.export.ExportedProgram:
    """``network``, which takes uint8 (N, H, W, 3), as a graph for ``batch`` images of ``size`` (H, W)."""
    image = torch.zeros(batch, *size, 3, dtype=torch.uint8)
    with torch.no_grad():
        return torch.export.export(network, (image,))


def write_onnx(network: nn.Module, path: Path, size: tuple[int, int], batch: int = 1) -> None:
    """Writes the graph of :func:`exported` as one ONNX file.

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


def _parse_size(text: str) -> tuple[int, int]:
    """``480x360`` -> (360, 480)."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= MIN_SIZE):
        raise ConfigError(f"--size is '{text}': give width x height of at least {MIN_SIZE} pixels each")
    return int(height), int(width)
