"""The system's Chromium, without a window: what a page shows, and whom it asks."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from squeeze_segnet_ros.images.decoding import decode_unchanged
from support.processes import TooLate

PATIENCE = 120.0
"""Seconds; without a GPU, on a computer that does other things, a page of Rerun takes ten to open."""
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Drawn by the processor. In a container Chromium's own sandbox has no rights.
_OPTIONS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def missing() -> str:
    """Return what is not there to drive a browser with, or nothing."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "needs Playwright: pip install playwright"
    return "" if _chromium() else "needs Chromium: apt install chromium"


def _chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """An open page."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self.asked: set[str] = set()
        """The hosts that it has reached, or tried to."""
        self.refused: list[str] = []
        """What its policy kept it from, as its console tells."""
        page.on("request", lambda request: self.asked.add(request.url.partition("//")[2].partition("/")[0]))
        page.on("console", self._listen)

    def _listen(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.refused.append(message.text)

    def open(self, address: str) -> None:
        """Go there."""
        self._page.goto(address)

    def close(self) -> None:
        """Close it."""
        self._page.close()

    def wait(self, milliseconds: float) -> None:
        """Let it draw for so long."""
        self._page.wait_for_timeout(milliseconds)

    def picture(self) -> np.ndarray:
        """Return what it shows: uint8 (H, W, 3) RGB."""
        data = np.frombuffer(self._page.screenshot(), np.uint8)
        return decode_unchanged(data)

    def wait_for(self, condition: Callable[[np.ndarray], Any], what: str) -> np.ndarray:
        """Return the first picture that fulfils the condition.

        Raises:
            TooLate: none does.
        """
        deadline = time.monotonic() + PATIENCE
        while not condition(picture := self.picture()):
            if time.monotonic() > deadline:
                raise TooLate(f"{what}: not within {PATIENCE:g} s")
            self.wait(300)
        return picture


@contextmanager
def open_page(width: int = 1000, height: int = 640) -> Iterator[Page]:
    """Yield an empty page of a browser of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=list(_OPTIONS))
        try:
            yield Page(browser.new_page(viewport={"width": width, "height": height}))
        finally:
            browser.close()


def share(picture: np.ndarray, rgb: tuple[int, int, int], near: int = 20) -> float:
    """Return the share of pixels that have a color, or nearly."""
    return float((np.abs(picture.astype(int) - rgb).max(2) <= near).mean())


def blended(*colors: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return what colors become in equal parts: it is light that is mixed, not its code."""
    light = (np.array(colors) / 255) ** 2.2
    red, green, blue = (255 * light.mean(0) ** (1 / 2.2)).round().astype(int).tolist()
    return red, green, blue
