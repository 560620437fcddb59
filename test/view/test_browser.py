"""The page in a real browser: pictures with the labels over them, names of classes; nobody else is asked.

The page is a canvas, without text that could be read. So the names are looked for as a reader would miss
them: with another name, and all else equal, the legend looks different; with the same one it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

pytest.importorskip("rerun", reason="needs Rerun: pip install squeeze_segnet_ros[view]")

from squeeze_segnet_ros.classes import LabelClass
from squeeze_segnet_ros.view.recording import Figures, Recording
from squeeze_segnet_ros.view.web import WebViewer
from support.browser import Page, blended, missing, open_page, share

if missing():
    pytest.skip(missing(), allow_module_level=True)
pytestmark = pytest.mark.slow

START = 1_700_000_000 * 10**9
CLASS = (0, 200, 0)
LEFT, RIGHT = (220, 0, 0), (0, 0, 220)


def halves(page: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the two cameras are."""
    scene = page[: page.shape[0] * 6 // 10]
    return scene[:, : page.shape[1] // 2], scene[:, page.shape[1] // 2 :]


def show(web: WebViewer, name: str, left: tuple[int, int, int], right: tuple[int, int, int]) -> Recording:
    recording = Recording(["left", "right"], [LabelClass(0, name, CLASS)], live=True)
    recording.connect(web.url)
    labels = np.zeros((120, 160), np.uint8)
    for index in range(3):
        for camera, color in (("left", left), ("right", right)):
            recording.log_picture(
                camera, START + index * 10**8, np.full((120, 160, 3), color, np.uint8), labels
            )
            recording.log_figures(camera, START + index * 10**8, Figures([100]))
    assert recording.flush(20.0)
    return recording


@pytest.fixture(scope="module")
def web() -> Iterator[WebViewer]:
    with WebViewer(port=0) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def page(web: WebViewer) -> Iterator[Page]:
    with open_page() as page:
        page.open(web.address)
        yield page


def see(page: Page, colors: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Wait until both cameras are seen, and return the legend of the class shares."""

    def there(picture: np.ndarray) -> bool:
        over = [blended(color, CLASS) for color in colors]
        return all(share(half, color) > 0.05 for half, color in zip(halves(picture), over, strict=True))

    picture = page.wait_for(there, f"pictures of the colors {colors}")
    height, width = picture.shape[:2]
    return picture[height * 64 // 100 : height * 78 // 100, width * 2 // 100 : width * 20 // 100]


def test_pictures_names_and_nobody_else(web: WebViewer, page: Page) -> None:
    recordings = [show(web, "road", LEFT, RIGHT)]
    legend = see(page, (LEFT, RIGHT))
    recordings.append(show(web, "road", RIGHT, LEFT))
    assert differs(see(page, (RIGHT, LEFT)), legend) < 20
    recordings.append(show(web, "zebra crossing", LEFT, RIGHT))
    page.wait_for(lambda _: differs(see(page, (LEFT, RIGHT)), legend) > 200, "another name in the legend")
    assert page.asked == {web.address.removeprefix("http://")}
    assert any("api.github.com" in line for line in page.refused)  # or the policy has become needless
    for recording in recordings:
        recording.close()


def differs(one: np.ndarray, other: np.ndarray) -> int:
    """Return how many pixels differ."""
    return int((np.abs(one.astype(int) - other).max(2) > 40).sum())
