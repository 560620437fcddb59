"""The node's network: loaded, warmed up, and where ``device`` leaves the choice, on one that works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from squeeze_segnet_ros.classes import LabelClass
from squeeze_segnet_ros.engine import Request, Segmenter, load
from squeeze_segnet_ros.errors import ConfigError, DeviceError, SegmentationError, one_line
from squeeze_segnet_ros.memory import separate_blocks
from squeeze_segnet_ros.ros.config import ALL_CLASSES, NodeConfig

_USUAL_SIZE = (360, 480)
_DEVICES = Path("/dev")


class Loaded(NamedTuple):
    """A network that is ready, and what whoever asked for it should know about its device, or nothing."""

    segmenter: Segmenter
    caution: str = ""


def load_network(config: NodeConfig, load: Callable[..., Segmenter] = load) -> Loaded:
    """Load the network of a config and warm it up. With ``device: auto`` a GPU that fails is done without.

    Raises:
        SegmentationError: in one line, what is wrong.
    """
    with separate_blocks():
        try:
            segmenter = _ready(config, config.device, load)
        # A PyTorch without kernels for this GPU, say, fails in its own ways, at the first pass.
        except Exception as error:
            if config.device != "auto" or not _blames_device(error):
                raise
            reason = one_line(error)[:200]
            return Loaded(_ready(config, "cpu", load), f"runs on the CPU, since the GPU failed: {reason}")
    gpus = sorted(_DEVICES.glob("nvidia[0-9]*")) if config.device == "auto" else []
    if not gpus or segmenter.device != "cpu":
        return Loaded(segmenter)
    return Loaded(
        segmenter,
        f"runs on the CPU, though {gpus[0]} is there: CUDA does not start ({_why_no_cuda()}); configure the "
        "node again once it does",
    )


def ids_of(shown: Iterable[str], classes: Sequence[LabelClass]) -> tuple[int, ...] | None:
    """Return the ids of the classes with these names; None for all.

    Raises:
        ConfigError: a name is not that of a class.
    """
    names = set(shown)
    if ALL_CLASSES in names:
        return None
    unknown = names - {label.name for label in classes}
    if unknown:
        have = ", ".join(label.name for label in classes)
        raise ConfigError(f"shown_classes names '{min(unknown)}': choose from {ALL_CLASSES}, {have}")
    return tuple(label.id for label in classes if label.name in names)


def _ready(config: NodeConfig, device: str, load: Callable[..., Segmenter]) -> Segmenter:
    segmenter = load(config.model, config.weights or None, device, config.precision, config.network_size)
    ids_of(config.shown_classes, segmenter.classes)
    # The first pass allocates and tunes; no frame should wait for that.
    ask = Request(overlay=True, min_confidence=config.min_confidence)
    segmenter.segment(np.zeros((*(config.network_size or _USUAL_SIZE), 3), np.uint8), ask)
    return segmenter


def _blames_device(error: Exception) -> bool:
    """Return whether another device may do better: not with weights and parameters that we say are wrong."""
    return isinstance(error, DeviceError) or not isinstance(error, SegmentationError)


def _why_no_cuda() -> str:
    import torch

    if torch.version.cuda is None:
        return "this PyTorch was built without it"
    try:
        torch.cuda.init()
    except Exception as error:
        return one_line(error)[:200]
    return "it did not a moment ago"
