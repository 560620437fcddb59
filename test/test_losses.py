"""Class balancing and losses against values worked out by hand."""

import pytest
import torch

from squeeze_segnet_ros.training.losses import (
    median_frequency_weights,
    segmentation_loss,
    soft_dice_loss,
)


def test_median_frequency_counts_only_images_that_show_the_class():
    labels = torch.zeros(2, 1, 10, dtype=torch.uint8)
    labels[0, 0, :2] = 1  # class 1: 2 of 10 pixels of one image; class 0: 18 of 20 of two
    labels[1, 0, :5] = 255  # void leaves class 0 with 8 + 5 of 15 labelled pixels
    weights = median_frequency_weights(labels, 3)
    frequency = torch.tensor([13 / 15, 2 / 10])
    assert weights[:2].tolist() == pytest.approx((frequency.median() / frequency).tolist())
    assert weights[2] == 0
    root = median_frequency_weights(labels, 3, power=0.5)
    assert root.tolist() == pytest.approx(weights.sqrt().tolist())


def test_void_pixels_do_not_change_the_loss():
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 4, 4)
    labels = torch.randint(0, 3, (1, 4, 4), dtype=torch.uint8)
    labels[0, 0] = 255
    changed = logits.clone()
    changed[:, :, 0] = 100 * torch.randn(3, 4)
    for dice in (0.0, 1.0):
        losses = [segmentation_loss(x, labels, torch.ones(3), dice) for x in (logits, changed)]
        assert losses[0] == pytest.approx(losses[1].item(), rel=1e-5)


def test_dice_is_zero_for_a_certain_right_answer_and_near_one_for_a_wrong_one():
    target = torch.tensor([[[0, 1], [1, 0]]])
    right = 100.0 * torch.nn.functional.one_hot(target, 2).permute(0, 3, 1, 2)
    assert soft_dice_loss(right, target).item() == pytest.approx(0, abs=1e-4)
    assert soft_dice_loss(right.flip(1), target).item() == pytest.approx(1, abs=1e-4)
