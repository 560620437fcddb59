"""The size of an image as one writes it, width first, and as arrays have it, height first."""

from __future__ import annotations

from squeeze_segnet_ros.errors import ConfigError


def parse_size(text: str, least: int, what: str = "--size") -> tuple[int, int]:
    """Turn ``480x360`` into (360, 480): height and width in pixels.

    Args:
        text: width x height.
        least: pixels that each of them has.
        what: the text's name, for the error.

    Raises:
        ConfigError: it is no such size.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= least):
        raise ConfigError(
            f"{what} is '{text}': give width x height of at least {least} pixels each, such as 480x360"
        )
    return int(height), int(width)
