"""Stand-in for `launch.events.process`."""

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import Event

if TYPE_CHECKING:
    from ..actions import ExecuteProcess


class RunningProcessEvent(Event):
    """Something that a process did."""

    def __init__(
        self,
        *,
        action: "ExecuteProcess",
        name: str,
        cmd: list[str],
        cwd: str | None,
        env: dict[str, str] | None,
        pid: int,
    ) -> None:
        self.action = action
        self.process_name = name
        self.cmd = cmd
        self.cwd = cwd
        self.env = env
        self.pid = pid


class ProcessStarted(RunningProcessEvent):
    """The process runs."""


class ProcessExited(RunningProcessEvent):
    """The process ended; a negative return code is the signal that ended it."""

    def __init__(self, *, returncode: int, **process: object) -> None:
        super().__init__(**process)  # type: ignore[arg-type]
        self.returncode = returncode


class ProcessIO(RunningProcessEvent):
    """The process wrote bytes, `text`, to a stream."""

    from_stdout = from_stderr = from_stdin = False

    def __init__(self, *, text: bytes, **process: object) -> None:
        super().__init__(**process)  # type: ignore[arg-type]
        self.text = text


class ProcessStdout(ProcessIO):
    """The process wrote to stdout."""

    from_stdout = True


class ProcessStderr(ProcessIO):
    """The process wrote to stderr."""

    from_stderr = True


class ProcessTargetedEvent(Event):
    """Something that is to happen to the processes that a matcher accepts."""

    def __init__(self, *, process_matcher: "Callable[[ExecuteProcess], bool]") -> None:
        self.process_matcher = process_matcher


class ShutdownProcess(ProcessTargetedEvent):
    """Processes are to end: SIGINT, then SIGTERM, then SIGKILL."""


class SignalProcess(ProcessTargetedEvent):
    """Processes are to get a signal."""

    def __init__(
        self, *, signal_number: str | int, process_matcher: "Callable[[ExecuteProcess], bool]"
    ) -> None:
        super().__init__(process_matcher=process_matcher)
        self.signal = (
            signal.Signals[signal_number] if isinstance(signal_number, str) else signal.Signals(signal_number)
        )
        self.signal_name = self.signal.name
