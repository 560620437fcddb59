"""`ros2 param`."""

import argparse
import sys
from typing import Any

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.node import Node
from rclpy.parameter import get_parameter_value, parameter_value_to_python

from .graph import absolute, add_spin_time, call, discover, full_names, observer
from .messages import to_plain, to_yaml
from .verbs import CommandError, Verb, run_verb

_TYPE_NAMES = {
    ParameterType.PARAMETER_BOOL: ("boolean", "Boolean value is:"),
    ParameterType.PARAMETER_INTEGER: ("integer", "Integer value is:"),
    ParameterType.PARAMETER_DOUBLE: ("double", "Double value is:"),
    ParameterType.PARAMETER_STRING: ("string", "String value is:"),
    ParameterType.PARAMETER_BYTE_ARRAY: ("byte array", "Byte values are:"),
    ParameterType.PARAMETER_BOOL_ARRAY: ("boolean array", "Boolean values are:"),
    ParameterType.PARAMETER_INTEGER_ARRAY: ("integer array", "Integer values are:"),
    ParameterType.PARAMETER_DOUBLE_ARRAY: ("double array", "Double values are:"),
    ParameterType.PARAMETER_STRING_ARRAY: ("string array", "String values are:"),
    ParameterType.PARAMETER_NOT_SET: ("not set", "Parameter not set."),
}


def main(argv: list[str]) -> int:
    """Run a verb."""
    return run_verb("param", _VERBS, argv)


def _names(node: Node, name: str) -> list[str]:
    return sorted(call(node, ListParameters, f"{name}/list_parameters").result.names)


def _values(node: Node, name: str, parameters: list[str]) -> list[ParameterValue]:
    return list(call(node, GetParameters, f"{name}/get_parameters", names=parameters).values)


def _node_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node_name")


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node_name", nargs="?", help="default: all nodes")
    add_spin_time(parser)


def _list(args: argparse.Namespace) -> int:
    with observer() as node:
        if args.node_name is None:
            discover(node, args.spin_time)
        for name in [absolute(args.node_name)] if args.node_name else full_names(node):
            if args.node_name is None:
                print(f"{name}:")
            for parameter in _names(node, name):
                print(f"  {parameter}")
    return 0


def _get_arguments(parser: argparse.ArgumentParser) -> None:
    _node_argument(parser)
    parser.add_argument("parameter_name")
    parser.add_argument("--hide-type", action="store_true", help="show the value only")


def _get(args: argparse.Namespace) -> int:
    with observer() as node:
        values = _values(node, absolute(args.node_name), [args.parameter_name])
    if not values:
        raise CommandError(f"Parameter not set: '{args.parameter_name}'")
    label = _TYPE_NAMES[values[0].type][1]
    value = _plain(values[0])
    if args.hide_type:
        print(value)
    else:
        print(label, value) if value is not None else print(label)
    return 0


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    _node_argument(parser)
    parser.add_argument("parameter_name")
    parser.add_argument(
        "value", help="as in YAML: 3 is an integer, 3.0 a double, '3' a string, [a, b] an array"
    )


def _set(args: argparse.Namespace) -> int:
    parameter = Parameter(name=args.parameter_name, value=get_parameter_value(args.value))
    with observer() as node:
        service = f"{absolute(args.node_name)}/set_parameters"
        (result,) = call(node, SetParameters, service, parameters=[parameter]).results
    reason = f": {result.reason}" if result.reason else ""
    if result.successful:
        print(f"Set parameter successful{reason}")
        return 0
    print(f"Setting parameter failed{reason}", file=sys.stderr)
    return 1


def _describe_arguments(parser: argparse.ArgumentParser) -> None:
    _node_argument(parser)
    parser.add_argument("parameter_names", nargs="+")


def _describe(args: argparse.Namespace) -> int:
    with observer() as node:
        service = f"{absolute(args.node_name)}/describe_parameters"
        descriptors = call(node, DescribeParameters, service, names=args.parameter_names).descriptors
    if not descriptors:
        raise CommandError(f"no such parameter: {' '.join(args.parameter_names)}")
    for descriptor in descriptors:
        print(f"Parameter name: {descriptor.name}\n  Type: {_TYPE_NAMES[descriptor.type][0]}")
        if descriptor.description:
            print(f"  Description: {descriptor.description}")
        print("  Constraints:")
        if descriptor.read_only:
            print("    Read only: true")
        for bounds in (*descriptor.floating_point_range, *descriptor.integer_range):
            print(f"    Min value: {bounds.from_value}\n    Max value: {bounds.to_value}")
            if bounds.step:
                print(f"    Step: {bounds.step}")
        if descriptor.additional_constraints:
            print(f"    Additional constraints: {descriptor.additional_constraints}")
    return 0


def _dump(args: argparse.Namespace) -> int:
    name = absolute(args.node_name)
    with observer() as node:
        names = _names(node, name)
        values = _values(node, name, names)
    tree: dict[str, Any] = {}
    for parameter, value in zip(names, values, strict=True):
        *groups, leaf = parameter.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = _plain(value)
    print(to_yaml({name: {"ros__parameters": tree}}))
    return 0


def _plain(value: Any) -> Any:
    return to_plain(parameter_value_to_python(value), None)


_VERBS = {
    "list": Verb("show the names of parameters", _list_arguments, _list),
    "get": Verb("show a value", _get_arguments, _get),
    "set": Verb("change a value", _set_arguments, _set),
    "describe": Verb("show type, description and limits", _describe_arguments, _describe),
    "dump": Verb("show all values as YAML", _node_argument, _dump),
}
