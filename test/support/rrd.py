"""What is in a Rerun recording."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what a file holds, by entity: a mapping for each row."""
    from rerun.chunk import RrdReader

    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for chunk in RrdReader(path).stream():
        found[chunk.entity_path] += chunk.to_record_batch().to_pylist()
    return found


def values(row: dict[str, Any], component: str) -> Any:
    """Return what a row has of a component."""
    return next(value for name, value in row.items() if name.endswith(f":{component}") and value is not None)
