"""YAML files, read so that every error names the file, line and key, what came and what would be right."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from squeeze_segnet_ros.errors import ConfigError, one_line

_MOST_BYTES = 2**22
"""Four million: a file of ours has some thousands."""


class Value:
    """A value of a YAML file that knows where it stands; its methods raise ConfigError for another kind."""

    def __init__(self, node: yaml.Node, path: Path, key: str = "") -> None:
        self.node = node
        self.path = path
        self.key = key

    @property
    def line(self) -> int:
        """The line of the file, from 1."""
        return int(self.node.start_mark.line) + 1

    def fail(self, what: str) -> NoReturn:
        """Raise ConfigError with ``what`` behind the file, the line and the key."""
        key = f", {self.key}" if self.key else ""
        raise ConfigError(f"{self.path}, line {self.line}{key}: {what}")

    def plain(self) -> Any:
        """Return a single value as Python has it; for a list or a mapping, a word that says so."""
        if not isinstance(self.node, yaml.ScalarNode):
            return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"
        try:
            return yaml.constructor.SafeConstructor().construct_object(self.node)
        except (yaml.YAMLError, ValueError):
            return self.node.value

    def _is_scalar(self, kind: type | tuple[type, ...]) -> bool:
        value = self.plain()
        return isinstance(self.node, yaml.ScalarNode) and (
            isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        )

    def _shown(self) -> str:
        value = self.plain()
        if not isinstance(self.node, yaml.ScalarNode):
            return str(value)
        return "nothing" if value is None else repr(value)[:80]

    @property
    def is_none(self) -> bool:
        """Whether nothing stands behind the key, or null."""
        return isinstance(self.node, yaml.ScalarNode) and self.plain() is None

    @property
    def is_text(self) -> bool:
        """Whether it is a single text."""
        return self._is_scalar(str)

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.node, yaml.SequenceNode)

    def text(self, choices: Sequence[str] = ()) -> str:
        """Return a text, one of ``choices`` where there are some."""
        if not self._is_scalar(str):
            hint = "; put it in quotes" if isinstance(self.node, yaml.ScalarNode) and self.node.value else ""
            self.fail(f"found {self._shown()}: expected a text{hint}")
        text = str(self.plain())
        if choices and text not in choices:
            self.fail(f"found '{text}': choose {nearest(text, choices)}")
        return text

    def integer(self, low: int, high: int) -> int:
        """Return a whole number of ``low`` to ``high``, both included."""
        if not self._is_scalar(int) or not low <= self.plain() <= high:
            self.fail(f"found {self._shown()}: expected a whole number of {low} to {high}")
        return int(self.plain())

    def number(self) -> float:
        """Return a finite number."""
        if not self._is_scalar((int, float)) or not math.isfinite(self.plain()):
            self.fail(f"found {self._shown()}: expected a number")
        return float(self.plain())

    def items(self, length: int | None = None) -> list[Value]:
        """Return the values of a list, which must have ``length`` of them where that is given."""
        wanted = "a list" if length is None else f"a list of {length}"
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"found {self._shown()}: expected {wanted}")
        if length is not None and len(self.node.value) != length:
            self.fail(f"found a list of {len(self.node.value)}: expected {wanted}")
        return [Value(node, self.path, f"{self.key}[{i}]") for i, node in enumerate(self.node.value)]

    def texts(self) -> list[str]:
        """Return the texts of a list, or a single text as a list of one."""
        return [self.text()] if not self.is_list else [item.text() for item in self.items()]

    def entries(self) -> list[tuple[Value, Value]]:
        """Return the keys and values of a mapping; a key that comes twice is an error."""
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"found {self._shown()}: expected keys and values")
        seen: dict[Any, int] = {}
        found = []
        for key_node, node in self.node.value:
            key = Value(key_node, self.path, self.key)
            plain = key.plain()
            if not isinstance(key_node, yaml.ScalarNode):
                key.fail(f"found {plain} as a key: expected a text or a number")
            if plain in seen:
                key.fail(f"the key {plain!r} stands in line {seen[plain]} already")
            seen[plain] = key.line
            found.append((key, Value(node, self.path, f"{self.key}.{plain}" if self.key else str(plain))))
        return found

    def fields(self, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Value]:
        """Return the values of a mapping by key; a key that is missing or in neither list is an error."""
        required, known = list(required), [*required, *optional]
        found = {}
        for key, value in self.entries():
            name = str(key.plain())
            if name not in known:
                key.fail(f"unknown key '{name}': known are {nearest(name, known)}")
            found[name] = value
        for name in required:
            if name not in found:
                self.fail(f"the key '{name}' is missing: needed are {', '.join(required)}")
        return found


def nearest(word: str, known: Sequence[str], most: int = 12) -> str:
    """Return ``known`` as a text; of many only those that look like ``word``, or the first ones."""
    if len(known) <= most:
        return ", ".join(known)
    alike = difflib.get_close_matches(word, known, most // 2, 0.5)
    return ", ".join(alike or known[:most]) + f" ... ({len(known)} in all)"


def read(path: Path) -> Value:
    """Return what a YAML file holds.

    Raises:
        ConfigError: there is no such file, it is empty, larger than any of ours, or not YAML.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path} has {path.stat().st_size} bytes: expected at most {_MOST_BYTES}")
        node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except FileNotFoundError:
        raise ConfigError(f"no file {path}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {error.problem or error.context}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is not readable as YAML: {one_line(error)}") from None
    if node is None:
        raise ConfigError(f"{path} is empty: expected keys and values")
    return Value(node, path)
