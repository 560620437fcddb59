"""Stand-in for `launch.event_handlers`."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Union

from .events import Event, Shutdown
from .events.process import ProcessExited, ProcessIO, ProcessStarted

if TYPE_CHECKING:
    from .launch_context import LaunchContext
    from .launch_description import LaunchDescriptionEntity

__all__ = [
    "BaseEventHandler",
    "EventHandler",
    "OnProcessExit",
    "OnProcessIO",
    "OnProcessStart",
    "OnShutdown",
    "SomeEntitiesType",
]

SomeEntitiesType = Union["LaunchDescriptionEntity", Iterable["LaunchDescriptionEntity"]]
Matcher = Callable[[Any], bool]


class BaseEventHandler:
    """Takes the events that its matcher accepts."""

    def __init__(self, *, matcher: Matcher, handle_once: bool = False) -> None:
        self.matches = matcher
        self.handle_once = handle_once

    def handle(self, event: Event, context: "LaunchContext") -> SomeEntitiesType | None:
        """Return what is to be visited because of this event."""
        context.extend_locals({"event": event})
        if self.handle_once:
            context.unregister_event_handler(self)
        return None

    def describe_entities(self) -> list["LaunchDescriptionEntity"]:
        """Return what this handler is known to visit."""
        return []


class EventHandler(BaseEventHandler):
    """Visits entities, or what a function of event and context returns, on an event."""

    def __init__(self, *, matcher: Matcher, entities: Any = None, handle_once: bool = False) -> None:
        super().__init__(matcher=matcher, handle_once=handle_once)
        self._entities = entities

    def handle(self, event: Event, context: "LaunchContext") -> SomeEntitiesType | None:
        super().handle(event, context)
        return self._entities(event, context) if callable(self._entities) else self._entities

    def describe_entities(self) -> list["LaunchDescriptionEntity"]:
        if callable(self._entities) or self._entities is None:
            return []
        return list(self._entities) if isinstance(self._entities, Iterable) else [self._entities]


def _of(action: Any, event_type: type[Event]) -> Matcher:
    """Match events of that type from the action, from actions that a function accepts, or from any (None)."""

    def matches(event: Any) -> bool:
        if not isinstance(event, event_type):
            return False
        source = event.action  # type: ignore[attr-defined]
        return action is None or (bool(action(source)) if callable(action) else source is action)

    return matches


class OnProcessStart(EventHandler):
    """A process started."""

    def __init__(self, *, target_action: Any = None, on_start: Any, **kwargs: Any) -> None:
        super().__init__(matcher=_of(target_action, ProcessStarted), entities=on_start, **kwargs)


class OnProcessExit(EventHandler):
    """A process ended."""

    def __init__(self, *, target_action: Any = None, on_exit: Any, **kwargs: Any) -> None:
        super().__init__(matcher=_of(target_action, ProcessExited), entities=on_exit, **kwargs)


class OnShutdown(EventHandler):
    """The launch ends."""

    def __init__(self, *, on_shutdown: Any, **kwargs: Any) -> None:
        super().__init__(matcher=lambda event: isinstance(event, Shutdown), entities=on_shutdown, **kwargs)


class OnProcessIO(EventHandler):
    """A process wrote to stdout or stderr; the functions get the event."""

    def __init__(
        self,
        *,
        target_action: Any = None,
        on_stdout: Callable[[ProcessIO], SomeEntitiesType | None] | None = None,
        on_stderr: Callable[[ProcessIO], SomeEntitiesType | None] | None = None,
        **kwargs: Any,
    ) -> None:
        def handle(event: ProcessIO, _context: "LaunchContext") -> SomeEntitiesType | None:
            function = on_stdout if event.from_stdout else on_stderr
            return None if function is None else function(event)

        super().__init__(matcher=_of(target_action, ProcessIO), entities=handle, **kwargs)
