"""Losses for classes of very different frequency."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from squeeze_segnet_ros.labels import UNLABELLED


def median_frequency_weights(labels: Tensor, num_classes: int, power: float = 1.0) -> Tensor:
    """Median frequency balancing (Eigen and Fergus, as in 1511.00561, section 4).

    The frequency of a class is its number of pixels over the number of pixels of the images that show it.

    Args:
        labels: uint8 (N, H, W), 255 is not counted.
        power: 1 gives the median frequency over each frequency, 0.5 its square root, 0 ones.

    Returns:
        float32 (num_classes,); zero for a class that no image shows.
    """
    counts = torch.stack([torch.bincount(image.flatten().int(), minlength=256) for image in labels])
    pixels = counts[:, :num_classes].double()
    labelled = pixels.sum(1, keepdim=True)
    shown = pixels > 0
    frequency = pixels.sum(0) / (labelled * shown).sum(0)
    present = shown.any(0)
    weights = torch.where(present, (frequency[present].median() / frequency) ** power, 0.0)
    return weights.float()


def segmentation_loss(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    dice_weight: float = 0.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Weighted cross entropy, plus ``dice_weight`` times a soft Dice loss over the classes in the batch.

    Args:
        logits: (N, K, H, W); computed in fp32.
        labels: uint8 (N, H, W); pixels of 255 do not count.
        class_weights: float (K,).
    """
    logits = logits.float()
    target = labels.long()
    loss = F.cross_entropy(
        logits, target, class_weights, ignore_index=UNLABELLED, label_smoothing=label_smoothing
    )
    if dice_weight:
        loss = loss + dice_weight * soft_dice_loss(logits, target)
    return loss


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 minus the mean soft Dice coefficient of the classes that occur in ``target``: int64 (N, H, W)."""
    num_classes = logits.shape[1]
    scored = target != UNLABELLED
    probability = logits.softmax(1).permute(1, 0, 2, 3).reshape(num_classes, -1)[:, scored.flatten()]
    labels = target[scored]
    hits = probability.gather(0, labels[None])[0]
    intersection = torch.zeros(num_classes, device=logits.device).scatter_add(0, labels, hits)
    truth = torch.bincount(labels, minlength=num_classes)
    dice = 2 * intersection / (probability.sum(1) + truth).clamp_min(1)
    return 1 - dice[truth > 0].mean()
