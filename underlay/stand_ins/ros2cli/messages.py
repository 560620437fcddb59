"""Messages as text."""

import array
from typing import Any

import numpy as np
import yaml

_ELEMENTS = (list, tuple, array.array, np.ndarray, bytes)


def to_plain(value: Any, longest: int | None = None, no_arr: bool = False, field_type: str = "") -> Any:
    """Turn a message into dicts, lists and scalars.

    Arrays and texts are cut after `longest` elements; with `no_arr` arrays become their type and length.
    """
    if hasattr(value, "get_fields_and_field_types"):
        fields = value.get_fields_and_field_types()
        return {name: to_plain(getattr(value, name), longest, no_arr, kind) for name, kind in fields.items()}
    if isinstance(value, _ELEMENTS) and field_type not in ("octet", "byte"):
        if no_arr:
            return f"<{field_type}, length: <{len(value)}>>"
        elements = [to_plain(element, longest, no_arr) for element in value[:longest]]
        return elements if longest is None or len(value) <= longest else [*elements, "..."]
    if isinstance(value, str) and longest is not None and len(value) > longest:
        return value[:longest] + "..."
    if isinstance(value, bytes):
        return int.from_bytes(value, "little")
    return value.item() if isinstance(value, np.generic) else value


def to_yaml(plain: Any) -> str:
    """Write it as YAML without a newline at the end."""
    if not isinstance(plain, dict | list):
        return str(plain)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=float("inf")).rstrip("\n")
