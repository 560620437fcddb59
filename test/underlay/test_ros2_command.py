"""The verbs of `ros2` that our README uses, against a small node: on the original and our stand-in alike."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.processes import Running, wait_for
from support.ros2_command import ros2, run

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("ros2cli", reason="needs the command ros2")

pytestmark = pytest.mark.graph

NODE = """
import signal

import rclpy
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import ByteMultiArray, Header, String

rclpy.init()
node = LifecycleNode("managed", namespace="/car")
limits = ParameterDescriptor(
    description="How much", floating_point_range=[FloatingPointRange(from_value=0.0, to_value=1.0)]
)
node.declare_parameter("overlay.alpha", 0.5, limits)
node.declare_parameter("names", ["a", "b"])
node.declare_parameter("fixed", 3, ParameterDescriptor(read_only=True))
headers = node.create_publisher(Header, "/headers", 10)
bytes_ = node.create_publisher(ByteMultiArray, "/bytes", 10)
latching = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
latched = node.create_publisher(String, "/latched", latching)
latched.publish(String(data="kept"))


def publish():
    headers.publish(Header(stamp=Time(sec=12, nanosec=34), frame_id="camera: 1"))
    bytes_.publish(ByteMultiArray(data=[b"\\x07"] * 200))


node.create_timer(0.1, publish)
print("ready", flush=True)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, ExternalShutdownException):
    pass
"""
NAME = "/car/managed"
LOOK = ("--no-daemon", "--spin-time", "1")


@pytest.fixture(scope="module", autouse=True)
def node(ros_domain_id: int) -> Iterator[None]:
    with Running([sys.executable, "-c", NODE]) as process:
        process.wait_for_line("ready")
        yield
        process.stop()


def look(*arguments: str, until: str) -> str:
    """Look at the graph with a command, again until a text is in its output: discovery takes its time."""

    def seen() -> str:
        output = run(*arguments, *LOOK).text
        return output if until in output else ""

    return wait_for(seen, f"'{until}' from ros2 {' '.join(arguments)}")


def succeed(*arguments: str | Path) -> str:
    command = run(*arguments)
    assert command.code == 0, command.text
    return command.text


def test_topic_list() -> None:
    topics = look("topic", "list", "-t", until="/headers [std_msgs/msg/Header]\n")
    assert "/latched [std_msgs/msg/String]\n" in topics


def test_topic_info() -> None:
    look("topic", "info", "/latched", until="Publisher count: 1\nSubscription count: 0\n")
    verbose = look("topic", "info", "/latched", "-v", until="Node name: managed")
    for text in ("Type: std_msgs/msg/String", "Node namespace: /car", "Durability: TRANSIENT_LOCAL"):
        assert text in verbose


def test_topic_echo() -> None:
    header = "stamp:\n  sec: 12\n  nanosec: 34\nframe_id: 'camera: 1'\n---\n"
    echo = ("topic", "echo", "/headers", "std_msgs/msg/Header", "--once")
    assert succeed(*echo) == header
    assert succeed(*echo, "--field", "stamp.sec") == "12\n---\n"
    options = ("--qos-reliability", "best_effort", "--qos-durability", "volatile")
    assert succeed(*echo, *options) == header
    untyped = ("topic", "echo", "/latched", "--once")
    wait_for(lambda: run(*untyped).text == "data: kept\n---\n", "a message of a type that was not given")


def test_topic_echo_goes_on() -> None:
    with ros2("topic", "echo", "/headers", "std_msgs/msg/Header", "--field", "frame_id") as command:
        command.wait_for_line("---")  # the line after the text: an interrupt before it would cut it off
        command.stop()
    assert "camera: 1\n---\n" in command.text
    assert "Traceback" not in command.text


def test_topic_hz() -> None:
    with ros2("topic", "hz", "/headers") as command:
        line = command.wait_for_line("average rate")
        command.wait_for_line("std dev")
        command.stop()
    assert 5 < float(line.split()[-1]) < 20


def test_node() -> None:
    assert look("node", "list", until=NAME).split() == [NAME]
    info = look("node", "info", NAME, until=f"    {NAME}/get_state: lifecycle_msgs/srv/GetState\n")
    assert "    /headers: std_msgs/msg/Header\n" in info


def test_param_list_and_dump() -> None:
    look("param", "list", NAME, until="  names\n")
    dump = succeed("param", "dump", NAME)
    assert dump.startswith(f"{NAME}:\n  ros__parameters:\n")
    assert "    overlay:\n      alpha: 0." in dump
    assert "    names:\n    - a\n    - b\n" in dump


def test_param_get_set_describe() -> None:
    assert succeed("param", "get", NAME, "fixed") == "Integer value is: 3\n"
    assert succeed("param", "get", NAME, "names") == "String values are: ['a', 'b']\n"
    assert succeed("param", "set", NAME, "overlay.alpha", "0.25") == "Set parameter successful\n"
    assert succeed("param", "get", NAME, "overlay.alpha", "--hide-type") == "0.25\n"
    assert "Setting parameter failed" in run("param", "set", NAME, "overlay.alpha", "7.0").text
    assert "Setting parameter failed" in run("param", "set", NAME, "fixed", "4").text
    described = succeed("param", "describe", NAME, "overlay.alpha", "fixed")
    assert "Parameter name: overlay.alpha\n  Type: double\n  Description: How much\n" in described
    assert "Min value: 0.0\n    Max value: 1.0\n" in described
    assert "Parameter name: fixed\n  Type: integer\n  Constraints:\n    Read only: true\n" in described


def test_lifecycle() -> None:
    look("lifecycle", "nodes", until=f"{NAME}\n")
    assert succeed("lifecycle", "get", NAME) == "unconfigured [1]\n"
    transitions = succeed("lifecycle", "list", NAME)
    assert "- configure [1]\n\tStart: unconfigured\n\tGoal: configuring\n" in transitions
    assert succeed("lifecycle", "set", NAME, "configure") == "Transitioning successful\n"
    assert run("lifecycle", "set", NAME, "configure").code == 1
    assert succeed("lifecycle", "get", NAME) == "inactive [2]\n"


def test_interface_and_pkg() -> None:
    shown = succeed("interface", "show", "std_msgs/msg/Header")
    assert "builtin_interfaces/Time stamp\n\tint32 sec\n\tuint32 nanosec\n" in shown
    assert "string frame_id\n" in shown
    assert "std_msgs" in succeed("pkg", "list").split()
    assert Path(succeed("pkg", "prefix", "std_msgs").strip(), "share", "std_msgs").is_dir()


def test_what_is_not_there() -> None:
    complaints = {
        ("param", "get", NAME, "nonsense"): "Parameter not set",
        ("param", "get", "/nobody", "fixed"): "Node not found",
        ("pkg", "prefix", "nonsense"): "Package not found",
        ("run", "nonsense", "node"): "nonsense",
        ("run", "rclpy", "nonsense"): "xecutable",
        ("launch", "nonsense", "some.launch.py"): "nonsense",
        ("launch", "rclpy", "nonsense.launch.py"): "nonsense.launch.py",
        ("launch", "./nonsense.launch.py"): "nonsense.launch.py",
        ("interface", "show", "nonsense/msg/String"): "nonsense",
        ("topic", "nonsense"): "nonsense",
        ("nonsense",): "nonsense",
    }
    with ExitStack() as stack:
        commands = {arguments: stack.enter_context(ros2(*arguments)) for arguments in complaints}
        for arguments, command in commands.items():
            assert command.wait() > 0, arguments
            assert complaints[arguments] in command.text


def test_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lib" / "some_package"
    folder.mkdir(parents=True)
    (folder / "program").write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    (folder / "program").chmod(0o755)
    packages = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    packages.mkdir(parents=True)
    (packages / "some_package").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path), prepend=":")
    command = run("run", "some_package", "program", "--ros-args", "-r", "a:=b")
    assert "--ros-args -r a:=b\n" in command.text
    assert command.code == 3


def test_bag(tmp_path: Path) -> None:
    writer = pytest.importorskip("squeeze_segnet_ros.bags.writer", reason="needs squeeze_segnet_ros")
    if "stand_ins" not in str(sys.modules["ros2cli"].__file__):
        pytest.skip("the original's ros2 bag is part of rosbag2")
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CompressedImage

    with writer.BagWriter(tmp_path / "bag") as bag:
        for number in range(3):
            message = serialize_message(CompressedImage(format="png", data=[number]))
            bag.write("/camera", "sensor_msgs/msg/CompressedImage", 10**9 + number * 10**8, message)
    info = succeed("bag", "info", tmp_path / "bag")
    assert "/camera" in info and "sensor_msgs/msg/CompressedImage" in info
    with ros2("topic", "echo", "/camera", "--field", "data") as echo:
        assert run("bag", "play", tmp_path / "bag", "-r", "0.5").code == 0
        echo.wait_for_line("- 2")
        echo.stop()
    missing = run("bag", "info", tmp_path / "none")
    assert missing.code == 2 and str(tmp_path / "none") in missing.text
    assert "Traceback" not in missing.text
