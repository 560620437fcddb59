"""Makes ROS parameters out of the typed config, and a typed config out of ROS parameters."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from squeeze_segnet_ros.errors import ConfigError, one_line
from squeeze_segnet_ros.ros.config import Change, NodeConfig, Setting, settings
from squeeze_segnet_ros.ros.rclpy_internals import given_parameters

# What rclpy declares on every node by itself.
_RCLPY_NAMES = ("use_sim_time", "start_type_description_service")
_RCLPY_PREFIXES = ("qos_overrides.",)


def declare(node: Node) -> NodeConfig:
    """Declare every parameter of :class:`NodeConfig` and read what was given at the start.

    Raises:
        ConfigError: a value that was given has the wrong type or is out of its limits.
    """
    given = {name: item.value for name, item in given_parameters(node).items() if name in _names()}
    config = NodeConfig().replaced(given)
    for setting in settings():
        default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
        try:
            node.declare_parameter(setting.name, default, describe(setting))
        except ParameterException as error:
            raise ConfigError(f"parameter {setting.name}: {one_line(error)}") from None
    return config


def describe(setting: Setting) -> ParameterDescriptor:
    """Return what ``ros2 param describe`` shows."""
    constraints = [f"may be set {setting.change.value}"]
    if setting.choices:
        constraints.append(f"one of {', '.join(setting.choices)}")
    descriptor = ParameterDescriptor(
        description=setting.description,
        additional_constraints="; ".join(constraints),
        read_only=setting.change is Change.AT_START,
        # The config checks the types, since it takes 1 for 1.0 and says in words what it wants.
        dynamic_typing=True,
    )
    if setting.limits:
        low, high = setting.limits
        if isinstance(setting.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))
            ]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    return descriptor


def type_of(name: str) -> int | None:
    """Return the ParameterType of one of our parameters; None of another's."""
    for setting in settings():
        if setting.name == name:
            default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
            return int(Parameter.Type.from_parameter_value(default).value)
    return None


def changed(config: NodeConfig, given: Iterable[Parameter]) -> tuple[NodeConfig, list[Setting]]:
    """Return the config with new values, and those of our parameters whose value differs.

    Raises:
        ConfigError: a new value is wrong.
    """
    new = config.replaced({item.name: item.value for item in given if item.name in _names()})
    before, after = config.values(), new.values()
    return new, [setting for setting in settings() if before[setting.name] != after[setting.name]]


def complaints_about_unknown(given: Iterable[str]) -> list[str]:
    """Return one line for each name, given for our node, that is no parameter of it."""
    lines = []
    for name in given:
        if name in _names() or name in _RCLPY_NAMES or name.startswith(_RCLPY_PREFIXES):
            continue
        close = difflib.get_close_matches(name, _names(), 1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(_names())}"
        lines.append(f"unknown parameter '{name}' is ignored: {hint}")
    return lines


def _names() -> list[str]:
    return [setting.name for setting in settings()]
