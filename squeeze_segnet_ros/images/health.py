"""Judges from a few thousand pixels whether a camera's pictures and stamps can be trusted."""

from __future__ import annotations

import zlib
from enum import IntEnum
from typing import NamedTuple

import numpy as np

GRID = (48, 64)
"""Rows and columns of the pixels that are looked at for brightness and equality."""
ROWS = 24
"""Rows that are looked at in full for sharpness."""

BLACK = 16
"""A picture is black when 98 % of its pixels are darker than this, of 255."""
BLOWN_OUT = 250
"""A picture is blown out when more than half of its pixels are at least this bright, of 255."""
FLAT = 2.0
"""A picture whose pixels deviate less than this from their mean, of 255, shows nothing."""
BLURRED = 0.38
"""A picture is blurred when its curvature along the rows is a smaller share of its slope than this."""
FROZEN_WARN, FROZEN_ERROR = 3, 10
"""This many equal pictures in a row make a camera suspect, or broken."""
FUTURE = 0.1
"""Stamps may be this many seconds ahead of the clock."""
_EPOCH_IS_OVER = 10 * 365 * 24 * 3600 * 10**9
"""Stamps below ten years, in nanoseconds, count since something else than 1970 where the clock is above."""
STALE = 60.0
"""Stamps older than this, in seconds, come from another clock or from a recording."""


class Level(IntEnum):
    """How bad a finding is, with the values of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


class Finding(NamedTuple):
    """Something wrong with a camera.

    Attributes:
        kind: a short fixed name.
        text: says it with figures.
        lasts: whether it will be so with every frame until somebody changes something.
    """

    level: Level
    kind: str
    text: str
    lasts: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


class CameraHealth:
    """Follows one camera from frame to frame."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._fingerprint: int | None = None
        self._equal = 1
        self._stamp: int | None = None

    def check(self, pixels: np.ndarray, damage: str = "") -> tuple[Finding, ...]:
        """Return what is wrong with a picture.

        Args:
            pixels: uint8 (H, W) or (H, W, C); with three channels or more the first three are colors.
            damage: what the decoder found wrong, in words.
        """
        grid = _subsample(pixels)
        findings = [
            *([Finding(Level.WARN, "damaged", damage)] if damage else []),
            *self._check_size(pixels.shape[1], pixels.shape[0]),
            *self._check_frozen(grid),
            *_check_picture(grid, pixels),
        ]
        return tuple(findings)

    def check_stamp(self, stamp: int, now: int, max_age: float = 0.0) -> tuple[Finding, ...]:
        """Return what is wrong with a frame's stamp.

        Args:
            stamp: in nanoseconds.
            now: the node's clock in nanoseconds, 0 when it has no time yet.
            max_age: age in seconds at which frames are dropped, 0 for none.
        """
        before, self._stamp = self._stamp, stamp
        if now > _EPOCH_IS_OVER and stamp < _EPOCH_IS_OVER:
            what = "zero" if not stamp else "counted since the computer started, it seems, not since 1970"
            drops = f"; max_age ({max_age:g} s) drops every frame: set it to 0.0" if max_age else ""
            text = f"{what}: the driver should stamp with ROS time{drops}"
            return (Finding(Level.WARN, "stamp", text, lasts=True),)
        found = []
        if before is not None and stamp < before:
            back = (before - stamp) / 1e9
            found.append(Finding(Level.WARN, "stamp", f"{back:.3f} s before the one of the last frame"))
        age = (now - stamp) / 1e9
        if now and age < -FUTURE:
            found.append(Finding(Level.WARN, "stamp", f"{-age:.3f} s in the future"))
        elif now and age > STALE:
            text = f"{age:.0f} s old: a recording needs its clock played and use_sim_time"
            found.append(Finding(Level.WARN, "stamp", text))
        return tuple(found)

    def forget_stamps(self) -> None:
        """Forget the last stamp after a jump of the clock: the next cannot be compared with it."""
        self._stamp = None

    def _check_size(self, width: int, height: int) -> list[Finding]:
        before, self._size = self._size, (width, height)
        if before in (None, self._size):
            return []
        assert before is not None
        return [Finding(Level.WARN, "size", f"changed from {before[0]}x{before[1]} to {width}x{height}")]

    def _check_frozen(self, grid: np.ndarray) -> list[Finding]:
        fingerprint = zlib.crc32(grid.tobytes())
        self._equal = self._equal + 1 if fingerprint == self._fingerprint else 1
        self._fingerprint = fingerprint
        if self._equal < FROZEN_WARN:
            return []
        level = Level.ERROR if self._equal >= FROZEN_ERROR else Level.WARN
        return [Finding(level, "frozen", f"{self._equal} equal frames in a row")]


def _subsample(pixels: np.ndarray) -> np.ndarray:
    """Return about ``GRID`` pixels, evenly spread, as uint8 (rows, columns, channels)."""
    rows, columns = (max(1, size // wanted) for size, wanted in zip(pixels.shape, GRID, strict=False))
    grid = pixels[rows // 2 :: rows, columns // 2 :: columns]
    return grid[..., None] if grid.ndim == 2 else grid[..., :3]


def _check_picture(grid: np.ndarray, pixels: np.ndarray) -> list[Finding]:
    # A plane at a time: along so short an axis a mean takes six times as long.
    planes = np.moveaxis(grid.astype(np.uint16), 2, 0)
    brightness = sum(planes[1:], planes[0]) / len(planes)
    dark = float((brightness < BLACK).mean())
    if dark >= 0.98:
        return [Finding(Level.ERROR, "black", f"{dark:.0%} of the picture")]
    bright = float((brightness >= BLOWN_OUT).mean())
    if bright > 0.5:
        return [Finding(Level.WARN, "blown out", f"{bright:.0%} of the picture")]
    deviation = float(brightness.std())
    if deviation < FLAT:
        return [
            Finding(
                Level.WARN, "flat", f"brightness deviates by {deviation:.1f} of 255: is the lens covered?"
            )
        ]
    sharpness = _sharpness(pixels)
    if sharpness < BLURRED:
        return [
            Finding(
                Level.WARN, "blurred", f"sharpness {sharpness:.2f}, a clear picture has {BLURRED} or more"
            )
        ]
    return []


def _sharpness(pixels: np.ndarray) -> float:
    """Return curvature along rows over slope, over two pixels: small when blurred, whatever the contrast.

    CamVid's pictures have 1.1 to 1.5; blurred with a sigma of 2 pixels 0.40 to 0.50, of 3 0.29 to 0.37.
    """
    step = max(1, pixels.shape[0] // ROWS)
    rows = pixels[step // 2 :: step]
    line = (rows if rows.ndim == 2 else rows[..., min(1, rows.shape[2] - 1)]).astype(np.int16)
    curvature = np.abs(line[:, 4:] - 2 * line[:, 2:-2] + line[:, :-4]).mean()
    return float(curvature / max(np.abs(line[:, 4:] - line[:, :-4]).mean(), 1e-6))
