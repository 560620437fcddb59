"""Reads ROS parameter files: which sections one has, and what it holds for a node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from squeeze_segnet_ros.errors import ConfigError, one_line

_PARAMETERS = "ros__parameters"


class Section(NamedTuple):
    """Parameters for the nodes that ``pattern`` fits: a name, or one with ROS's wildcards."""

    pattern: str
    parameters: dict[str, Any]

    def fits(self, node: str) -> bool:
        """Return whether it is for ``node``, a full name such as /segnet."""
        parts = self.pattern.strip("/").split("/")
        # A name without a namespace fits the node wherever it is.
        return _fits(parts, node.strip("/").split("/")) or parts == [node.rpartition("/")[2]]


class ParameterFile:
    """A ROS parameter file.

    Raises:
        ConfigError: there is no such file, or it is not a parameter file.
    """

    def __init__(self, path: Path) -> None:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"params_file {path} cannot be read: {reason}") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise ConfigError(f"params_file {path} is not YAML: {one_line(error)}") from None
        if not isinstance(content, dict):
            raise ConfigError(
                f"params_file {path} holds no parameters: write '/**:', '{_PARAMETERS}:' and names below"
            )
        self.path = path
        self.sections = tuple(_sections(content, ""))
        self._names = ", ".join(str(name) for name in content)

    def parameters(self, node: str) -> dict[str, Any]:
        """Return what it holds for ``node``, a full name such as /segnet, by dotted name."""
        found: dict[str, Any] = {}
        for section in self.sections:
            if section.fits(node):
                found |= section.parameters
        return found

    def complaint(self, node: str) -> str:
        """Return what to say of a file that holds nothing for ``node``; nothing of one that does."""
        if any(section.fits(node) for section in self.sections):
            return ""
        if not self.sections:
            return (
                f"params_file {self.path} has no '{_PARAMETERS}:' below {self._names}: it is ignored; "
                f"write '{node}:' or '/**:', '{_PARAMETERS}:' below it and the names below that"
            )
        names = ", ".join(section.pattern for section in self.sections)
        return (
            f"params_file {self.path} has sections for {names}, but this node is {node}: none is used; "
            f"call a section '{node}' or '/**', or start the node with name:= and namespace:="
        )


def _sections(content: Mapping[str, Any], prefix: str) -> list[Section]:
    """Return the sections of a file; namespaces may be nested."""
    found: list[Section] = []
    for key, value in content.items():
        name = f"{prefix}/{str(key).strip('/')}"
        if isinstance(value, dict) and _PARAMETERS in value:
            found.append(Section(name, dict(_flat(value[_PARAMETERS], ""))))
        elif isinstance(value, dict):
            found += _sections(value, name)
    return found


def _fits(pattern: list[str], names: list[str]) -> bool:
    """Match as ROS's wildcards do: ``*`` for one part of a name, ``**`` for any number of parts."""
    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_fits(pattern[1:], names[i:]) for i in range(len(names) + 1))
    return bool(names) and pattern[0] in ("*", names[0]) and _fits(pattern[1:], names[1:])


def _flat(parameters: Any, prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in parameters.items() if isinstance(parameters, dict) else ():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found
