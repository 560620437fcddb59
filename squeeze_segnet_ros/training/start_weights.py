"""Starting a run from weights that may be of another class set: all is taken but what scores classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import LabelSet
from squeeze_segnet_ros.models import weights


@dataclass(frozen=True)
class Taken:
    """What was taken of a weights file: names of whole tensors, of tensors in part, and of classes."""

    path: Path
    whole: tuple[str, ...]
    in_part: tuple[str, ...]
    same: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]
    trained_on: tuple[str, ...]
    """The splits that the file was trained on."""

    def __str__(self) -> str:
        if not self.in_part:
            return f"started from {self.path}: all {len(self.whole)} tensors, the same classes"
        return (
            f"started from {self.path}, which has other classes: {len(self.whole)} tensors as they are; of "
            f"{', '.join(self.in_part)} the classes {', '.join(self.same) or 'none'}; "
            f"new: {', '.join(self.new) or 'none'}; not used: {', '.join(self.unused) or 'none'}"
        )


def load(network: nn.Module, model: str, classes: LabelSet, path: Path) -> Taken:
    """Fill ``network``, built as ``model`` for ``classes``, from a weights file of any class set.

    Of the layers that score classes, those rows are taken whose classes have the same name; the others stay
    as they are.

    Raises:
        WeightsError: the file is missing, damaged or for another network.
    """
    tensors, metadata = weights.load(path)
    theirs = metadata.label_set.names
    if theirs == classes.names:
        weights.fill(network, model, tensors, metadata, path)
        return Taken(path, tuple(tensors), (), theirs, (), (), metadata.trained_on)
    # Filled into a network of its own, the file is checked as any other.
    weights.fill(models.build(model, len(theirs)), model, tensors, metadata, path)
    same = tuple(name for name in classes.names if name in theirs)
    of_classes = _class_dimensions(model)
    with torch.no_grad():
        for name, own in network.state_dict().items():
            if name not in of_classes:
                own.copy_(tensors[name])
                continue
            target, source = (
                _indices(shape, of_classes[name], [names.index(label) for label in same])
                for shape, names in ((own.shape, classes.names), (tensors[name].shape, theirs))
            )
            own[target] = tensors[name].to(own)[source]
    return Taken(
        path,
        tuple(name for name in tensors if name not in of_classes),
        tuple(of_classes),
        same,
        tuple(name for name in classes.names if name not in theirs),
        tuple(name for name in theirs if name not in classes.names),
        metadata.trained_on,
    )


def _class_dimensions(model: str) -> dict[str, tuple[int, ...]]:
    """Return the dimensions that count classes, of the tensors that have some."""
    with torch.device("meta"):
        few, more = (models.build(model, count).state_dict() for count in (5, 7))
    found = {}
    for name, tensor in few.items():
        dimensions = tuple(i for i, n in enumerate(tensor.shape) if n != more[name].shape[i])
        if dimensions:
            found[name] = dimensions
    return found


def _indices(shape: torch.Size, dimensions: tuple[int, ...], chosen: list[int]) -> tuple[Tensor, ...]:
    """Return an index of the ``chosen`` along some dimensions, and of all along the others."""
    along = [chosen if i in dimensions else list(range(n)) for i, n in enumerate(shape)]
    return torch.meshgrid(*map(torch.tensor, along), indexing="ij")
