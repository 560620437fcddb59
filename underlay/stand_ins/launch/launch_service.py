"""Stand-in for `launch.LaunchService`: runs launch descriptions until everything in them has ended."""

import asyncio
import signal
import threading
from collections.abc import Iterable
from typing import Any

from . import events, logging
from .event_handlers import EventHandler, OnShutdown
from .launch_context import LaunchContext
from .launch_description import LaunchDescription, LaunchDescriptionEntity, visit_all


class LaunchService:
    """The event loop of a launch.

    Unlike the original, which leaves its processes behind on SIGTERM, SIGHUP and SIGQUIT, this ends them as
    on SIGINT.
    """

    def __init__(
        self, *, argv: Iterable[str] | None = None, noninteractive: bool = False, debug: bool = False
    ) -> None:
        self.context = LaunchContext(argv=argv, noninteractive=noninteractive)
        self.event_loop: asyncio.AbstractEventLoop | None = None
        self.task: asyncio.Task[Any] | None = None
        self._logger = logging.get_logger("launch")
        self._level = "DEBUG" if debug else "INFO"
        self._logger.setLevel(self._level)
        self.context.register_event_handler(OnShutdown(on_shutdown=self._on_shutdown))
        self.context.register_event_handler(
            EventHandler(
                matcher=lambda event: isinstance(event, events.IncludeLaunchDescription),
                entities=lambda event, context: event.launch_description,
            )
        )

    def include_launch_description(self, launch_description: LaunchDescription) -> None:
        """Add a description, before or while the service runs. Any thread may call this."""
        self.emit_event(events.IncludeLaunchDescription(launch_description))

    def emit_event(self, event: events.Event) -> None:
        """Hand an event to the event handlers. Any thread may call this."""
        self.context.emit_event_sync(event)

    def shutdown(self, force_sync: bool = False) -> None:
        """End everything that runs, without waiting for it. Any thread may call this."""
        if self.event_loop is not None:
            self._shutdown("LaunchService.shutdown() called")

    def run(self, *, shutdown_when_idle: bool = True) -> int:
        """Run in this thread, which has to be the main one, and return the exit code: 0, or 1 after an error.

        Ctrl-C (SIGINT) and SIGTERM end the launch.
        """
        loop = asyncio.new_event_loop()
        loop.add_signal_handler(signal.SIGINT, self._on_sigint)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            loop.add_signal_handler(number, self._on_other_signal, number)
        try:
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(self.run_async(shutdown_when_idle=shutdown_when_idle))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    async def run_async(self, *, shutdown_when_idle: bool = True) -> int:
        """Run in the current event loop, whose owner cares for signals, and return the exit code."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("LaunchService can only be run in the main thread.")
        if self.event_loop is not None:
            raise RuntimeError("LaunchService cannot be run multiple times concurrently.")
        self.event_loop = self.context.asyncio_loop = asyncio.get_running_loop()
        self.task = asyncio.current_task()
        self._logger.info("Default logging verbosity is set to %s", self._level)
        return_code = 0
        try:
            while True:
                self.context.wake.clear()
                try:
                    self._forget_completed()
                    while self.context.events:
                        self._handle(self.context.events.popleft())
                except Exception as error:
                    self._logger.debug("", exc_info=True)
                    self._logger.error("Caught exception in launch: %s", error)
                    self._shutdown(str(error))
                    return_code = 1
                    continue
                if self.context.futures:
                    await self._wait(self.context.futures)
                elif self.context.events:
                    continue
                elif self.context.is_shutdown:
                    return return_code
                elif shutdown_when_idle:
                    self._shutdown("idle")
                else:
                    await self._wait([])
        finally:
            for future in self.context.futures:
                future.cancel()
            await asyncio.gather(*self.context.futures, return_exceptions=True)
            self.context.futures.clear()
            self.event_loop = self.context.asyncio_loop = None

    async def _wait(self, futures: "list[asyncio.Future[Any]]") -> None:
        """Wait until an event comes or one of the futures is done."""
        woken = asyncio.ensure_future(self.context.wake.wait())
        try:
            await asyncio.wait([woken, *futures], return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    def _forget_completed(self) -> None:
        """Take completed futures off the list; the exception of one is raised here."""
        for future in [future for future in self.context.futures if future.done()]:
            self.context.futures.remove(future)
            if not future.cancelled() and (error := future.exception()) is not None:
                raise error

    def _handle(self, event: events.Event) -> None:
        for handler in self.context.event_handlers:
            if not handler.matches(event):
                continue
            scope = self.context.get_locals_as_dict()
            try:
                found = handler.handle(event, self.context)
                entities = [found] if isinstance(found, LaunchDescriptionEntity) else found or ()
                for entity in entities:
                    visit_all(entity, self.context)
            finally:
                self.context.replace_locals(scope)

    def _shutdown(self, reason: str, due_to_sigint: bool = False) -> None:
        if not self.context.is_shutdown:
            self.context.is_shutdown = True
            self.context.emit_event_sync(events.Shutdown(reason=reason, due_to_sigint=due_to_sigint))

    def _on_shutdown(self, event: events.Event, context: LaunchContext) -> None:
        context.is_shutdown = True

    def _on_sigint(self) -> None:
        if self.context.is_shutdown:
            self._logger.warning("user interrupted with ctrl-c (SIGINT) again, ignoring...")
            return
        self._logger.warning("user interrupted with ctrl-c (SIGINT)")
        self._shutdown("ctrl-c (SIGINT)", due_to_sigint=True)

    def _on_other_signal(self, number: signal.Signals) -> None:
        self._logger.warning("%s received, ending all processes", number.name)
        self._shutdown(number.name)
