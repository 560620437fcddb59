"""Stand-in for `launch.substitutions`: text that is only known while a launch runs."""

import importlib
import math
import operator
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .utilities import as_bool, normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class SubstitutionFailure(RuntimeError):
    """A substitution has no value."""


class Substitution:
    """Base of everything that stands for a text."""

    def perform(self, context: "LaunchContext") -> str:
        """Return the text in this context."""
        raise NotImplementedError

    def describe(self) -> str:
        """Return the form that `ros2 launch --show-args` prints."""
        return f"{type(self).__name__}()"


SomeSubstitutionsType = str | Substitution | Iterable[str | Substitution]


class TextSubstitution(Substitution):
    """A fixed text."""

    def __init__(self, *, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"TextSubstitution: text must be a str, not {text!r}")
        self.text = text

    def perform(self, context: "LaunchContext") -> str:
        return self.text

    def describe(self) -> str:
        return f"'{self.text}'"


class LaunchConfiguration(Substitution):
    """The value of a launch argument or of SetLaunchConfiguration."""

    def __init__(self, variable_name: SomeSubstitutionsType, *, default: Any = None) -> None:
        self.variable_name = normalize_to_list_of_substitutions(variable_name)
        self._default: list[Substitution] | None = None
        if default is not None:
            items = [default] if isinstance(default, str) or not isinstance(default, Iterable) else default
            self._default = normalize_to_list_of_substitutions(
                [item if isinstance(item, str | Substitution) else str(item) for item in items]
            )

    def perform(self, context: "LaunchContext") -> str:
        name = perform_substitutions(context, self.variable_name)
        if name in context.launch_configurations:
            return context.launch_configurations[name]
        if self._default is None:
            raise SubstitutionFailure(f"launch configuration '{name}' does not exist")
        return perform_substitutions(context, self._default)

    def describe(self) -> str:
        return f"LaunchConfig({_describe(self.variable_name)})"


class EnvironmentVariable(Substitution):
    """The value of an environment variable."""

    def __init__(
        self, name: SomeSubstitutionsType, *, default_value: SomeSubstitutionsType | None = None
    ) -> None:
        self.name = normalize_to_list_of_substitutions(name)
        self._default = None if default_value is None else normalize_to_list_of_substitutions(default_value)

    def perform(self, context: "LaunchContext") -> str:
        name = perform_substitutions(context, self.name)
        if name in context.environment:
            return context.environment[name]
        if self._default is None:
            raise SubstitutionFailure(f"environment variable '{name}' does not exist")
        return perform_substitutions(context, self._default)

    def describe(self) -> str:
        return f"EnvVar({_describe(self.name)})"


class PathJoinSubstitution(Substitution):
    """Parts of a path, joined."""

    def __init__(self, substitutions: Iterable[str | Substitution]) -> None:
        self.substitutions = normalize_to_list_of_substitutions(substitutions)

    def perform(self, context: "LaunchContext") -> str:
        return str(Path(*[part.perform(context) for part in self.substitutions]))

    def describe(self) -> str:
        return f"PathJoin({_describe(self.substitutions)})"


class PythonExpression(Substitution):
    """The value of a Python expression, in which `math` is there unless other modules are named."""

    def __init__(
        self, expression: SomeSubstitutionsType, python_modules: Iterable[str | Substitution] = ("math",)
    ) -> None:
        self.expression = normalize_to_list_of_substitutions(expression)
        self._modules = normalize_to_list_of_substitutions(python_modules)

    def perform(self, context: "LaunchContext") -> str:
        names: dict[str, Any] = {}
        for module in self._modules:
            name = module.perform(context)
            names[name] = importlib.import_module(name)
        names.update(vars(names.get("math", object)))
        return str(eval(perform_substitutions(context, self.expression), {}, names))

    def describe(self) -> str:
        return f"PythonExpr({_describe(self.expression)})"


class _Comparison(Substitution):
    """Two values compared: as booleans or numbers where both are, else as text."""

    _verdict: Callable[[bool], bool]

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = _operand(left), _operand(right)

    def perform(self, context: "LaunchContext") -> str:
        left, right = perform_substitutions(context, self.left), perform_substitutions(context, self.right)
        return str(
            self._verdict(left == right or _same_bool(left, right) or _same_number(left, right))
        ).lower()

    def describe(self) -> str:
        return f"{type(self).__name__}({_describe(self.left)} {_describe(self.right)})"


class EqualsSubstitution(_Comparison):
    """'true' when both sides are equal."""

    _verdict = staticmethod(bool)


class NotEqualsSubstitution(_Comparison):
    """'true' when the sides differ."""

    _verdict = staticmethod(operator.not_)


def _describe(substitutions: Iterable[Substitution]) -> str:
    return " + ".join(substitution.describe() for substitution in substitutions)


def _operand(value: Any) -> list[Substitution]:
    if isinstance(value, bool):
        value = str(value).lower()
    return normalize_to_list_of_substitutions(str(value) if isinstance(value, int | float) else value)


def _same_bool(left: str, right: str) -> bool:
    try:
        return as_bool(left) == as_bool(right)
    except ValueError:
        return False


def _same_number(left: str, right: str) -> bool:
    try:
        return math.isclose(float(left), float(right))
    except ValueError:
        return False
