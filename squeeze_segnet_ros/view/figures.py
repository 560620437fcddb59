"""Figures of labelled images for notebooks and scripts, on matplotlib's pyplot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from squeeze_segnet_ros.classes import UNLABELLED, palette_of
from squeeze_segnet_ros.engine import Segmentation
from squeeze_segnet_ros.errors import ConfigError, InvalidImageError
from squeeze_segnet_ros.images.label_images import class_pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL import Image

_ALPHA = 0.5
"""Share of the class color over an image."""


def show(image: np.ndarray | Image.Image | None, result: Segmentation) -> Axes:
    """Draw an image beside its labels, with a legend of the classes in it and their shares of the pixels.

    A notebook shows the figure; in a script ``matplotlib.pyplot.show()`` does, and ``.figure.savefig(PATH)``
    of what is returned writes it.

    Args:
        image: uint8 (H, W, 3) RGB, or (H, W), or a Pillow image; None for the labels alone.
        result: what :meth:`Segmenter.segment` said about it.

    Returns:
        The axes of the labels.

    Raises:
        ConfigError: matplotlib is not installed.
        InvalidImageError: image and labels differ in size.
    """
    height, width = result.labels.shape
    colors = palette_of(result.classes)[result.labels]  # (H, W, 3)
    if result.overlay is not None:
        colors = result.overlay
    if image is None:
        figure = _pyplot().figure(figsize=(8, 0.5 + 6 * height / width), layout="constrained")
        axes = figure.subplots()
    else:
        pixels = np.asarray(image)
        if pixels.shape[:2] != (height, width):
            raise InvalidImageError(
                f"the image has shape {pixels.shape}, its labels {result.labels.shape}: give the image that "
                "was segmented"
            )
        # Wide pictures lie one above the other.
        beside = width < 2 * height
        size = (13, 0.5 + 5.5 * height / width) if beside else (11, 0.5 + 18 * height / width)
        figure = _pyplot().figure(figsize=size, layout="constrained")
        picture, axes = figure.subplots(*((1, 2) if beside else (2, 1)))
        picture.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        picture.set_axis_off()
        if result.overlay is None:
            under = np.atleast_3d(pixels)[:, :, :3]
            colors = np.rint((1 - _ALPHA) * under + _ALPHA * colors).astype(np.uint8)
    axes.imshow(colors)
    axes.set_axis_off()
    _add_legend(axes, result)
    drawn: Axes = axes
    return drawn


def _add_legend(axes: Any, result: Segmentation) -> None:
    from matplotlib.patches import Patch

    names = {label.id: label.name for label in result.classes} | {UNLABELLED: "unlabelled"}
    palette, shares = palette_of(result.classes) / 255, class_pixels(result.labels) / result.labels.size
    handles = [
        Patch(facecolor=palette[i], edgecolor="gray", label=f"{names.get(i, f'class {i}')} {shares[i]:.1%}")
        for i in map(int, np.flatnonzero(shares))
    ]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ConfigError('figures need matplotlib: pip install "squeeze_segnet_ros[plot]"') from None
    return pyplot
