"""What config/sros2_policy.xml allows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

POLICY = Path(__file__).resolve().parents[2] / "config" / "sros2_policy.xml"


def allowed(kind: str, right: str, node: str, bases: Iterable[str]) -> set[str]:
    """Return ``topics`` or ``services`` with the right ``publish``, ``subscribe`` or ``reply``.

    Written for a node of this full name, whose cameras lie below ``bases``.
    """
    return {
        (item.text or "").replace("~", node).replace("/camera/front", base)
        for group in ElementTree.parse(POLICY).iterfind(f".//{kind}[@{right}='ALLOW']")
        for item in group
        for base in bases
    }
