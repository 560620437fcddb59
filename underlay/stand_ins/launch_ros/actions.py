"""Stand-in for `launch_ros.actions`: start nodes, and what holds for the nodes of a scope."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from launch import Action, LaunchContext, SomeSubstitutionsType
from launch.actions import ExecuteProcess
from launch.logging import get_logger
from launch.utilities import evaluate
from rclpy.exceptions import InvalidNamespaceException, InvalidNodeNameException
from rclpy.validate_namespace import validate_namespace
from rclpy.validate_node_name import validate_node_name

from .parameter_descriptions import ParameterFile, evaluate_parameters, write_parameters
from .substitutions import ExecutableInPackage

# Launch configurations that carry what the actions below set for a scope
_NAMESPACE, _PARAMETERS, _REMAPS = "ros_namespace", "global_params", "ros_remaps"


class Node(ExecuteProcess):
    """Start a ROS node: an executable of a package, with name, namespace, parameters and remappings."""

    def __init__(
        self,
        *,
        executable: SomeSubstitutionsType,
        package: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        namespace: SomeSubstitutionsType | None = None,
        exec_name: SomeSubstitutionsType | None = None,
        parameters: Sequence[Any] | None = None,
        remappings: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] | None = None,
        ros_arguments: Iterable[SomeSubstitutionsType] | None = None,
        arguments: Iterable[SomeSubstitutionsType] | None = None,
        **kwargs: Any,
    ) -> None:
        if parameters is not None and not isinstance(parameters, list | tuple):
            raise TypeError(f"Node: parameters must be a list, not {parameters!r}")
        program = (
            executable if package is None else ExecutableInPackage(executable=executable, package=package)
        )
        cmd: list[Any] = [program, *(arguments or ())]
        if ros_arguments is not None:
            cmd += ["--ros-args", *ros_arguments]
        super().__init__(cmd=[*cmd, "--ros-args"], name=exec_name, **kwargs)
        self._node = (name, namespace)
        self._node_name: str | None = None
        self._parameters = parameters or ()
        self._remappings = list(remappings or ())

    @property
    def node_name(self) -> str:
        """The full name, which is known once the action has been executed; RuntimeError before."""
        if self._node_name is None:
            raise RuntimeError("cannot access 'node_name' before executing action")
        return self._node_name

    def execute(self, context: LaunchContext) -> None:
        name, namespace = self._node
        node = "<node_name_unspecified>"
        if name is not None:
            node = evaluate(context, name)
            _check(validate_node_name, node)
            self.cmd += ["-r", f"__node:={node}"]
        base = _join(
            context.launch_configurations.get(_NAMESPACE),
            None if namespace is None else evaluate(context, namespace),
        )
        if base is not None:
            _check(validate_namespace, base)
            self.cmd += ["-r", f"__ns:={base}"]
        self._node_name = node if base is None else f"{base.rstrip('/')}/{node}"
        for parameter, value in context.launch_configurations.get(_PARAMETERS, ()):
            self.cmd += ["-p", f"{parameter}:={_one_line_yaml(value)}"]
        owner = "/**" if name is None or base is None else self._node_name
        written = []
        for given in self._parameters:
            if isinstance(given, Mapping):
                written.append(write_parameters(owner, evaluate_parameters(context, given)))
                self.cmd += ["--params-file", written[-1]]
            else:
                self.cmd += _params_file(context, given)
        remaps = [(evaluate(context, old), evaluate(context, new)) for old, new in self._remappings]
        for old, new in (*context.launch_configurations.get(_REMAPS, ()), *remaps):
            self.cmd += ["-r", f"{old}:={new}"]
        super().execute(context)
        if (ended := self.get_asyncio_future()) is not None:
            ended.add_done_callback(lambda _: _remove(written))


class LifecycleNode(Node):
    """Start a managed node, whose name and namespace have to be given."""

    def __init__(
        self, *, name: SomeSubstitutionsType, namespace: SomeSubstitutionsType, **kwargs: Any
    ) -> None:
        super().__init__(name=name, namespace=namespace, **kwargs)


class SetParameter(Action):
    """Give a parameter a value for every node that is started after this in the same scope."""

    def __init__(self, name: SomeSubstitutionsType, value: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._name = name
        self._value = value

    def execute(self, context: LaunchContext) -> None:
        name = evaluate(context, self._name)
        value = evaluate_parameters(context, {name: self._value})[name]
        _append(context, _PARAMETERS, (name, value))


class SetRemap(Action):
    """Rename a topic or service for every node that is started after this in the same scope."""

    def __init__(self, src: SomeSubstitutionsType, dst: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._pair = (src, dst)

    def execute(self, context: LaunchContext) -> None:
        src, dst = self._pair
        _append(context, _REMAPS, (evaluate(context, src), evaluate(context, dst)))


class PushROSNamespace(Action):
    """Put a namespace in front of those of the nodes that are started after this in the same scope."""

    def __init__(self, namespace: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._namespace = namespace

    def execute(self, context: LaunchContext) -> None:
        pushed = _join(context.launch_configurations.get(_NAMESPACE), evaluate(context, self._namespace))
        if pushed is not None:
            _check(validate_namespace, pushed)
            context.launch_configurations[_NAMESPACE] = pushed


PushRosNamespace = PushROSNamespace


def _append(context: LaunchContext, key: str, value: tuple[str, Any]) -> None:
    # a new tuple, so that leaving the scope forgets it
    context.launch_configurations[key] = (*context.launch_configurations.get(key, ()), value)


def _join(base: str | None, namespace: str | None) -> str | None:
    """Append a relative namespace to the base, an absolute one replaces it; the result is absolute."""
    if namespace is None:
        return base
    joined = namespace if namespace.startswith("/") else f"{(base or '').rstrip('/')}/{namespace}"
    return joined.rstrip("/") or "/"


def _check(validate: Callable[[str], object], name: str) -> None:
    try:
        validate(name)
    except (InvalidNodeNameException, InvalidNamespaceException) as error:
        raise ValueError(" ".join(str(error).split("\n")[:2])) from None


def _one_line_yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=float("inf")).split("\n")[0]


def _params_file(context: LaunchContext, given: Any) -> list[str]:
    file = (given if isinstance(given, ParameterFile) else ParameterFile(given)).evaluate(context)
    if not file.is_file():
        get_logger("launch_ros").warning("Parameter file path is not a file: %s", file)
        return []
    return ["--params-file", str(file)]


def _remove(paths: Iterable[str]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            Path(path).unlink()
