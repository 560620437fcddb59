"""What is asked about images, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from squeeze_segnet_ros.classes import UNLABELLED, LabelClass
from squeeze_segnet_ros.errors import ConfigError


@dataclass(frozen=True)
class Request:
    """What to give for each image.

    Attributes:
        confidence: whether to give a confidence image; None for one where the network gives scores.
        overlay: whether to give an overlay.
        overlay_alpha: share of the class color in the overlay, 0..1.
        min_confidence: labels with a lower probability, 0..1, become 255.
        shown_classes: ids of the classes that the overlay colors; None for all.

    Raises:
        ConfigError: a value is out of its range.
    """

    confidence: bool | None = None
    overlay: bool = False
    overlay_alpha: float = 0.5
    min_confidence: float = 0.0
    shown_classes: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for name in ("overlay_alpha", "min_confidence"):
            value = getattr(self, name)
            # A comparison with what is not a number is false.
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}: give a number of 0 to 1")

    def overlay_weight(self, num_classes: int) -> np.ndarray:
        """Return the share of each label's color in an overlay, float32 (256,).

        Raises:
            ConfigError: a class is to be shown that does not exist.
        """
        shown = list(range(num_classes) if self.shown_classes is None else self.shown_classes)
        wrong = [i for i in shown if i not in range(num_classes)]
        if wrong:
            raise ConfigError(f"shown_classes has {wrong[0]}: class ids go from 0 to {num_classes - 1}")
        weight = np.zeros(UNLABELLED + 1, np.float32)
        weight[shown] = self.overlay_alpha
        return weight


LABELS = Request(confidence=False)
"""The labels alone."""


@dataclass(frozen=True)
class Segmentation:
    """What the network says about one image of H x W pixels.

    Attributes:
        labels: uint8 (H, W), class ids; 255 where the confidence is below the minimum asked for.
        confidence: uint8 (H, W), the probability of the chosen class times 255; None when not asked for.
        overlay: uint8 (H, W, 3) RGB, the image with the class colors blended in; None when not asked for.
        seconds: wall time of the stages of the pass that this image was in, by name.
        classes: what the ids are, in their order.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None
    overlay: np.ndarray | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    classes: Sequence[LabelClass] = ()

    def plot(self, image: Any = None) -> Any:
        """Draw the labels with a legend, beside the image if it is given, as :func:`squeeze_segnet_ros.show`.

        Returns:
            Matplotlib's axes of the labels.

        Raises:
            ConfigError: matplotlib is not installed.
            InvalidImageError: image and labels differ in size.
        """
        # Figures are made of results, so they lie above the engine; the package's front door leads there.
        import squeeze_segnet_ros

        return squeeze_segnet_ros.show(image, self)
