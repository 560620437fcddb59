"""Losses for classes of very different frequency."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.training.config import LossConfig


def class_weights(pixels: Tensor, config: LossConfig) -> Tensor:
    """Return the weight of each class in the loss, from training images' pixels of each class.

    Args:
        pixels: int64 (N, K), labelled pixels of each image and class.
        config: how they are weighed.

    Returns:
        float32 (K,).
    """
    if config.class_weights == "inverse_log":
        return inverse_log_weights(pixels)
    return median_frequency_weights(pixels, config.class_weight_power)


def median_frequency_weights(pixels: Tensor, power: float = 1.0) -> Tensor:
    """Return the weights of median frequency balancing (Eigen and Fergus, as in 1511.00561, section 4).

    The frequency of a class is its number of pixels over the number of pixels of the images that show it.

    Args:
        pixels: int64 (N, K), labelled pixels of each image and class.
        power: 1 gives the median frequency over each frequency, 0.5 its square root, 0 ones.

    Returns:
        float32 (K,); zero for a class that no image shows.
    """
    pixels = pixels.double()
    labelled = pixels.sum(1, keepdim=True)
    shown = pixels > 0
    frequency = pixels.sum(0) / (labelled * shown).sum(0)
    present = shown.any(0)
    weights = torch.where(present, (frequency[present].median() / frequency) ** power, 0.0)
    return weights.float()


def inverse_log_weights(pixels: Tensor, c: float = 1.02) -> Tensor:
    """Return ENet's class weights (1606.02147, section 5.2): 1 / ln(c + p), p a class's share of pixels.

    Args:
        pixels: int64 (N, K), labelled pixels of each image and class.
        c: bounds the weights, to 1 / ln(c) from above.

    Returns:
        float32 (K,).
    """
    counts = pixels.sum(0).double()
    return (1 / torch.log(c + counts / counts.sum())).float()


def segmentation_loss(logits: Tensor, labels: Tensor, weights: Tensor, config: LossConfig) -> Tensor:
    """Return weighted cross entropy, plus ``dice_weight`` times soft Dice over the classes in the batch.

    Below a ``hardest_share`` of 1 only that share of the labelled pixels counts in the cross entropy, those
    where it is highest before weighting (online hard example mining, arXiv 1604.03540).

    Args:
        logits: (N, K, H, W); computed in fp32.
        labels: uint8 (N, H, W); pixels of 255 do not count.
        weights: float (K,), of each class.
        config: which parts the loss has.
    """
    logits = logits.float()
    target = labels.long()
    if config.hardest_share < 1:
        loss = _hardest_cross_entropy(logits, target, weights, config)
    else:
        loss = F.cross_entropy(
            logits, target, weights, ignore_index=UNLABELLED, label_smoothing=config.label_smoothing
        )
    if config.dice_weight:
        loss = loss + config.dice_weight * soft_dice_loss(logits, target)
    return loss


def _hardest_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor, config: LossConfig) -> Tensor:
    scored = target != UNLABELLED
    losses = F.cross_entropy(
        logits, target, ignore_index=UNLABELLED, label_smoothing=config.label_smoothing, reduction="none"
    )[scored]
    # The lowest loss that still counts, found without sorting.
    easy = len(losses) - max(1, round(config.hardest_share * len(losses)))
    hard = losses >= losses.detach().kthvalue(easy + 1).values
    weights = weights[target[scored][hard]]
    return (weights * losses[hard]).sum() / weights.sum()


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return 1 minus the mean soft Dice coefficient of the classes in ``target``, int64 (N, H, W)."""
    num_classes = logits.shape[1]
    scored = target != UNLABELLED
    probability = logits.softmax(1).permute(1, 0, 2, 3).reshape(num_classes, -1)[:, scored.flatten()]
    labels = target[scored]
    hits = probability.gather(0, labels[None])[0]
    intersection = torch.zeros(num_classes, device=logits.device).scatter_add(0, labels, hits)
    truth = torch.bincount(labels, minlength=num_classes)
    dice = 2 * intersection / (probability.sum(1) + truth).clamp_min(1)
    return 1 - dice[truth > 0].mean()
