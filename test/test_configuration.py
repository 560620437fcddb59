"""Configurations: typed by their fields, checked, with one line for what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from squeeze_segnet_ros import yaml_file
from squeeze_segnet_ros.configuration import check, from_yaml, leaves, replaced, setting
from squeeze_segnet_ros.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    rate: float = setting(1.0, "How fast.", limits=(0.0, 2.0), unit="Hz")
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Outer:
    kind: str = setting("a", choices=("a", "b"))
    size: tuple[int, int] = (0, 0)
    on: bool = False
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        check(self)


def test_values_have_dotted_names_and_the_facts_of_their_fields() -> None:
    by_name = {leaf.name: leaf for leaf in leaves(Outer())}
    assert list(by_name) == ["kind", "size", "on", "inner.rate", "inner.names"]
    assert by_name["inner.rate"].facts["unit"] == "Hz"


def test_numbers_lists_and_texts_become_what_the_field_is() -> None:
    new = replaced(Outer(), {"inner.rate": 2, "inner.names": "one", "size": [3, 4]})
    assert new == Outer(size=(3, 4), inner=Inner(rate=2.0, names=("one",)))
    assert isinstance(new.inner.rate, float)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"inner.rate": 3.0}, "rate is 3.0: must be from 0.0 to 2.0"),
        ({"inner.rate": float("nan")}, "rate is nan: must be from"),
        ({"inner.rate": True}, "inner.rate is True: expected a number"),
        ({"kind": "c"}, "kind is 'c': choose one of a, b"),
        ({"size": [1]}, "size is [1]: expected a list of 2, each a whole number"),
        ({"size": [1, 2.0]}, "size is 2.0: expected a whole number"),
        ({"on": 1}, "on is 1: expected true or false"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(values: dict, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replaced(Outer(), values)
    assert words in str(caught.value)


def test_a_file_is_read_as_utf_8_and_errors_name_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    path = tmp_path / "config.yaml"
    path.write_text("kind: b\ninner:\n  names: [größer]\n", encoding="utf-8")
    assert from_yaml(Outer, yaml_file.read(path)) == Outer("b", inner=Inner(names=("größer",)))
    path.write_text("kind: b\ninner:\n  rate: fast\n")
    with pytest.raises(ConfigError, match=r"line 3, inner.rate: found 'fast': expected a number"):
        from_yaml(Outer, yaml_file.read(path))
    path.write_text("kind: b\ninner:\n  rate: 5\n")
    with pytest.raises(ConfigError, match=r"line 3, inner: rate is 5.0: must be from 0.0 to 2.0"):
        from_yaml(Outer, yaml_file.read(path))
