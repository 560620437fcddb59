"""Stand-in for `launch_pytest.tools.process`: wait for what a process does.

Each function comes for coroutine tests and, as `..._sync`, for others. Timeouts are in seconds, None waits
forever. What happened before the call is not seen: `wait_for_exit` of an ended process runs into the timeout.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from launch import LaunchContext
from launch.actions import ExecuteProcess
from launch.event_handlers import OnProcessExit, OnProcessIO, OnProcessStart

Validate = Callable[[str], Any]


@contextmanager
def _handler(context: LaunchContext, handler: Any) -> Iterator[None]:
    context.register_event_handler(handler, append=True)
    try:
        yield
    finally:
        context.unregister_event_handler(handler)


class _Waiting:
    """Waits in a thread until an event made the condition true."""

    def __init__(
        self, make_handler: Callable[[Callable[[], None]], Any], condition: Callable[[], bool] | None
    ) -> None:
        self._make_handler = make_handler
        self._happened = threading.Event()
        self._condition = condition or self._happened.is_set

    def wait(self, context: LaunchContext, timeout: float | None) -> bool:
        with _handler(context, self._make_handler(self._happened.set)):
            return self._until(timeout)

    async def wait_async(self, context: LaunchContext, timeout: float | None) -> bool:
        with _handler(context, self._make_handler(self._happened.set)):
            return await asyncio.get_running_loop().run_in_executor(None, self._until, timeout)

    def _until(self, timeout: float | None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self._condition():
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return False
            self._happened.wait(left)
            if self._condition != self._happened.is_set:
                self._happened.clear()
        return True


def _output(process: ExecuteProcess, stream: str, validate: Validate, asserting: bool) -> _Waiting:
    text = process.get_stdout if stream == "stdout" else process.get_stderr

    def condition() -> bool:
        if not asserting:
            return bool(validate(text()))
        try:
            validate(text())
        except AssertionError:
            return False
        return True

    def make_handler(done: Callable[[], None]) -> OnProcessIO:
        return OnProcessIO(target_action=process, **{f"on_{stream}": lambda event: done()})

    return _Waiting(make_handler, condition)


def _started(process: ExecuteProcess) -> _Waiting:
    return _Waiting(lambda done: OnProcessStart(target_action=process, on_start=lambda *_: done()), None)


def _exited(process: ExecuteProcess) -> _Waiting:
    return _Waiting(lambda done: OnProcessExit(target_action=process, on_exit=lambda *_: done()), None)


def wait_for_start_sync(
    launch_context: LaunchContext, execute_process_action: ExecuteProcess, timeout: float | None = None
) -> bool:
    """Return whether the process started in time."""
    return _started(execute_process_action).wait(launch_context, timeout)


async def wait_for_start(
    launch_context: LaunchContext, execute_process_action: ExecuteProcess, timeout: float | None = None
) -> bool:
    """Return whether the process started in time."""
    return await _started(execute_process_action).wait_async(launch_context, timeout)


def wait_for_exit_sync(
    launch_context: LaunchContext, execute_process_action: ExecuteProcess, timeout: float | None = None
) -> bool:
    """Return whether the process ended in time."""
    return _exited(execute_process_action).wait(launch_context, timeout)


async def wait_for_exit(
    launch_context: LaunchContext, execute_process_action: ExecuteProcess, timeout: float | None = None
) -> bool:
    """Return whether the process ended in time."""
    return await _exited(execute_process_action).wait_async(launch_context, timeout)


def _output_functions(stream: str) -> tuple[Any, Any, Any, Any]:
    def wait_sync(
        launch_context: LaunchContext,
        execute_process_action: ExecuteProcess,
        validate_output: Validate,
        timeout: float | None = None,
    ) -> bool:
        """Return whether the validator returned a true value in time; needs `cached_output=True`."""
        return _output(execute_process_action, stream, validate_output, False).wait(launch_context, timeout)

    async def wait_async(
        launch_context: LaunchContext,
        execute_process_action: ExecuteProcess,
        validate_output: Validate,
        timeout: float | None = None,
    ) -> bool:
        """Return whether the validator returned a true value in time; needs `cached_output=True`."""
        waiting = _output(execute_process_action, stream, validate_output, False)
        return await waiting.wait_async(launch_context, timeout)

    def assert_sync(
        launch_context: LaunchContext,
        execute_process_action: ExecuteProcess,
        validate_output: Validate,
        timeout: float | None = None,
    ) -> None:
        """Wait until the validator raises no AssertionError; after the timeout, raise it."""
        if not _output(execute_process_action, stream, validate_output, True).wait(launch_context, timeout):
            validate_output(execute_process_action._get_cached(stream))

    async def assert_async(
        launch_context: LaunchContext,
        execute_process_action: ExecuteProcess,
        validate_output: Validate,
        timeout: float | None = None,
    ) -> None:
        """Wait until the validator raises no AssertionError; after the timeout, raise it."""
        waiting = _output(execute_process_action, stream, validate_output, True)
        if not await waiting.wait_async(launch_context, timeout):
            validate_output(execute_process_action._get_cached(stream))

    return wait_sync, wait_async, assert_sync, assert_async


wait_for_output_sync, wait_for_output, assert_output_sync, assert_output = _output_functions("stdout")
wait_for_stderr_sync, wait_for_stderr, assert_stderr_sync, assert_stderr = _output_functions("stderr")
