"""Files that come with the package: configurations and weights, wherever the package lies."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(*parts: str) -> Path:
    """Return where a file or folder that comes with the package lies: ``shipped("config", "classes")``.

    Installed, ``config`` lies within the package; in a clone, beside it. The path need not exist.
    """
    inside = _PACKAGE.joinpath(*parts)
    return inside if (_PACKAGE / parts[0]).is_dir() else _PACKAGE.parent.joinpath(*parts)
