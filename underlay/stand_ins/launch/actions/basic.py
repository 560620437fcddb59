"""Stand-in for the actions of `launch.actions` that start no process."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import events, logging
from ..launch_description import Action, LaunchDescription, LaunchDescriptionEntity
from ..launch_description_sources import AnyLaunchDescriptionSource, LaunchDescriptionSource
from ..substitutions import SomeSubstitutionsType, SubstitutionFailure
from ..utilities import evaluate, normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..event_handlers import BaseEventHandler
    from ..launch_context import LaunchContext

Entities = Iterable[LaunchDescriptionEntity]


class DeclareLaunchArgument(Action):
    """An argument that `ros2 launch` and including launch files can set."""

    def __init__(
        self,
        name: str,
        *,
        default_value: SomeSubstitutionsType | None = None,
        description: str | None = None,
        choices: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if choices is not None and not choices:
            raise RuntimeError(f"launch argument '{name}': choices is empty")
        if choices and isinstance(default_value, str) and default_value not in choices:
            raise RuntimeError(f"launch argument '{name}': default '{default_value}' is not one of {choices}")
        self.name = name
        self.default_value = (
            None if default_value is None else normalize_to_list_of_substitutions(default_value)
        )
        self.choices = choices
        self.description = description or ("no description given" if choices is None else "")
        if choices:
            self.description = f"{self.description.rstrip('.')}. One of: {choices}".removeprefix(". ")
        self.conditionally_included = False

    def execute(self, context: "LaunchContext") -> None:
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                raise RuntimeError(
                    f"Required launch argument '{self.name}' was not provided ({self.description})"
                )
            context.launch_configurations[self.name] = perform_substitutions(context, self.default_value)
        value = context.launch_configurations[self.name]
        if self.choices and value not in self.choices:
            raise RuntimeError(f"launch argument '{self.name}': '{value}' is not one of {self.choices}")


class SetLaunchConfiguration(Action):
    """Give a launch configuration a value."""

    def __init__(self, name: SomeSubstitutionsType, value: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._name = normalize_to_list_of_substitutions(name)
        self._value = normalize_to_list_of_substitutions(value)

    def execute(self, context: "LaunchContext") -> None:
        name = perform_substitutions(context, self._name)
        context.launch_configurations[name] = perform_substitutions(context, self._value)


class SetEnvironmentVariable(Action):
    """Give an environment variable a value."""

    def __init__(self, name: SomeSubstitutionsType, value: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._name = normalize_to_list_of_substitutions(name)
        self._value = normalize_to_list_of_substitutions(value)

    def execute(self, context: "LaunchContext") -> None:
        name = perform_substitutions(context, self._name)
        context.environment[name] = perform_substitutions(context, self._value)


class OpaqueFunction(Action):
    """Call a function with the context; what it returns is visited."""

    def __init__(
        self,
        *,
        function: Callable[..., Entities | None],
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self._function = function
        self._args = tuple(args or ())
        self._kwargs = dict(kwargs or {})

    def execute(self, context: "LaunchContext") -> Entities | None:
        return self._function(context, *self._args, **self._kwargs)


class GroupAction(Action):
    """Actions that share a scope: what they set is forgotten after them."""

    def __init__(
        self,
        actions: Iterable[Action],
        *,
        scoped: bool = True,
        forwarding: bool = True,
        launch_configurations: dict[Any, SomeSubstitutionsType] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._actions = list(actions)
        self._scoped = scoped
        self._forwarding = forwarding
        self._launch_configurations = launch_configurations or {}

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return [] if self.condition else list(self._actions)

    def describe_conditional_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return list(self._actions) if self.condition else []

    def execute(self, context: "LaunchContext") -> Entities:
        kept = {
            evaluate(context, name): evaluate(context, value)
            for name, value in self._launch_configurations.items()
        }

        def enter(context: "LaunchContext") -> None:
            if self._scoped:
                context.push_scope()
                if not self._forwarding:
                    context.launch_configurations.clear()
            context.launch_configurations.update(kept)

        def leave(context: "LaunchContext") -> None:
            if self._scoped:
                context.pop_scope()

        return [OpaqueFunction(function=enter), *self._actions, OpaqueFunction(function=leave)]


class IncludeLaunchDescription(Action):
    """Another launch file, with arguments for it."""

    def __init__(
        self,
        launch_description_source: LaunchDescriptionSource | SomeSubstitutionsType,
        *,
        launch_arguments: Iterable[tuple[SomeSubstitutionsType, SomeSubstitutionsType]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            launch_description_source = AnyLaunchDescriptionSource(launch_description_source)
        self.launch_description_source = launch_description_source
        self.launch_arguments = tuple(launch_arguments or ())

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        from ..launch_context import LaunchContext

        try:
            return [self.launch_description_source.get_launch_description(LaunchContext())]
        except (SubstitutionFailure, OSError, LookupError):
            return []  # the path depends on what is known at run time only

    def execute(self, context: "LaunchContext") -> Entities:
        description = self.launch_description_source.get_launch_description(context)
        path = Path(self.launch_description_source.location(context)).absolute()
        context.extend_locals(
            {"current_launch_file_path": str(path), "current_launch_file_directory": str(path.parent)}
        )
        return [*(SetLaunchConfiguration(name, value) for name, value in self.launch_arguments), description]


class LogInfo(Action):
    """Print a line."""

    def __init__(self, *, msg: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.msg = normalize_to_list_of_substitutions(msg)

    def execute(self, context: "LaunchContext") -> None:
        logging.get_logger("launch.user").info("%s", perform_substitutions(context, self.msg))


class EmitEvent(Action):
    """Hand an event to the event handlers."""

    def __init__(self, *, event: events.Event, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event = event

    def execute(self, context: "LaunchContext") -> None:
        context.emit_event_sync(self.event)


class Shutdown(EmitEvent):
    """End the launch."""

    def __init__(self, *, reason: str = "reason not given", **kwargs: Any) -> None:
        super().__init__(event=events.Shutdown(reason=reason), **kwargs)

    def execute(self, context: "LaunchContext") -> None:
        cause = context.get_locals_as_dict().get("event")
        if isinstance(cause, events.process.ProcessExited):
            logging.get_logger("launch").info(
                "process[%s] was required: shutting down launched system", cause.process_name
            )
        super().execute(context)


class RegisterEventHandler(Action):
    """Add an event handler."""

    def __init__(self, event_handler: "BaseEventHandler", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event_handler = event_handler

    def describe_conditional_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self.event_handler.describe_entities()

    def execute(self, context: "LaunchContext") -> None:
        context.register_event_handler(self.event_handler)


class TimerAction(Action):
    """Actions that take place after a time in seconds, unless the launch ends before."""

    def __init__(
        self,
        *,
        period: float | SomeSubstitutionsType,
        actions: Iterable[LaunchDescriptionEntity],
        cancel_on_shutdown: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._period = period
        self._actions = list(actions)
        self._cancel_on_shutdown = cancel_on_shutdown
        self._canceled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def describe_conditional_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self._actions

    def get_asyncio_future(self) -> "asyncio.Task[None] | None":
        return self._task

    def cancel(self) -> None:
        """Leave the actions out, if they have not taken place yet."""
        self._canceled.set()

    def execute(self, context: "LaunchContext") -> None:
        from ..event_handlers import OnShutdown

        period = float(
            self._period if isinstance(self._period, int | float) else evaluate(context, self._period)
        )
        if self._cancel_on_shutdown:
            if context.is_shutdown:
                return
            context.register_event_handler(OnShutdown(on_shutdown=lambda event, context: self.cancel()))
        self._task = asyncio.get_running_loop().create_task(self._fire(context, period))

    async def _fire(self, context: "LaunchContext", period: float) -> None:
        try:
            await asyncio.wait_for(self._canceled.wait(), period)
        except asyncio.TimeoutError:
            context.emit_event_sync(events.IncludeLaunchDescription(LaunchDescription(self._actions)))
