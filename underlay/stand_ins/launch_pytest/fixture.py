"""Stand-in for the decorator `launch_pytest.fixture`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from launch import LaunchDescription, LaunchService
from launch.launch_description import walk

from .actions import ReadyToTest


class Launch:
    """What a launch fixture runs: options and, between set-up and tear-down, service and loop.

    The loop runs in the main thread and only while pytest is in here: in `start`, `run` and `shut_down`.
    """

    def __init__(self, scope: str, shutdown_when_idle: bool, auto_shutdown: bool) -> None:
        self.scope = scope
        self._shutdown_when_idle = shutdown_when_idle
        self._auto_shutdown = auto_shutdown
        self.service: LaunchService
        self._loop: asyncio.AbstractEventLoop
        self._task: asyncio.Task[int]

    def start(self, description: LaunchDescription) -> None:
        """Run the description up to its ReadyToTest."""
        found = [entity for entity, _ in walk(description.entities, False) if isinstance(entity, ReadyToTest)]
        if len(found) > 1:
            raise RuntimeError(f"a launch fixture may hold one ReadyToTest, this one holds {len(found)}")
        if not found:
            found.append(ReadyToTest())
            description.add_action(found[0])
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self.service = LaunchService()
        self.service.include_launch_description(description)
        self._task = self._loop.create_task(
            self.service.run_async(shutdown_when_idle=self._shutdown_when_idle)
        )
        ready = asyncio.Event()
        found[0].callbacks.append(ready.set)
        self._loop.run_until_complete(self._until_ready(ready))

    async def _until_ready(self, ready: asyncio.Event) -> None:
        waiting = asyncio.ensure_future(ready.wait())
        await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            raise RuntimeError("the launch ended before ReadyToTest")

    def run(self, function: Callable[[], Any]) -> Any:
        """Call a function in another thread, while the launch goes on in this one."""
        return self._loop.run_until_complete(self._loop.run_in_executor(None, function))

    def run_coroutine(self, coroutine: Awaitable[Any]) -> Any:
        """Run a coroutine beside the launch."""
        return self._loop.run_until_complete(coroutine)

    def shut_down(self) -> None:
        """End the launch, or wait for its end if it is to end by itself."""
        if self._auto_shutdown:
            self.service.shutdown()
        code = self._loop.run_until_complete(self._task)
        if code != 0:
            pytest.fail(f"the launch ended with return code {code}", pytrace=False)

    def close(self) -> None:
        """End the launch and close the loop."""
        try:
            self.shut_down()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            asyncio.set_event_loop(None)
            self._loop.close()


def fixture(
    decorated: Any = None, *, shutdown_when_idle: bool = True, auto_shutdown: bool = True, **kwargs: Any
) -> Any:
    """Make a pytest fixture of a function that returns a LaunchDescription, or a sequence starting with one.

    :param shutdown_when_idle: end the launch when no process is left
    :param auto_shutdown: end the launch after the tests; else it has to end by itself
    :param kwargs: what `pytest.fixture` takes, as `scope`
    """

    def decorate(function: Callable[..., Any]) -> Any:
        launch = Launch(kwargs.get("scope", "function"), shutdown_when_idle, auto_shutdown)
        function.launch = launch  # type: ignore[attr-defined]  # pytest copies attributes to the fixture object
        return pytest.fixture(**kwargs)(function)

    return decorate if decorated is None else decorate(decorated)
