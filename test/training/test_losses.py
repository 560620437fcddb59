"""Class balancing and losses against values worked out by hand."""

import math

import pytest
import torch

from squeeze_segnet_ros.training.config import LossConfig
from squeeze_segnet_ros.training.losses import (
    class_weights,
    inverse_log_weights,
    median_frequency_weights,
    segmentation_loss,
    soft_dice_loss,
)


def pixels_of(labels, classes):
    """Return pixels of each class in each image: int64 (N, K)."""
    return torch.stack([torch.bincount(image.flatten().int(), minlength=256) for image in labels])[
        :, :classes
    ]


def test_median_frequency_counts_only_images_that_show_the_class():
    labels = torch.zeros(2, 1, 10, dtype=torch.uint8)
    labels[0, 0, :2] = 1  # class 1: 2 of 10 pixels of one image; class 0: 18 of 20 of two
    labels[1, 0, :5] = 255  # void leaves class 0 with 8 + 5 of 15 labelled pixels
    weights = median_frequency_weights(pixels_of(labels, 3))
    frequency = torch.tensor([13 / 15, 2 / 10])
    assert weights[:2].tolist() == pytest.approx((frequency.median() / frequency).tolist())
    assert weights[2] == 0
    root = median_frequency_weights(pixels_of(labels, 3), power=0.5)
    assert root.tolist() == pytest.approx(weights.sqrt().tolist())


def test_inverse_log_weights_are_those_of_enet():
    labels = torch.zeros(2, 1, 10, dtype=torch.uint8)
    labels[0, 0, :2] = 1
    labels[1, 0, :5] = 255
    weights = inverse_log_weights(pixels_of(labels, 3))
    assert weights.tolist() == pytest.approx([1 / math.log(1.02 + p) for p in (13 / 15, 2 / 15, 0)])
    chosen = class_weights(pixels_of(labels, 3), LossConfig(class_weights="inverse_log"))
    assert torch.equal(chosen, weights)


def test_the_hardest_share_counts_only_the_pixels_of_the_highest_loss():
    probability = torch.tensor([0.9, 0.2, 0.6, 0.4])  # of the true class, of two
    logits = torch.stack((probability.log(), (1 - probability).log())).view(1, 2, 2, 2)
    labels = torch.tensor([[[0, 0], [0, 1]]], dtype=torch.uint8)  # the last pixel's class has 0.6
    weights = torch.tensor([1.0, 3.0])
    half = segmentation_loss(logits, labels, weights, LossConfig(hardest_share=0.5))
    # The pixel of 0.2 and both of 0.6: a tie counts as a whole.
    expected = -(math.log(0.2) + math.log(0.6) + 3 * math.log(0.6)) / (1 + 1 + 3)
    assert half.item() == pytest.approx(expected)
    quarter = segmentation_loss(logits, labels, weights, LossConfig(hardest_share=0.25))
    assert quarter.item() == pytest.approx(-math.log(0.2))
    nearly_all = segmentation_loss(logits, labels, weights, LossConfig(hardest_share=0.99))
    assert nearly_all.item() == pytest.approx(segmentation_loss(logits, labels, weights, LossConfig()).item())


def test_void_pixels_do_not_change_the_loss():
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 4, 4)
    labels = torch.randint(0, 3, (1, 4, 4), dtype=torch.uint8)
    labels[0, 0] = 255
    changed = logits.clone()
    changed[:, :, 0] = 100 * torch.randn(3, 4)
    for config in (LossConfig(), LossConfig(dice_weight=1.0), LossConfig(hardest_share=0.5)):
        losses = [segmentation_loss(x, labels, torch.ones(3), config) for x in (logits, changed)]
        assert losses[0] == pytest.approx(losses[1].item(), rel=1e-5)


def test_dice_is_zero_for_a_certain_right_answer_and_near_one_for_a_wrong_one():
    target = torch.tensor([[[0, 1], [1, 0]]])
    right = 100.0 * torch.nn.functional.one_hot(target, 2).permute(0, 3, 1, 2)
    assert soft_dice_loss(right, target).item() == pytest.approx(0, abs=1e-4)
    assert soft_dice_loss(right.flip(1), target).item() == pytest.approx(1, abs=1e-4)
