"""Sizes as one writes them."""

import pytest

from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.images.sizes import parse_size


@pytest.mark.parametrize("text", ["480x360", "480X360"])
def test_height_comes_first(text: str) -> None:
    assert parse_size(text, 32) == (360, 480)


@pytest.mark.parametrize(
    "text", ["480", "480x", "x", "480x360x2", "-480x360", "480.5x360", "31x360", "480x31"]
)
def test_what_is_no_size_is_said_with_what_would_be(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_size(text, 32, "--crop")
    expected = f"--crop is '{text}': give width x height of at least 32 pixels each, such as 480x360"
    assert str(error.value) == expected
