"""Weights files: safetensors with the facts about the network in the file's metadata.

A file holds the parameters and buffers under their PyTorch names, in fp16 or fp32, and one metadata entry,
``squeeze_segnet_ros``, a JSON object with the fields of :class:`WeightsMetadata`. The tensors of
:class:`Int8Scales`, where there are some, are named ``int8.`` and the convolution.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import DEFAULT, LabelClass, LabelSet, label_set
from squeeze_segnet_ros.errors import WeightsError, one_line
from squeeze_segnet_ros.images.pixels import MEAN, STD
from squeeze_segnet_ros.shipped import shipped

_METADATA_KEY = "squeeze_segnet_ros"
_INT8 = "int8."
_MOST_BYTES, _MOST_HEADER = 2**31, 2**20
"""Ten times as much as the largest of our networks needs, and a hundred times."""


@dataclass(frozen=True)
class Int8Scales:
    """What running a network in int8 takes beside its parameters; convolutions are named as in the network.

    Attributes:
        largest: the largest absolute value of each input channel, float (C,), by convolution.
        signed: the convolutions whose inputs have both signs.
        layers: the convolutions that compute in int8.
    """

    largest: Mapping[str, Tensor]
    signed: frozenset[str]
    layers: tuple[str, ...]


@dataclass(frozen=True)
class WeightsMetadata:
    """What a weights file says about itself.

    ``figures`` maps a data set's split (``"camvid/test"``) to its scores in 0..1; ``command`` and
    ``revision`` name the training command and the git revision; ``trained_on`` the splits that it saw, in
    files from before there was this field none. ``mean`` and ``std`` are those of red, green and blue in
    0..1 that images are normalized with, in files that do not say so this package's. ``int8`` are the scales
    for int8, where the file has some.
    """

    model: str
    label_set: LabelSet = field(default_factory=lambda: label_set(DEFAULT))
    command: str = ""
    revision: str = ""
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    int8: Int8Scales | None = field(default=None, compare=False)

    def to_json(self) -> str:
        """Return the text that goes into the file; the tensors of ``int8`` are no part of it."""
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        fields["label_set"] = dataclasses.asdict(self.label_set)
        if self.int8 is None:
            del fields["int8"]
        else:
            fields["int8"] = {"signed": sorted(self.int8.signed), "layers": self.int8.layers}
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str, largest: Mapping[str, Tensor]) -> WeightsMetadata:
        """Read the text of :meth:`to_json`; ``largest`` are the tensors of ``int8``.

        Raises:
            KeyError, TypeError, ValueError: it is not that.
        """
        fields: dict[str, Any] = json.loads(text)
        label_set = fields.pop("label_set")
        classes = tuple(LabelClass(int(i), str(name), tuple(rgb)) for i, name, rgb in label_set["classes"])
        for key in {"trained_on", "mean", "std"} & fields.keys():
            fields[key] = tuple(fields[key])
        if int8 := fields.pop("int8", None):
            if missing := set(int8["layers"]) - set(largest):
                raise ValueError(f"no scales for {min(missing)}")
            fields["int8"] = Int8Scales(largest, frozenset(int8["signed"]), tuple(int8["layers"]))
        return cls(label_set=LabelSet(label_set["name"], classes), **fields)


def save(
    path: Path, network: nn.Module, metadata: WeightsMetadata, dtype: torch.dtype = torch.float16
) -> None:
    """Write ``network`` to ``path``; floating tensors are rounded to ``dtype`` where that can hold them.

    The file appears under its name only once it is complete.
    """
    tensors = {
        name: _rounded(tensor.detach().cpu(), dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    if metadata.int8 is not None:
        tensors |= {_INT8 + name: each.float().cpu() for name, each in metadata.int8.largest.items()}
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written here, with the user's umask: safetensors' own files are readable by their owner alone.
    partial.write_bytes(safetensors.torch.save(tensors, {_METADATA_KEY: metadata.to_json()}))
    partial.replace(path)


def _rounded(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    # A running variance of batch norm may exceed what fp16 can hold: infinite, it would silence its channel.
    rounded = tensor.to(dtype)
    return rounded if bool(rounded.isfinite().all()) else tensor


def load(path: Path) -> tuple[dict[str, Tensor], WeightsMetadata]:
    """Read a weights file: its tensors in fp32 on the CPU, and its metadata.

    Raises:
        WeightsError: there is no such file, it is damaged or holds values that are not finite, or it was not
            written by this package.
    """
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}: give the path of a .safetensors file")
    try:
        _check_size(path)
        # Read, not mapped: a file that is overwritten meanwhile would end the process with a bus error.
        content = path.read_bytes()
        tensors = safetensors.torch.load(content)
        text = _header(content).get("__metadata__", {}).get(_METADATA_KEY)
    except (SafetensorError, KeyError, OSError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path} is not a complete safetensors file ({error})") from error
    if text is None:
        raise WeightsError(
            f"{path} has no '{_METADATA_KEY}' metadata: it was not written by this package's training"
        )
    try:
        scales = {name.removeprefix(_INT8): each for name, each in tensors.items() if name.startswith(_INT8)}
        metadata = WeightsMetadata.from_json(text, scales)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} has damaged '{_METADATA_KEY}' metadata ({error!r})") from error
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            count = int(tensor.isfinite().logical_not().sum())
            raise WeightsError(
                f"{path}: {count} of {tensor.numel()} values of tensor '{name}' are not finite: "
                "give weights of a training that went well"
            )
    parameters = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
        if not name.startswith(_INT8)
    }
    return parameters, metadata


def _check_size(path: Path) -> None:
    """Raise WeightsError for a file that would take much memory before it shows that it is none of ours."""
    with path.open("rb") as file:
        start = file.read(8)
    header = int.from_bytes(start, "little")
    # Both would be headers of many megabytes.
    if header > _MOST_HEADER and start.startswith((b"PK\x03\x04", b"\x80")):
        raise WeightsError(
            f"{path} is a file of torch.save, a pickle, which may run code when it is read: load it where "
            "you trust it, and write its state dict with squeeze_segnet_ros.models.weights.save"
        )
    for what, size, most in (("file", path.stat().st_size, _MOST_BYTES), ("header", header, _MOST_HEADER)):
        if size > most:
            raise WeightsError(
                f"{path} is not a complete safetensors file (its {what} has {size} bytes: at most {most})"
            )


def _header(content: bytes) -> dict[str, Any]:
    """Return the header of a safetensors file that was found sound."""
    length = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    return header


def load_into(network: nn.Module, model: str, path: Path) -> WeightsMetadata:
    """Fill ``network``, which was built as ``model``, from a weights file and return the file's metadata.

    Raises:
        WeightsError: the file is missing, damaged, for another network, does not fit, or is for images that
            are normalized in another way than training does it.
    """
    tensors, metadata = load(path)
    if (metadata.mean, metadata.std) != (MEAN, STD):
        raise WeightsError(
            f"{path} is for images normalized with mean {metadata.mean} and standard deviation "
            f"{metadata.std}: this takes weights for {MEAN} and {STD}"
        )
    fill(network, model, tensors, metadata, path)
    return metadata


def fill(
    network: nn.Module, model: str, tensors: dict[str, Tensor], metadata: WeightsMetadata, path: Path
) -> None:
    """Copy what :func:`load` read from ``path`` into ``network``, which was built as ``model``.

    Raises:
        WeightsError: the file is for another network or does not fit.
    """
    if metadata.model != model:
        raise WeightsError(
            f"{path} holds weights of {metadata.model}, not of {model}: "
            f"choose model '{metadata.model}' or other weights"
        )
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        first_line = one_line(error)[:300]
        raise WeightsError(f"the tensors of {path} do not fit {model}: {first_line}") from error


def network_with(model: str, path: Path | None) -> tuple[nn.Module, WeightsMetadata, Path]:
    """Build a network, for as many classes as its weights have, and fill it.

    Args:
        model: a name out of ``models.names()``.
        path: a weights file; None takes the released one.

    Returns:
        the network in training mode, what its file says about itself, and the file.

    Raises:
        UnknownModelError, WeightsError: see the message.
    """
    models.check(model)
    path = released(model) if path is None else path
    tensors, metadata = load(path)
    network = models.build(model, len(metadata.label_set))
    fill(network, model, tensors, metadata, path)
    return network, metadata, path


def released(model: str) -> Path:
    """Return the path of the weights that come with the package.

    Raises:
        WeightsError: none are released for ``model``.
    """
    path = shipped("weights", f"{model}.safetensors")
    if not path.is_file():
        have = ", ".join(sorted(p.stem for p in path.parent.glob("*.safetensors"))) or "none"
        raise WeightsError(
            f"no weights are released for {model} (released: {have}): give a weights file of your own"
        )
    return path
