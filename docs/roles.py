"""Let the site show what a docstring names, ``:class:`Segmenter```, as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:\w+):`~?([^`]+)`")


class Roles(griffe.Extension):
    """Rewrite the roles in every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite those of one object."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"``\1``", obj.docstring.value)
