"""Stand-in for `launch.actions.ExecuteProcess`: from its start to the end of all that it started."""

import asyncio
import codecs
import ctypes
import itertools
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import logging
from ..event_handlers import EventHandler, OnProcessExit, OnShutdown
from ..events.process import (
    ProcessExited,
    ProcessIO,
    ProcessStarted,
    ProcessStderr,
    ProcessStdout,
    ShutdownProcess,
    SignalProcess,
)
from ..launch_description import Action, LaunchDescriptionEntity
from ..substitutions import LaunchConfiguration, SomeSubstitutionsType
from ..utilities import as_bool, evaluate

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

_numbers = itertools.count(1)
_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_SIGTERM_TIMEOUT = LaunchConfiguration("sigterm_timeout", default=5)
_SIGKILL_TIMEOUT = LaunchConfiguration("sigkill_timeout", default=5)
_LONGEST_LINE = 1 << 20  # characters; a longer one is printed in pieces
_LAST_OUTPUT_S = 1.0  # how long output may be held open by a daemon that a process left behind


class ExecuteProcess(Action):
    """Start a process, print its output with its name in front, end it when the launch ends.

    Unlike in the original, every process leads a session of its own. So Ctrl-C in the terminal reaches it
    once, through launch, and ending it also ends what it started. If launch is killed, the process is too.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        name: SomeSubstitutionsType | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: dict[Any, SomeSubstitutionsType] | None = None,
        additional_env: dict[Any, SomeSubstitutionsType] | None = None,
        sigterm_timeout: SomeSubstitutionsType = _SIGTERM_TIMEOUT,
        sigkill_timeout: SomeSubstitutionsType = _SIGKILL_TIMEOUT,
        emulate_tty: bool = False,
        output: Any = "log",
        cached_output: bool = False,
        on_exit: Any = None,
        respawn: bool | SomeSubstitutionsType = False,
        respawn_delay: float | None = None,
        respawn_max_retries: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cmd = list(cmd)
        self._name = name
        self._cwd = cwd
        self._env = env
        self._additional_env = additional_env or {}
        self._timeouts = (sigterm_timeout, sigkill_timeout)
        self._emulate_tty = emulate_tty
        self._output = output
        self._cached: dict[str, str] | None = {"stdout": "", "stderr": ""} if cached_output else None
        self._on_exit = on_exit
        self._respawn = respawn
        self._respawn_delay = respawn_delay
        self._retries_left = respawn_max_retries if respawn_max_retries >= 0 else float("inf")
        self.process_details: dict[str, Any] | None = None
        self.return_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._stop_task: asyncio.Task[None] | None = None

    def describe_conditional_sub_entities(self) -> list[LaunchDescriptionEntity]:
        if self._on_exit is None or callable(self._on_exit):
            return []
        return list(self._on_exit) if isinstance(self._on_exit, Iterable) else [self._on_exit]

    def get_asyncio_future(self) -> "asyncio.Task[None] | None":
        return self._task

    def get_stdout(self) -> str:
        """Return all stdout so far; RuntimeError without `cached_output=True`."""
        return self._get_cached("stdout")

    def get_stderr(self) -> str:
        """Return all stderr so far; RuntimeError without `cached_output=True`."""
        return self._get_cached("stderr")

    def _get_cached(self, source: str) -> str:
        if self._cached is None:
            raise RuntimeError(f"cached_output=True is needed to get the {source} of {self.cmd}")
        return self._cached[source]

    def execute(self, context: "LaunchContext") -> None:
        if self._task is not None:
            raise RuntimeError(f"process executed more than once: {self.cmd}")
        cmd = [evaluate(context, part) for part in self.cmd]
        name = Path(cmd[0]).name if self._name is None else evaluate(context, self._name)
        env = dict(context.environment) if self._env is None else self._evaluated(context, self._env)
        self.process_details = {
            "action": self,
            "name": f"{name}-{next(_numbers)}",
            "cmd": cmd,
            "cwd": None if self._cwd is None else evaluate(context, self._cwd),
            "env": env | self._evaluated(context, self._additional_env),
        }
        output = os.environ.get("OVERRIDE_LAUNCH_PROCESS_OUTPUT", self._output)
        self._on_screen = logging.screen_of(output if isinstance(output, dict) else evaluate(context, output))
        self._seconds = [float(evaluate(context, timeout)) for timeout in self._timeouts]
        respawn = (
            self._respawn if isinstance(self._respawn, bool) else as_bool(evaluate(context, self._respawn))
        )
        self._retries_left = self._retries_left if respawn else 0
        self._logger = logging.get_logger(self.process_details["name"])
        if context.is_shutdown:
            return
        if self._on_exit is not None:
            context.register_event_handler(OnProcessExit(target_action=self, on_exit=self._on_exit))
        context.register_event_handler(OnShutdown(on_shutdown=lambda event, context: self.stop()))
        context.register_event_handler(
            EventHandler(matcher=self._is_target, entities=self._on_targeted_event)
        )
        self._task = asyncio.get_running_loop().create_task(self._run(context))

    def _evaluated(self, context: "LaunchContext", env: dict[Any, SomeSubstitutionsType]) -> dict[str, str]:
        return {evaluate(context, name): evaluate(context, value) for name, value in env.items()}

    def _is_target(self, event: Any) -> bool:
        return isinstance(event, ShutdownProcess | SignalProcess) and event.process_matcher(self)

    def _on_targeted_event(self, event: Any, _context: "LaunchContext") -> None:
        if isinstance(event, ShutdownProcess):
            self.stop()
        else:
            self._signal(event.signal, to_group=False)

    def stop(self) -> None:
        """End the process for good: SIGINT, SIGTERM after a while, SIGKILL after another."""
        if not self._stopping.is_set():
            self._stopping.set()
            if self._process is not None and self._process.returncode is None:
                self._stop_task = asyncio.get_running_loop().create_task(self._escalate())

    async def _escalate(self) -> None:
        sent, elapsed = signal.SIGINT, 0.0
        self._signal(sent)
        for seconds, harder in zip(self._seconds, (signal.SIGTERM, signal.SIGKILL), strict=True):
            await asyncio.sleep(seconds)
            elapsed += seconds
            self._logger.error(
                "process[%s] failed to terminate '%s' seconds after receiving '%s', escalating to '%s'",
                self._logger.name,
                f"{elapsed:g}",
                sent.name,
                harder.name,
            )
            self._signal(harder)
            sent = harder

    def _signal(self, number: signal.Signals, to_group: bool = True) -> None:
        """Send a signal to the process, or to all of its session as a terminal does."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._logger.info("sending signal '%s' to process[%s]", number.name, self._logger.name)
        try:
            (os.killpg if to_group else os.kill)(process.pid, number)
        except OSError as error:
            self._logger.error("could not send '%s': %s", number.name, error.strerror)

    async def _run(self, context: "LaunchContext") -> None:
        while not self._stopping.is_set() and await self._run_once(context) and self._retries_left > 0:
            self._retries_left -= 1
            try:
                await asyncio.wait_for(self._stopping.wait(), self._respawn_delay or 0.0)
            except asyncio.TimeoutError:
                continue

    async def _run_once(self, context: "LaunchContext") -> bool:
        """Start the process and wait for its end; False if it could not be started."""
        details = self.process_details
        assert details is not None
        sources = [os.openpty() if self._emulate_tty else os.pipe() for _ in range(2)]
        try:
            process = _popen(details, *(write for _, write in sources))
        except (OSError, subprocess.SubprocessError) as error:
            for read, _ in sources:
                os.close(read)
            self._logger.error("could not start the process '%s': %s", shlex.join(details["cmd"]), error)
            return False
        finally:
            for _, write in sources:
                os.close(write)
        details["pid"] = process.pid
        self._process = process
        self._logger.info("process started with pid [%d]", process.pid)
        context.emit_event_sync(ProcessStarted(**details))
        outputs = [
            self._output_of(context, read, event)
            for (read, _), event in zip(sources, (ProcessStdout, ProcessStderr), strict=True)
        ]
        try:
            await _exit_of(process)
            await self._end_what_is_left(process.pid)
            await asyncio.wait([output.closed for output in outputs], timeout=_LAST_OUTPUT_S)
        finally:
            if self._stop_task is not None:
                self._stop_task.cancel()
                await asyncio.gather(self._stop_task, return_exceptions=True)
            if process.poll() is None:
                _kill_group(process.pid, signal.SIGKILL)
                process.wait()
            for output in outputs:
                output.close()
            if process.stdin is not None:
                process.stdin.close()
        self.return_code = process.returncode
        if process.returncode == 0:
            self._logger.info("process has finished cleanly [pid %d]", process.pid)
        else:
            self._logger.error(
                "process has died [pid %d, exit code %d, cmd '%s'].",
                process.pid,
                process.returncode,
                " ".join(filter(str.strip, details["cmd"])),
            )
        context.emit_event_sync(ProcessExited(returncode=process.returncode, **details))
        return True

    async def _end_what_is_left(self, group: int) -> None:
        """End what the process, which has exited, left running in its session."""
        if _kill_group(group, signal.SIGTERM):
            for _ in range(int(self._seconds[1] / 0.05)):
                await asyncio.sleep(0.05)
                if not _kill_group(group, 0):
                    return
            _kill_group(group, signal.SIGKILL)

    def _output_of(self, context: "LaunchContext", fd: int, event: type[ProcessIO]) -> "_Output":
        source = "stdout" if event.from_stdout else "stderr"
        details = dict(self.process_details or {})

        def on_data(data: bytes, text: str) -> None:
            if self._cached is not None:
                self._cached[source] += text
            context.emit_event_sync(event(text=data, **details))

        def on_line(line: str) -> None:
            if self._on_screen[source]:
                logging.write_line(f"[{details['name']}] {line}")

        return _Output(fd, on_data, on_line)


class _Output:
    """Reads one stream of a process: bytes to text, text to lines."""

    def __init__(
        self, fd: int, on_data: Callable[[bytes, str], None], on_line: Callable[[str], None]
    ) -> None:
        self._fd = fd
        self._on_data = on_data
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._partial = ""
        self._loop = asyncio.get_running_loop()
        self.closed = self._loop.create_future()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # this is how a terminal ends
        if not data:
            self.close()
            return
        self._take(data, self._decoder.decode(data))

    def _take(self, data: bytes, text: str) -> None:
        *lines, self._partial = (self._partial + text).split("\n")
        if len(self._partial) > _LONGEST_LINE:
            lines.append(self._partial)
            self._partial = ""
        for line in lines:
            self._on_line(line.removesuffix("\r"))
        self._on_data(data, text)

    def close(self) -> None:
        """Stop reading; a line without an end is printed."""
        if not self.closed.done():
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            if rest := self._partial + self._decoder.decode(b"", final=True):
                self._on_line(rest)
            self.closed.set_result(None)


def _popen(details: dict[str, Any], stdout: int, stderr: int) -> "subprocess.Popen[bytes]":
    parent = os.getpid()

    def prepare() -> None:
        # A shell starts its background jobs with SIGINT ignored, which children would inherit.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if sys.platform == "linux":
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    # stdin stays open and empty, as in the original: a process that waits for input waits.
    return subprocess.Popen(
        details["cmd"],
        cwd=details["cwd"],
        env=details["env"],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=prepare,
    )


async def _exit_of(process: "subprocess.Popen[bytes]") -> None:
    """Wait until the process itself has exited, whatever its children do."""
    loop = asyncio.get_running_loop()
    try:
        fd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # not Linux, or a kernel before 5.3
        while process.poll() is None:
            await asyncio.sleep(0.05)
        return
    exited = asyncio.Event()
    loop.add_reader(fd, exited.set)
    try:
        await exited.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    process.wait()


def _kill_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False if nobody is in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
