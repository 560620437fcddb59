"""Processes under `ros2 launch`, and `launch_pytest`: on the originals and on our stand-ins alike."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import pytest

from support.processes import exists, wait_for
from support.ros2_command import launch_file, ros2, run

launch = pytest.importorskip("launch", reason="needs launch")

pytestmark = pytest.mark.graph

is_stand_in = "stand_ins" in str(launch.__file__)
beyond_original = pytest.mark.skipif(not is_stand_in, reason="the original leaves processes behind here")

SLEEPER = """
import os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
try:
    print("ready")
    time.sleep(1000)
except KeyboardInterrupt:
    print("interrupted")
"""
STUBBORN = """
import signal, sys, time
for number in sys.argv[1:]:
    signal.signal(signal.Signals[number], signal.SIG_IGN)
print("ready")
while True:
    time.sleep(1)
"""
WAITER = """
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
"""
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "1000"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
print("ready")
time.sleep(1000)
"""


def sleeper_file(folder: Path, code: str = SLEEPER) -> Path:
    return launch_file(
        folder,
        f'process("sleeper", {code!r}, HERE + "/pids")',
    )


def pids(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "pids").read_text().split()]


def test_output_has_the_name_in_front(tmp_path: Path) -> None:
    file = launch_file(
        tmp_path,
        r"""
        process("both", "import sys; print('out'); print('err', file=sys.stderr)"),
        ExecuteProcess(
            cmd=python("import sys; print('unseen'); print('seen', file=sys.stderr)"), name="quiet"
        ),
        ExecuteProcess(cmd=["printf", r"caf\351 \302\265\n"], output={"both": "screen"}),
        process("long", "print('x' * 200000)"),
        process("partial", "import sys; sys.stdout.write('no end')"),
        """,
    )
    command = run("launch", file)
    lines = command.text.splitlines()
    assert command.code == 0, command.text
    assert {"[both-1] out", "[both-1] err", "[quiet-2] seen", "[partial-5] no end"} <= set(lines)
    assert "[printf-3] caf\N{REPLACEMENT CHARACTER} \N{MICRO SIGN}" in lines
    assert "[long-4] " + "x" * 200000 in lines
    assert not any("unseen" in line for line in lines)
    assert sum("[INFO] [both-1]: process started with pid [" in line for line in lines) == 1
    assert sum("[INFO] [both-1]: process has finished cleanly [pid " in line for line in lines) == 1


def test_a_failed_process_is_reported_and_the_others_go_on(tmp_path: Path) -> None:
    file = launch_file(
        tmp_path,
        """
        process("bad", "raise SystemExit(7)"),
        process("good", "import time; time.sleep(1); print('done')"),
        """,
    )
    command = run("launch", file)
    died = next(line for line in command.text.splitlines() if "has died" in line)
    assert died.startswith("[ERROR] [bad-1]: process has died [pid ") and ", exit code 7, cmd '" in died
    assert "[good-2] done" in command.text
    assert command.code == 0


def test_a_command_that_is_not_there_is_reported(tmp_path: Path) -> None:
    command = run("launch", launch_file(tmp_path, 'ExecuteProcess(cmd=["/no/such/command"])'))
    assert "[ERROR] [command-1]: " in command.text
    assert "No such file or directory: '/no/such/command'" in command.text


def test_sigint_ends_all_with_exit_code_0(tmp_path: Path) -> None:
    with ros2("launch", sleeper_file(tmp_path)) as command:
        command.wait_for_line("[sleeper-1] ready")
        assert command.stop() == 0
    assert "[sleeper-1] interrupted" in command.text
    assert "[WARNING] [launch]: user interrupted with ctrl-c (SIGINT)" in command.text
    assert "[INFO] [sleeper-1]: process has finished cleanly" in command.text
    assert not any(exists(pid) for pid in pids(tmp_path))


def test_ctrl_c_in_a_terminal_comes_once(tmp_path: Path) -> None:
    count = """
    import signal, time
    got = []
    signal.signal(signal.SIGINT, lambda *_: got.append(1))
    print("ready")
    while not got:
        time.sleep(0.05)
    time.sleep(1)
    print(f"got {len(got)}")
    """
    code = textwrap.dedent(count)
    file = launch_file(tmp_path, f'process("counter", {code!r})')
    master, slave = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    terminal = {"stdin": slave, "preexec_fn": take_terminal, "pass_fds": [slave]}
    with ros2("launch", file, options=terminal) as command:
        command.wait_for_line("[counter-1] ready")
        os.write(master, b"\x03")
        assert command.wait() == 0
    assert "[counter-1] got 1" in command.text
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(("ignored", "code"), [(["SIGINT"], -15), (["SIGINT", "SIGTERM"], -9)])
def test_signals_become_harder(tmp_path: Path, ignored: list[str], code: int) -> None:
    file = launch_file(
        tmp_path,
        f"""
        process(
            "stubborn", {STUBBORN!r}, *{ignored!r}, sigterm_timeout="0.5", sigkill_timeout=value("patience")
        )
        """,
    )
    with ros2("launch", file, "patience:=0.5") as command:
        command.wait_for_line("[stubborn-1] ready")
        assert command.stop() == 0
    assert "escalating to 'SIGTERM'" in command.text
    assert ("escalating to 'SIGKILL'" in command.text) == (code == -9)
    assert f"exit code {code}," in command.text


def test_a_second_ctrl_c_does_no_harm(tmp_path: Path) -> None:
    code = STUBBORN.replace("while True:\n    time.sleep(1)", "time.sleep(2)")
    file = launch_file(tmp_path, f'process("slow", {code!r}, "SIGINT")')
    with ros2("launch", file) as command:
        command.wait_for_line("[slow-1] ready")
        command.send(signal.SIGINT)
        command.wait_for_line("ctrl-c (SIGINT)")
        command.send(signal.SIGINT)
        command.wait_for_line("again")
        assert command.wait() == 0
    assert "[slow-1]: process has finished cleanly" in command.text


@beyond_original
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_ends_all_too(tmp_path: Path, number: int) -> None:
    with ros2("launch", sleeper_file(tmp_path)) as command:
        command.wait_for_line("[sleeper-1] ready")
        assert command.stop(number) == 0
    assert "[sleeper-1] interrupted" in command.text
    assert not any(exists(pid) for pid in pids(tmp_path))


@beyond_original
def test_what_a_process_started_ends_with_it(tmp_path: Path) -> None:
    with ros2("launch", sleeper_file(tmp_path, PARENT)) as command:
        command.wait_for_line("[sleeper-1] ready")
        parent, child = pids(tmp_path)
        os.kill(parent, signal.SIGKILL)
        assert command.wait() == 0
    assert "exit code -9," in command.text
    assert not exists(child)


@beyond_original
def test_killing_launch_ends_its_processes(tmp_path: Path) -> None:
    with ros2("launch", sleeper_file(tmp_path)) as command:
        command.wait_for_line("[sleeper-1] ready")
        command.stop(signal.SIGKILL)
        (pid,) = pids(tmp_path)
        wait_for(lambda: not exists(pid), "end of the process")


@beyond_original
def test_a_closed_output_or_log_folder_stops_nothing(tmp_path: Path) -> None:
    code = "import sys, time; print('gone'); time.sleep(0.2); print('gone'); open(sys.argv[1], 'w')"
    file = launch_file(tmp_path, f'process("writer", {code!r}, HERE + "/done")')
    reader, writer = os.pipe()
    os.close(reader)
    run("launch", file, options={"stdout": writer}, ROS_LOG_DIR="/proc/none", ROS_HOME="/proc/none")
    os.close(writer)
    assert (tmp_path / "done").exists()


def test_respawn(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(3)"
    file = launch_file(
        tmp_path,
        f"""
        process("again", {code!r}, HERE + "/starts", respawn=True, respawn_delay=0.2, respawn_max_retries=2)
        """,
    )
    command = run("launch", file)
    assert (tmp_path / "starts").read_text() == "xxx"
    assert command.text.count("exit code 3,") == 3
    assert command.code == 0


def test_sigint_ends_respawning(tmp_path: Path) -> None:
    file = launch_file(
        tmp_path,
        """
        process("again", "print('up')", respawn=True, respawn_delay=60.0)
        """,
    )
    with ros2("launch", file) as command:
        command.wait_for_line("finished cleanly")
        assert command.stop() == 0
    assert command.text.count("[again-1] up") == 1


def test_on_exit_shutdown_ends_the_others(tmp_path: Path) -> None:
    file = launch_file(
        tmp_path,
        f"""
        process("sleeper", {SLEEPER!r}, HERE + "/pids"),
        process("first", {WAITER!r}, HERE + "/pids", on_exit=Shutdown(reason="enough")),
        """,
    )
    command = run("launch", file)
    assert command.code == 0
    assert "[first-2] was required: shutting down" in command.text
    assert not any(exists(pid) for pid in pids(tmp_path))


def test_events_start_actions(tmp_path: Path) -> None:
    file = launch_file(
        tmp_path,
        """
        *((first := process("first", "print('one')")), (second := process("second", "print('two')")))[:1],
        RegisterEventHandler(OnProcessExit(
            target_action=first,
            on_exit=lambda event, context: [say(f"ended with {event.returncode}"), second],
        )),
        RegisterEventHandler(OnProcessStart(target_action=first, on_start=[say("started")])),
        RegisterEventHandler(OnProcessIO(on_stdout=lambda event: say(f"wrote {event.text}"))),
        RegisterEventHandler(OnShutdown(on_shutdown=say("ending"))),
        TimerAction(period=0.3, actions=[say("later")]),
        OpaqueFunction(function=lambda context, word: [say(word)], args=["opaque"]),
        """,
    )
    output = run("launch", file).text
    for text in ("started", "wrote b'one", "ended with 0", "later", "opaque", "ending"):
        assert f"[INFO] [launch.user]: {text}" in output
    assert output.index("ended with 0") < output.index("[second-2] two") < output.index("ending")


def test_an_error_in_a_handler_ends_the_launch_with_exit_code_1(tmp_path: Path) -> None:
    file = launch_file(
        tmp_path,
        f"""
        process("sleeper", {SLEEPER!r}, HERE + "/pids"),
        RegisterEventHandler(OnProcessIO(on_stdout=lambda event: 1 / 0)),
        """,
    )
    command = run("launch", file)
    assert command.code == 1
    assert "[ERROR] [launch]: Caught exception in launch" in command.text
    assert "division by zero" in command.text
    assert "[INFO] [sleeper-1]: process has finished cleanly" in command.text
    assert not any(exists(pid) for pid in pids(tmp_path))


def test_arguments_includes_and_scopes(tmp_path: Path) -> None:
    launch_file(
        tmp_path,
        """
        DeclareLaunchArgument("color", default_value="red"),
        DeclareLaunchArgument("size", default_value=["small ", value("color")]),
        say("included ", value("color"), ", ", value("size")),
        """,
        "inner.launch.py",
    )
    file = launch_file(
        tmp_path,
        """
        DeclareLaunchArgument("shade"),
        DeclareLaunchArgument("loud", default_value="false", choices=["true", "false"]),
        GroupAction([
            SetEnvironmentVariable("GREETING", "hello"),
            SetLaunchConfiguration("inside", "yes"),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(PathJoinSubstitution([HERE, "inner.launch.py"])),
                launch_arguments={"color": ["dark ", value("shade")]}.items(),
            ),
            say(EnvironmentVariable("GREETING"), " ", value("inside")),
        ]),
        say(EnvironmentVariable("GREETING", default_value="bye"), " ", value("inside", default="no")),
        say("quiet", condition=UnlessCondition(value("loud"))),
        say("loud", condition=IfCondition(value("loud"))),
        say("equal", condition=IfCondition(EqualsSubstitution(value("shade"), "green"))),
        say("differs", condition=IfCondition(NotEqualsSubstitution(value("shade"), "red"))),
        say("sum ", PythonExpression(["2 + ", "len('", value("shade"), "')"])),
        """,
    )
    command = run("launch", file, "shade:=blue", "shade:=green")
    said = [line.split(": ")[1] for line in command.text.splitlines() if "[launch.user]" in line]
    in_group = ["included dark green, small dark green", "hello yes"]
    assert said == [*in_group, "bye no", "quiet", "equal", "differs", "sum 7"]
    assert "]: loud" in run("launch", file, "shade:=blue", "loud:=true").text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "shade"),
        (["shade:=green", "loud:=perhaps"], "perhaps"),
        (["shade=green"], "malformed launch argument 'shade=green', expected"),
        (["shade:="], "malformed launch argument 'shade:=', expected"),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    file = launch_file(
        tmp_path,
        """
        DeclareLaunchArgument("shade"),
        DeclareLaunchArgument("loud", default_value="false", choices=["true", "false"]),
        """,
    )
    command = run("launch", file, *arguments)
    assert command.code == 1
    assert complaint in command.text
    assert "Traceback" not in command.text


def test_show_args(tmp_path: Path) -> None:
    launch_file(tmp_path, 'DeclareLaunchArgument("deep", default_value="1"),', "inner.launch.py")
    file = launch_file(
        tmp_path,
        """
        DeclareLaunchArgument("bare"),
        DeclareLaunchArgument("shade", default_value=["a", value("bare")], description="Color of it."),
        IncludeLaunchDescription(HERE + "/inner.launch.py"),
        GroupAction([DeclareLaunchArgument("maybe")], condition=IfCondition("false")),
        """,
    )
    command = run("launch", file, "--show-args")
    assert command.code == 0
    for text in (
        "    'bare':\n        no description given\n",
        "    'shade':\n        Color of it.\n        (default: 'a' + LaunchConfig('bare'))\n",
        "    'deep':\n        no description given\n        (default: '1')\n",
        "    'maybe':",
    ):
        assert text in command.text


NODE = """
import sys

import rclpy
from rclpy.executors import ExternalShutdownException

rclpy.init()
node = rclpy.create_node("unnamed", automatically_declare_parameters_from_overrides=True)
print("name", node.get_fully_qualified_name(), node.resolve_topic_name("image"), sys.argv[1])
for name, parameter in node.get_parameters_by_prefix("").items():
    kind, value = parameter.type_.name, parameter.value
    print(f"parameter {name} {kind} {list(value) if 'ARRAY' in kind else value!r}")
print("ready")
try:
    rclpy.spin(node)
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""


def test_a_node_gets_name_namespace_parameters_and_remappings(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="needs ROS 2")
    node = tmp_path / "node.py"
    node.write_text(f"#!{sys.executable} -u\n{NODE}")
    node.chmod(0o755)
    (tmp_path / "params.yaml").write_text(
        "/**:\n  ros__parameters:\n    from_file: [1.5, 2.5]\n    group: {deep: 1, over: 1}\n"
    )
    file = launch_file(
        tmp_path,
        """
        DeclareLaunchArgument("number", default_value="7"),
        GroupAction([
            PushRosNamespace("car"),
            SetParameter("everywhere", 3.5),
            Node(
                executable=HERE + "/node.py", exec_name="seg", output="screen",
                name="segnet", namespace="front",
                parameters=[
                    [HERE, "/params.yaml"],
                    ParameterFile(HERE + "/params.yaml"),
                    {
                        "bool": True, "int": 1, "float": 1.0, "text": "x", "digits": "1",
                        "texts": ["a", "b"], "numbers": [1, 2.5],
                        "read": value("number"), "joined": [value("number"), "x"],
                        "kept": ParameterValue(value("number"), value_type=str),
                        "group": {"over": 2, "more": {"deeper": -1}},
                    },
                ],
                remappings=[("image", "/camera/image")],
                arguments=["one"],
                ros_arguments=["--log-level", "warn"],
            ),
        ]),
        """,
    )
    with ros2("launch", file, "number:=8") as command:
        command.wait_for_line("[seg-1] ready")
        assert command.stop() == 0
    lines = [line.partition(" ")[2] for line in command.text.splitlines() if line.startswith("[seg-1] ")]
    assert "name /car/front/segnet /camera/image one" in lines
    given = dict(line.split(maxsplit=2)[1:] for line in lines if line.startswith("parameter "))
    expected = {
        "bool": "BOOL True",
        "int": "INTEGER 1",
        "float": "DOUBLE 1.0",
        "text": "STRING 'x'",
        "digits": "STRING '1'",
        "texts": "STRING_ARRAY ['a', 'b']",
        "numbers": "DOUBLE_ARRAY [1.0, 2.5]",
        "read": "INTEGER 8",
        "joined": "STRING '8x'",
        "kept": "STRING '8'",
        "group.deep": "INTEGER 1",
        "group.over": "INTEGER 2",
        "group.more.deeper": "INTEGER -1",
        "from_file": "DOUBLE_ARRAY [1.5, 2.5]",
        "everywhere": "DOUBLE 3.5",
    }
    assert {name: given.get(name) for name in expected} == expected


LAUNCH_TESTS = """
import sys

import launch
import launch_pytest
import pytest
from launch.actions import ExecuteProcess
from launch_pytest.tools import process as tools

CODE = '''
import time
try:
    print("up", flush=True)
    time.sleep(1000)
except KeyboardInterrupt:
    print("bye")
'''


@pytest.fixture
def sleeper():
    return ExecuteProcess(cmd=[sys.executable, "-c", CODE], cached_output=True, output="screen")


@launch_pytest.fixture
def description(sleeper):
    return launch.LaunchDescription([sleeper, launch_pytest.actions.ReadyToTest()])


@pytest.mark.launch(fixture=description)
def test_plain(sleeper, launch_context):
    assert tools.wait_for_output_sync(launch_context, sleeper, lambda text: "up" in text, timeout=30)
    assert not tools.wait_for_exit_sync(launch_context, sleeper, timeout=0.1)


@pytest.mark.launch(fixture=description)
def test_yields(sleeper, launch_context):
    def has_come_up(text):
        assert "up" in text

    tools.assert_output_sync(launch_context, sleeper, has_come_up, timeout=30)
    with pytest.raises(AssertionError):
        tools.assert_stderr_sync(launch_context, sleeper, has_come_up, timeout=0.1)
    assert sleeper.return_code is None
    yield
    assert sleeper.return_code == 0
    assert "bye" in sleeper.get_stdout()


@pytest.mark.launch(fixture=description)
async def test_coroutine(sleeper, launch_context):
    assert await tools.wait_for_output(launch_context, sleeper, lambda text: "up" in text, timeout=30)


@pytest.mark.launch(fixture=description)
async def test_coroutine_that_yields(sleeper, launch_context):
    assert await tools.wait_for_output(launch_context, sleeper, lambda text: "up" in text, timeout=30)
    yield
    assert sleeper.return_code == 0


@pytest.mark.launch(fixture=description)
def test_that_fails(sleeper):
    assert False, "on purpose"
"""
MODULE_TESTS = """
import launch
import launch_pytest
import pytest
from launch.actions import ExecuteProcess, TimerAction


@launch_pytest.fixture(scope="module")
def description():
    cat = ExecuteProcess(cmd=["cat"])
    ready = TimerAction(period=0.5, actions=[launch_pytest.actions.ReadyToTest()])
    return launch.LaunchDescription([cat, ready]), cat


@pytest.mark.launch(fixture=description)
def test_yields(description):
    yield
    assert description[1].return_code == -2


@pytest.mark.launch(fixture=description, shutdown=True)
def test_after(description):
    assert description[1].return_code == -2


@pytest.mark.launch(fixture=description)
def test_before(description, launch_service):
    assert description[1].return_code is None
    assert not launch_service.context.is_shutdown


def test_of_no_launch():
    pass
"""


@pytest.mark.parametrize(
    ("tests", "passed", "failed"), [(LAUNCH_TESTS, 4, 1), (MODULE_TESTS, 5, 0)], ids=["function", "module"]
)
def test_launch_pytest(tmp_path: Path, tests: str, passed: int, failed: int) -> None:
    pytest.importorskip("launch_pytest", reason="needs launch_pytest")
    (tmp_path / "test_them.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_them.py"]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=120, check=False)
    assert f"{passed} passed" in done.stdout, done.stdout
    assert (f"{failed} failed" in done.stdout) == bool(failed), done.stdout
    assert "on purpose" in done.stdout or not failed
