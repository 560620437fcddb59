"""Segmentation scores: counts first, every score from the counts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from squeeze_segnet_ros.classes import UNLABELLED


def confusion_matrix(predicted: np.ndarray, truth: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pixels by true class (row) and predicted class (column).

    Args:
        predicted: uint8, any shape; a pixel left unlabelled (255) counts against its true class.
        truth: uint8, the same shape; pixels of 255 are not scored.
        num_classes: K.

    Returns:
        int64 (K, K + 1); the last column counts pixels that were predicted as no class.
    """
    scored = truth != UNLABELLED
    columns = np.minimum(predicted[scored], num_classes).astype(np.int64)
    index = truth[scored].astype(np.int64) * (num_classes + 1) + columns
    return np.bincount(index, minlength=num_classes * (num_classes + 1)).reshape(num_classes, num_classes + 1)


@dataclass(frozen=True)
class Scores:
    """Scores in 0..1; ``class_accuracy`` and ``iou``: float64 (K,), NaN for a class without true pixels."""

    global_accuracy: float
    class_average_accuracy: float
    mean_iou: float
    class_accuracy: np.ndarray
    iou: np.ndarray


def scores(counts: np.ndarray) -> Scores:
    """Return scores of a confusion matrix (K, K + 1); classes without true pixels do not count in means."""
    true_positives = counts.diagonal().astype(np.float64)
    truth = counts.sum(1)
    predicted = counts.sum(0)[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        class_accuracy = true_positives / truth
        iou = np.where(truth > 0, true_positives / (truth + predicted - true_positives), np.nan)
    if not truth.any():
        return Scores(float("nan"), float("nan"), float("nan"), class_accuracy, iou)
    return Scores(
        float(true_positives.sum() / truth.sum()),
        float(np.nanmean(class_accuracy)),
        float(np.nanmean(iou)),
        class_accuracy,
        iou,
    )


@dataclass
class BoundaryCounts:
    """Boundary pixels per class, float64 (K,): hits and totals of the prediction's and of the truth's."""

    predicted_hits: np.ndarray
    predicted: np.ndarray
    truth_hits: np.ndarray
    truth: np.ndarray

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(
            self.predicted_hits + other.predicted_hits,
            self.predicted + other.predicted,
            self.truth_hits + other.truth_hits,
            self.truth + other.truth,
        )


def boundary_counts(
    predicted: np.ndarray, truth: np.ndarray, num_classes: int, tolerance: float = 0.0075
) -> BoundaryCounts:
    """Count class boundary pixels of one image that have a counterpart within a distance.

    Args:
        predicted: class ids, uint8 (H, W).
        truth: class ids, uint8 (H, W); pixels of 255 belong to no boundary.
        num_classes: ids from here on are not counted.
        tolerance: the distance, as a share of the image's diagonal (0.75 % as in 1511.00561, section 4.1).
    """
    scored = truth != UNLABELLED
    radius = max(1, round(tolerance * float(np.hypot(*truth.shape))))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    totals = np.zeros((4, num_classes))
    for k in range(num_classes):
        edges = [_inner_boundary((labels == k) & scored) & scored for labels in (predicted, truth)]
        near = [cv2.dilate(edge.astype(np.uint8), disk).astype(bool) for edge in edges]
        totals[:, k] = (
            (edges[0] & near[1]).sum(), edges[0].sum(), (edges[1] & near[0]).sum(), edges[1].sum(),
        )  # fmt: skip
    return BoundaryCounts(*totals)


def _inner_boundary(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of ``mask`` with a 4-neighbor outside it; the image's border is no boundary."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inside = cv2.erode(mask.astype(np.uint8), cross, borderType=cv2.BORDER_REPLICATE).astype(bool)
    return mask & ~inside


def boundary_f1(counts: BoundaryCounts) -> float:
    """Return the mean over classes of the harmonic mean of boundary precision and recall; NaN without any."""
    if not counts.truth.any():
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = counts.predicted_hits / counts.predicted
        recall = counts.truth_hits / counts.truth
        f1 = 2 * precision * recall / (precision + recall)
    return float(np.mean(np.nan_to_num(f1[counts.truth > 0])))
