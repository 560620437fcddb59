"""Scores, by cases small enough to count by hand."""

import numpy as np
import pytest

from squeeze_segnet_ros.scoring.metrics import (
    boundary_counts,
    boundary_f1,
    confusion_matrix,
    scores,
)


def test_confusion_matrix_counts_each_pixel_once_and_leaves_out_void():
    truth = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    predicted = np.array([[0, 1, 1], [1, 255, 0]], np.uint8)
    counts = confusion_matrix(predicted, truth, 3)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]]


def test_scores_by_hand():
    counts = np.array([[8, 2, 0], [1, 9, 0]])
    result = scores(counts)
    assert result.global_accuracy == pytest.approx(17 / 20)
    assert result.class_average_accuracy == pytest.approx((0.8 + 0.9) / 2)
    assert result.iou.tolist() == pytest.approx([8 / 11, 9 / 12])
    assert result.mean_iou == pytest.approx((8 / 11 + 9 / 12) / 2)


def test_a_class_without_true_pixels_is_left_out_of_the_means():
    result = scores(np.array([[5, 5, 0], [0, 0, 0]]))
    assert result.class_average_accuracy == pytest.approx(0.5)
    assert result.mean_iou == pytest.approx(0.5)
    assert np.isnan(result.class_accuracy[1])


def test_unlabelled_predictions_count_against_the_class():
    assert scores(np.array([[6, 0, 4], [0, 10, 0]])).class_average_accuracy == pytest.approx(0.8)


def _halves(column: int) -> np.ndarray:
    labels = np.zeros((100, 100), np.uint8)
    labels[:, column:] = 1
    return labels


def test_boundary_f1_is_one_for_equal_labels_and_within_the_tolerance():
    for shift in (0, 1):
        assert boundary_f1(boundary_counts(_halves(50 + shift), _halves(50), 2)) == pytest.approx(1)


def test_boundary_f1_is_zero_when_every_boundary_is_far_off():
    assert boundary_f1(boundary_counts(_halves(80), _halves(50), 2)) == 0


def test_boundary_f1_by_hand_with_half_of_the_boundary_missing():
    predicted = _halves(50)
    predicted[50:] = 0
    counts = boundary_counts(predicted, _halves(50), 2)
    recall = counts.truth_hits / counts.truth
    assert recall == pytest.approx([0.5, 0.5], abs=0.02)
