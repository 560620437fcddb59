"""Stand-in for `launch.LaunchContext`: what the parts of a running launch share."""

import asyncio
import os
from collections import deque
from collections.abc import Iterable, MutableMapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .event_handlers import BaseEventHandler
    from .events import Event
    from .substitutions import Substitution


class LaunchContext:
    """Launch configurations, environment, locals, event queue and event handlers of one LaunchService."""

    def __init__(self, *, argv: Iterable[str] | None = None, noninteractive: bool = False) -> None:
        self.argv = list(argv or ())
        self.noninteractive = noninteractive
        self.launch_configurations: dict[str, Any] = {}
        self.is_shutdown = False
        self.asyncio_loop: asyncio.AbstractEventLoop | None = None
        self.event_handlers: tuple[BaseEventHandler, ...] = ()
        self.events: deque[Event] = deque()
        self.futures: list[asyncio.Future[Any]] = []
        self.wake = asyncio.Event()
        self._locals: dict[str, Any] = {}
        self._scopes: list[tuple[dict[str, Any], dict[str, str]]] = []

    @property
    def environment(self) -> MutableMapping[str, str]:
        """The environment that processes inherit."""
        return os.environ

    @property
    def locals(self) -> SimpleNamespace:
        """What the entity that is being visited was given, as the event being handled."""
        return SimpleNamespace(**self._locals)

    def get_locals_as_dict(self) -> dict[str, Any]:
        """Return a copy of the locals."""
        return dict(self._locals)

    def replace_locals(self, values: dict[str, Any]) -> None:
        """Set all locals, which a visit does to end the scope of its own."""
        self._locals = values

    def extend_locals(self, extensions: dict[str, Any]) -> None:
        """Add locals for what is visited below the current entity."""
        self._locals = {**self._locals, **extensions}

    def push_scope(self) -> None:
        """Remember launch configurations and environment until `pop_scope`."""
        self._scopes.append((dict(self.launch_configurations), dict(os.environ)))

    def pop_scope(self) -> None:
        """Go back to what the last `push_scope` remembered."""
        self.launch_configurations, environment = self._scopes.pop()
        os.environ.clear()
        os.environ.update(environment)

    def perform_substitution(self, sub: "Substitution") -> str:
        """Return the text that a substitution stands for."""
        return sub.perform(self)

    def add_completion_future(self, completion_future: "asyncio.Future[Any]") -> None:
        """Keep the launch running until the future is done."""
        self.futures.append(completion_future)

    def register_event_handler(self, event_handler: "BaseEventHandler", append: bool = False) -> None:
        """Add a handler, in front of the others unless `append`. Any thread may call this."""
        mine = (event_handler,)
        self.event_handlers = self.event_handlers + mine if append else mine + self.event_handlers

    def unregister_event_handler(self, event_handler: "BaseEventHandler") -> None:
        """Remove a handler; ValueError if it is not registered."""
        position = self.event_handlers.index(event_handler)
        self.event_handlers = self.event_handlers[:position] + self.event_handlers[position + 1 :]

    def emit_event_sync(self, event: "Event") -> None:
        """Queue an event for the handlers. Any thread may call this."""
        self.events.append(event)
        loop = self.asyncio_loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.wake.set)

    async def emit_event(self, event: "Event") -> None:
        """Queue an event for the handlers."""
        self.emit_event_sync(event)
