"""What an exception says, as one line."""

import pytest

from squeeze_segnet_ros.errors import one_line


@pytest.mark.parametrize(
    ("error", "alone", "named"),
    [
        (ValueError("no\n  such\tsize "), "no such size", "ValueError: no such size"),
        (RuntimeError(), "RuntimeError", "RuntimeError"),
    ],
)
def test_an_exception_is_one_line(error: Exception, alone: str, named: str) -> None:
    assert one_line(error) == alone
    assert one_line(error, named=True) == named
