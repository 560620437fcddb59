"""``python -m squeeze_segnet_ros average``: the mean of several weights files of one network.

Networks that were trained on from the same weights, each in another way, often label unseen images better
as their mean than each by itself (Wortsman et al., "Model soups", arXiv 2203.05482).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from squeeze_segnet_ros import models
from squeeze_segnet_ros.errors import WeightsError
from squeeze_segnet_ros.models import weights
from squeeze_segnet_ros.training.run_folder import command_line, git_revision


def average(paths: Sequence[Path]) -> tuple[nn.Module, weights.WeightsMetadata]:
    """Return the network whose parameters and buffers are the mean of those in the files, and what it is.

    Counters are the first file's. The metadata's figures are empty: those of the files are not those of
    their mean.

    Raises:
        WeightsError: a file cannot be read or is for another network or other classes than the first.
    """
    _, metadata = weights.load(paths[0])
    network = models.build(metadata.model, len(metadata.label_set))
    means: dict[str, Tensor] = {}
    trained_on: dict[str, None] = {}
    for path in paths:
        its = weights.load_into(network, metadata.model, path)
        if its.label_set != metadata.label_set:
            raise WeightsError(
                f"{path} has the classes of {its.label_set.name}, {paths[0]} those of "
                f"{metadata.label_set.name}: weights with other classes have no mean"
            )
        trained_on |= dict.fromkeys(its.trained_on)
        for name, tensor in network.state_dict().items():
            if name not in means:
                means[name] = tensor.clone()
            elif tensor.is_floating_point():
                means[name] += tensor
    for tensor in means.values():
        if tensor.is_floating_point():
            tensor /= len(paths)
    network.load_state_dict(means)
    return network, weights.WeightsMetadata(
        metadata.model, metadata.label_set, command_line(), git_revision(), {}, tuple(trained_on)
    )
