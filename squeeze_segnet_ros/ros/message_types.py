"""The classes of messages, by the names of their types."""

from __future__ import annotations

from importlib import import_module


def message_class(name: str) -> type:
    """Return the class of ``package/msg/Type``.

    Raises:
        ImportError: the package is not installed.
        AttributeError: it has no such type.
    """
    package, _, type_name = name.partition("/msg/")
    found: type = getattr(import_module(f"{package}.msg"), type_name)
    return found
