"""Configurations: frozen dataclasses, filled from outside, typed, checked, one line for what is wrong.

The types of the fields say what they take: ``bool``, ``int``, ``float``, ``str``, tuples of those, and nested
configurations, whose fields have dotted names (``qos.depth``). :func:`setting` adds what a type cannot say.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from squeeze_segnet_ros import yaml_file
from squeeze_segnet_ros.errors import ConfigError

ConfigT = TypeVar("ConfigT")
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text, in quotes where it looks like a number",
}


class Leaf(NamedTuple):
    """One value of a configuration: its dotted name, the type of its field, and what :func:`setting` said."""

    name: str
    kind: Any
    default: Any
    value: Any
    facts: Mapping[str, Any]


class _Unfit(Exception):
    """A value that is not of the field's type."""

    def __init__(self, value: Any, expected: str) -> None:
        super().__init__(f"is {value!r}: expected {expected}")
        self.found = f"found {value!r}: expected {expected}"


def setting(
    default: Any,
    description: str = "",
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    **facts: Any,
) -> Any:
    """Return a dataclass field that has limits (both ends included) or choices, and further facts."""
    told = {"description": description, "limits": limits, "choices": choices, **facts}
    return dataclasses.field(default=default, metadata=told)


def leaves(config: Any, prefix: str = "") -> Iterator[Leaf]:
    """Yield every value of a configuration, in the order of the fields."""
    kinds = _kinds(type(config))
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{item.name}.")
        else:
            yield Leaf(prefix + item.name, kinds[item.name], item.default, value, item.metadata)


def replaced(config: ConfigT, values: Mapping[str, Any]) -> ConfigT:
    """Return a copy with new values by dotted name.

    1 may stand for 1.0, a text for a list of one, and any sequence for a tuple.

    Raises:
        ConfigError: a value is of the wrong type, or the configuration refuses it.
    """
    return _replaced(config, "", values)


def from_yaml(kind: type[ConfigT], content: yaml_file.Value) -> ConfigT:
    """Return a configuration with the values of a YAML mapping; the others have their defaults.

    Raises:
        ConfigError: a key is unknown, or a value wrong; it names the file, the line and the key.
    """
    kinds, given = _kinds(kind), {}
    for name, value in content.fields((), kinds).items():
        if dataclasses.is_dataclass(kinds[name]):
            given[name] = from_yaml(kinds[name], value)
            continue
        try:
            given[name] = _typed(kinds[name], _plain(value))
        except _Unfit as error:
            value.fail(error.found)
    try:
        return kind(**given)
    except ConfigError as error:
        content.fail(str(error))


def check(config: Any) -> None:
    """Hold every value against its choices and limits.

    Raises:
        ConfigError: one is not among them, or no number.
    """
    for leaf in leaves(config):
        choices, limits = leaf.facts.get("choices"), leaf.facts.get("limits")
        for value in leaf.value if isinstance(leaf.value, tuple) else (leaf.value,):
            if choices and value not in choices:
                raise ConfigError(f"{leaf.name} is '{value}': choose one of {', '.join(choices)}")
            # Written so that NaN fails too.
            if limits and not limits[0] <= value <= limits[1]:
                raise ConfigError(f"{leaf.name} is {value}: must be from {limits[0]} to {limits[1]}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{leaf.name} is {value}: expected a finite number")


def _replaced(config: ConfigT, prefix: str, values: Mapping[str, Any]) -> ConfigT:
    new: dict[str, Any] = {}
    kinds = _kinds(type(config))
    for item in dataclasses.fields(config):  # type: ignore[arg-type]  # every configuration is a dataclass
        current, name = getattr(config, item.name), prefix + item.name
        if dataclasses.is_dataclass(current):
            new[item.name] = _replaced(current, f"{name}.", values)
        elif name in values:
            try:
                new[item.name] = _typed(kinds[item.name], values[name])
            except _Unfit as error:
                raise ConfigError(f"{name} {error}") from None
    return dataclasses.replace(config, **new)  # type: ignore[type-var]


def _kinds(config: Any) -> dict[str, Any]:
    """Return the types of a configuration class's fields by name."""
    return get_type_hints(config)


def _typed(kind: Any, value: Any) -> Any:
    if get_origin(kind) is tuple:
        items = [value] if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) else list(value)
        kinds = get_args(kind)
        if kinds[-1] is Ellipsis:
            return tuple(_typed(kinds[0], item) for item in items)
        if len(items) != len(kinds):
            raise _Unfit(value, f"a list of {len(kinds)}, each {_KINDS[kinds[0]]}")
        return tuple(_typed(each, item) for each, item in zip(kinds, items, strict=True))
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _Unfit(value, _KINDS[kind])
    return value


def _plain(value: yaml_file.Value) -> Any:
    return [_plain(item) for item in value.items()] if value.is_list else value.plain()
