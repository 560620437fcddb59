"""A card to start from: what a network's file shows, and a question where it cannot tell."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from squeeze_segnet_ros import classes
from squeeze_segnet_ros.engine.backends.base import Runtime, TensorKind
from squeeze_segnet_ros.engine.backends.exported import Exported, outputs_of_exported
from squeeze_segnet_ros.engine.backends.onnx import open_onnx, outputs_of_onnx
from squeeze_segnet_ros.engine.loading import sha256_of
from squeeze_segnet_ros.errors import ConfigError, SegmentationError
from squeeze_segnet_ros.images.pixels import MEAN, STD
from squeeze_segnet_ros.models import weights as weights_files
from squeeze_segnet_ros.models.card import FILES

_TRIAL = (192, 256)
"""Height and width of the image that a file for any size is tried with."""
_SUM_TOLERANCE = 1e-2
_ASK = "# ?"


class _Output(NamedTuple):
    """What an output turned out to be; None where it could not be told."""

    kind: str | None
    layout: str | None
    num_classes: int | None
    trouble: str = ""


def draft(file: Path) -> str:
    """Return the text of a card for a network's file.

    Raises:
        ConfigError, WeightsError: it is no file of a network that images go into.
    """
    if file.suffix not in FILES:
        raise ConfigError(f"{file}: expected a file that ends in {', '.join(FILES)}")
    if not file.is_file():
        raise ConfigError(f"there is no file {file}")
    head = [f"name: {file.stem}", f"file: {file.name}"]
    if file.suffix == ".safetensors":
        _, metadata = weights_files.load(file)
        note = f"# {metadata.model}; classes, mean and standard deviation are those of the file"
        return "\n".join([*head, note, *_source()]) + "\n"
    outputs = outputs_of_onnx(file) if file.suffix == ".onnx" else outputs_of_exported(file)
    runtime = _opened(file, outputs[0].name)
    lines, layout = _input_lines(runtime.input)
    found = _tried(runtime, layout)
    return "\n".join([*head, *lines, *_output_lines(outputs, found), *_class_lines(found), *_source()]) + "\n"


def _opened(file: Path, output: str) -> Runtime:
    if file.suffix == ".onnx":
        return open_onnx(file, output, "cpu", "auto", sha256_of(file))
    return Exported(file, output, "cpu", "auto")


def _source() -> list[str]:
    return [f'source: ""  {_ASK} where it comes from, under which licence']


def _input_lines(kind: TensorKind) -> tuple[list[str], str]:
    """Return the card's lines about the input, and its layout."""
    if len(kind.shape) != 4:
        raise ConfigError(f"the input is {kind}: expected images, N, H, W and 3 channels in some order")
    channels = [layout for layout in ("NCHW", "NHWC") if kind.shape[layout.index("C")] == 3]
    if not channels:
        channels = [layout for layout in ("NCHW", "NHWC") if kind.shape[layout.index("C")] is None]
    if not channels:
        raise ConfigError(f"the input is {kind}: expected 3 channels, second or last")
    layout = channels[0]
    doubt = f"  {_ASK} or NHWC: the file does not say" if len(channels) > 1 else ""
    lines = ["input:", f"  layout: {layout}{doubt}", f"  dtype: {kind.dtype}"]
    if kind.dtype not in ("float32", "float16", "uint8"):
        raise ConfigError(f"the input is {kind}: expected float32, float16 or uint8")
    lines.append(f"  color: rgb  {_ASK} or bgr, as networks trained with OpenCV or Caffe have it")
    if kind.dtype != "uint8":
        lines += [
            f"  {_ASK} The network sees (pixel * scale - mean) / std: take what its training did. These are",
            "  # ImageNet's; leave all three out where the file does it itself.",
            "  scale: 0.00392156862745098",
            f"  mean: {list(MEAN)}",
            f"  std: {list(STD)}",
        ]
    size = kind.shape[layout.index("H")], kind.shape[layout.index("W")]
    if None not in size:
        lines.append(f"  size: [{size[0]}, {size[1]}]")
    elif size != (None, None):
        lines.append(f"  size: [{size[0] or 512}, {size[1] or 512}]  {_ASK} one of them is fixed by the file")
    else:
        lines.append(f"  # multiple_of: 32  {_ASK} where the network takes such sizes alone")
    return lines, layout


def _tried(runtime: Runtime, layout: str) -> _Output:
    """Run the file once and look at what comes out."""
    height, width = (
        runtime.input.shape[layout.index(axis)] or length for axis, length in zip("HW", _TRIAL, strict=True)
    )
    count = runtime.input.shape[0] or 1
    shape = (count, 3, height, width) if layout == "NCHW" else (count, height, width, 3)
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    x = (image * 255).to(torch.uint8) if runtime.input.dtype == "uint8" else image
    try:
        with torch.inference_mode():
            out = runtime(x.to(getattr(torch, runtime.input.dtype)))
    except SegmentationError as error:
        return _Output(None, None, None, str(error))
    return _looked_at(out)


def _looked_at(out: Tensor) -> _Output:
    if not out.is_floating_point():
        layout = {3: "NHW", 4: "NCHW" if out.shape[1] == 1 else "NHWC"}.get(out.dim())
        return _Output(
            "labels", layout, None, "" if layout else f"its output has the shape {tuple(out.shape)}"
        )
    if out.dim() != 4:
        return _Output(None, None, None, f"its output has the shape {tuple(out.shape)}")
    # Of the two axes that may count the classes, pixels are more than classes.
    axis = 1 if out.shape[1] <= out.shape[3] else 3
    num_classes = out.shape[axis]
    sums = out.float().sum(axis)
    probabilities = bool(((sums - 1).abs() < _SUM_TOLERANCE).all()) and bool((out >= 0).all())
    trouble = "" if num_classes > 1 else "one channel alone: a card needs a score for each class"
    return _Output(
        "probabilities" if probabilities else "logits", "NCHW" if axis == 1 else "NHWC", num_classes, trouble
    )


def _output_lines(outputs: Sequence[TensorKind], found: _Output) -> list[str]:
    lines = ["output:"]
    if found.trouble:
        lines.append(f"  # {found.trouble}")
    doubt = "" if found.kind else f"  {_ASK} logits, probabilities or labels"
    lines.append(f"  kind: {found.kind or 'logits'}{doubt}")
    default = "NHW" if found.kind == "labels" else "NCHW"
    lines.append(f"  layout: {found.layout or default}" + ("" if found.layout else f"  {_ASK}"))
    others = f"  {_ASK} or one of {', '.join(map(str, outputs[1:]))}" if len(outputs) > 1 else ""
    lines.append(f"  name: {outputs[0].name}{others}")
    return lines


def _class_lines(found: _Output) -> list[str]:
    if found.num_classes is None:
        return [f"classes: cityscapes  {_ASK} a class set's name, or a list of {{name, rgb}} by id"]
    fitting = [name for name in classes.names() if len(classes.label_set(name)) == found.num_classes]
    if fitting:
        others = f"; so has {', '.join(fitting[1:])}" if fitting[1:] else ""
        return [f"classes: {fitting[0]}  {_ASK} has {found.num_classes} classes as the file{others}"]
    lines = [f"classes:  {_ASK} what the {found.num_classes} classes are, in the order of their ids"]
    for i in range(found.num_classes):
        # The golden ratio keeps neighbors apart.
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(i * 0.618034 % 1, 0.7, 0.9))
        lines.append(f"  - {{name: class {i}, rgb: [{red}, {green}, {blue}]}}")
    return lines
