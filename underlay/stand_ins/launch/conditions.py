"""Stand-in for `launch.conditions`: whether an action takes place."""

from typing import TYPE_CHECKING

from .substitutions import SomeSubstitutionsType
from .utilities import as_bool, evaluate

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class InvalidConditionExpressionError(ValueError):
    """A condition is neither true nor false."""


class IfCondition:
    """Holds when the expression is true or 1."""

    _wanted = True

    def __init__(self, predicate_expression: SomeSubstitutionsType) -> None:
        self._expression = predicate_expression

    def evaluate(self, context: "LaunchContext") -> bool:
        """Return whether the condition holds in this context."""
        try:
            return as_bool(evaluate(context, self._expression)) is self._wanted
        except ValueError as error:
            raise InvalidConditionExpressionError(f"{type(self).__name__}: {error}") from None


class UnlessCondition(IfCondition):
    """Holds when the expression is false or 0."""

    _wanted = False
