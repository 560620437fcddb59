"""Stand-in for `launch.utilities`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .launch_context import LaunchContext
    from .substitutions import Substitution


def normalize_to_list_of_substitutions(subs: Any) -> "list[Substitution]":
    """Turn a text, a substitution or a sequence of both into a list of substitutions."""
    from .substitutions import Substitution, TextSubstitution

    if isinstance(subs, Substitution):
        return [subs]
    if isinstance(subs, str):
        return [TextSubstitution(text=subs)]
    items = list(subs) if isinstance(subs, Iterable) else [subs]
    if not all(isinstance(item, str | Substitution) for item in items):
        raise TypeError(f"expected a text, a substitution or a sequence of them, got {subs!r}")
    return [TextSubstitution(text=item) if isinstance(item, str) else item for item in items]


def perform_substitutions(context: "LaunchContext", subs: "Iterable[Substitution]") -> str:
    """Join what each substitution stands for."""
    return "".join(context.perform_substitution(sub) for sub in subs)


def as_bool(text: str) -> bool:
    """Read a boolean as launch writes it: true, false, 1 or 0 in any case."""
    lowered = text.strip().lower()
    if lowered in ("true", "1"):
        return True
    if lowered in ("false", "0"):
        return False
    raise ValueError(f"'{text}' is no boolean, expected one of: true, false, 1, 0")


def evaluate(context: "LaunchContext", value: Any) -> str:
    """Perform whatever `normalize_to_list_of_substitutions` accepts."""
    return perform_substitutions(context, normalize_to_list_of_substitutions(value))
