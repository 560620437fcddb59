"""``python -m squeeze_segnet_ros evaluate``: scores a weights file on a split of CamVid."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import nn

from squeeze_segnet_ros.labels import CAMVID
from squeeze_segnet_ros.training.camvid import LabelledImages
from squeeze_segnet_ros.training.metrics import confusion_matrix
from squeeze_segnet_ros.transforms import normalize


@torch.inference_mode()
def count_split(
    network: nn.Module, data: LabelledImages, device: torch.device, autocast: AbstractContextManager[Any]
) -> np.ndarray:
    """The confusion matrix of ``network`` over a split: int64 (K, K + 1), see ``metrics.confusion_matrix``."""
    network.eval()
    counts = np.zeros((len(CAMVID), len(CAMVID) + 1), np.int64)
    batch = 4
    for start in range(0, len(data), batch):
        images = normalize(data.images[start : start + batch].to(device)).contiguous(memory_format=torch.channels_last)
        with autocast:
            predicted = network(images).argmax(1).to(torch.uint8).cpu()
        counts += confusion_matrix(predicted.numpy(), data.labels[start : start + batch].numpy(), len(CAMVID))
    return counts

HELP = "score a weights file on CamVid"


def add_arguments(parser): pass
def run(args): return 0
