"""Stand-in for `launch_ros.parameter_descriptions`: parameter values and files."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from launch import LaunchContext, SomeSubstitutionsType, Substitution
from launch.utilities import evaluate

_SCALARS = (bool, int, float, str)
_EXPECTED = "expected a bool, int, float or str, or a list that is not empty and holds one of these types"


class ParameterValue:
    """A parameter's value, read as YAML or, with `value_type`, as that type."""

    def __init__(self, value: Any, *, value_type: Any = None) -> None:
        self.value = value
        self.value_type = value_type

    def evaluate(self, context: LaunchContext) -> Any:
        """Return the value; ValueError where it is not of the type."""
        value = _perform(context, self.value)
        if self.value_type is None:
            return _typed(yaml.safe_load(value) if isinstance(value, str) else value)
        if self.value_type is str:
            return str(value)
        loaded = yaml.safe_load(value) if isinstance(value, str) else value
        is_list = get_origin(self.value_type) is list
        wanted = get_args(self.value_type)[0] if is_list else self.value_type
        if is_list != isinstance(loaded, list | tuple):
            raise ValueError(f"{value!r} is no {self.value_type}")
        converted = [_convert(one, wanted) for one in loaded] if is_list else [_convert(loaded, wanted)]
        return converted if is_list else converted[0]


class ParameterFile:
    """A YAML file with parameters."""

    def __init__(self, param_file: SomeSubstitutionsType | os.PathLike[str]) -> None:
        self.param_file = param_file

    def evaluate(self, context: LaunchContext) -> Path:
        """Return the path."""
        is_path = isinstance(self.param_file, os.PathLike)
        return Path(self.param_file if is_path else evaluate(context, self.param_file))  # type: ignore[arg-type]


def evaluate_parameters(
    context: LaunchContext, parameters: Mapping[Any, Any], prefix: str = ""
) -> dict[str, Any]:
    """Flatten a dict of parameters, `{"a": {"b": 1}}` to `{"a.b": 1}`, and perform its substitutions.

    A substitution's text is read as YAML, so '3' becomes an int; ParameterValue says otherwise. ValueError
    names the parameter whose value is none that ROS knows.
    """
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        name = prefix + evaluate(context, key)
        if isinstance(value, Mapping):
            flat |= evaluate_parameters(context, value, name + ".")
            continue
        try:
            flat[name] = _evaluate_value(context, value)
        except (ValueError, yaml.YAMLError) as error:
            raise ValueError(f"parameter '{name}': {error}") from None
    return flat


def write_parameters(node_name: str, parameters: Mapping[str, Any]) -> str:
    """Write parameters for the node of that full name, or '/**' for any, into a temporary file."""
    with tempfile.NamedTemporaryFile("w", prefix="launch_params_", suffix=".yaml", delete=False) as file:
        yaml.safe_dump({node_name: {"ros__parameters": dict(parameters)}}, file, default_flow_style=False)
    return file.name


def _evaluate_value(context: LaunchContext, value: Any) -> Any:
    if isinstance(value, ParameterValue):
        return value.evaluate(context)
    if isinstance(value, Substitution):
        return _typed(yaml.safe_load(evaluate(context, value) or "''"))
    if not isinstance(value, list | tuple):
        return _typed(value)
    items = list(value)
    if any(isinstance(item, Substitution) for item in items):
        # texts and substitutions in one list make one text, as everywhere in launch
        return _typed(yaml.safe_load(evaluate(context, items) or "''"))
    if any(isinstance(item, list | tuple) for item in items):
        return _typed([yaml.safe_load(_perform(context, item)) for item in items])
    return _typed(items)


def _perform(context: LaunchContext, value: Any) -> Any:
    """Perform a substitution or a sequence that holds one; leave everything else."""
    is_list = isinstance(value, list | tuple)
    if isinstance(value, Substitution) or (is_list and any(isinstance(item, Substitution) for item in value)):
        return evaluate(context, value)
    return value


def _typed(value: Any) -> Any:
    """Check that a value is one that ROS knows; ints beside floats become floats."""
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, Iterable) and not isinstance(value, bytes | Mapping):
        items = list(value)
        kinds = {type(item) for item in items}
        if kinds == {int, float}:
            return [float(item) for item in items]
        if len(kinds) == 1 and kinds <= set(_SCALARS):
            return items
    raise ValueError(f"{value!r} cannot be a parameter, {_EXPECTED}")


def _convert(value: Any, wanted: type) -> Any:
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is str and not isinstance(value, str):
        return str(value)
    if type(value) is not wanted:
        raise ValueError(f"{value!r} is no {wanted.__name__}")
    return value
