"""Figures show the picture, its labels in their colors, and a legend of what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros.classes import CAMVID, UNLABELLED
from squeeze_segnet_ros.errors import InvalidImageError

pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs matplotlib")


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


def labelled(height: int = 40, width: int = 60, **more: Any) -> ssr.Segmentation:
    labels = np.full((height, width), 3, np.uint8)
    labels[:10] = 0
    labels[10:20] = UNLABELLED
    return ssr.Segmentation(labels, classes=CAMVID.classes, **more)


def legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_an_image_is_shown_beside_its_labels_with_a_legend() -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    axes = ssr.show(image, labelled())
    assert legend(axes) == ["sky 25.0%", "road 50.0%", "unlabelled 25.0%"]
    picture, labels = axes.figure.axes
    np.testing.assert_array_equal(picture.images[0].get_array(), image)
    drawn = labels.images[0].get_array()
    np.testing.assert_array_equal(drawn[0, 0], np.rint((100 + np.array(CAMVID.classes[0].rgb)) / 2))
    assert labelled().plot(image).figure.axes[0].images
    assert picture.get_position().y0 == pytest.approx(labels.get_position().y0, abs=0.2)


@pytest.mark.parametrize("shape", [(40, 60), (40, 400, 3)], ids=["gray", "wide"])
def test_gray_and_wide_images_are_shown(shape: tuple[int, ...]) -> None:
    axes = ssr.show(np.zeros(shape, np.uint8), labelled(*shape[:2]))
    axes.figure.canvas.draw()
    assert len(axes.figure.axes) == 2


def test_labels_are_shown_alone_or_over_their_overlay() -> None:
    np.testing.assert_array_equal(labelled().plot().images[0].get_array()[0, 0], CAMVID.classes[0].rgb)
    overlay = np.full((40, 60, 3), 7, np.uint8)
    np.testing.assert_array_equal(labelled(overlay=overlay).plot().images[0].get_array(), overlay)


def test_another_image_is_refused_in_one_line() -> None:
    with pytest.raises(InvalidImageError, match=r"shape \(30, 60, 3\), its labels \(40, 60\): give"):
        ssr.show(np.zeros((30, 60, 3), np.uint8), labelled())


def test_results_of_the_engine_know_their_classes() -> None:
    result = ssr.load("enet", device="cpu", precision="fp32").segment(np.zeros((32, 32, 3), np.uint8))
    assert [label.name for label in result.classes] == list(CAMVID.names)
