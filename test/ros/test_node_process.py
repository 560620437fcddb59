"""The node's process: how it ends, in every state and on every signal."""

# ruff: noqa: E402 (what needs ROS comes after it was looked for)
from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
index = pytest.importorskip("ament_index_python.packages", reason="needs ROS 2")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from reliability.graph import Graph, picture
from support.processes import Running

pytestmark = pytest.mark.graph

BEST_EFFORT = ReliabilityPolicy.BEST_EFFORT
SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(scope="module")
def executable() -> str:
    return f"{index.get_package_prefix('squeeze_segnet_ros')}/lib/squeeze_segnet_ros/segnet_node"


@pytest.fixture(scope="module")
def weights(untrained: Callable[..., Path]) -> Path:
    return untrained()


def parameters(**values: object) -> list[str]:
    return ["--ros-args", *(part for name, value in values.items() for part in ("-p", f"{name}:={value}"))]


def ends_well(node: Running, number: signal.Signals) -> None:
    """Check for exit code 0 before a launch would send a harsher signal, without a word about exceptions."""
    node.send(number)
    assert node.wait(5.0) == 0, node.text
    assert "Traceback" not in node.text
    assert "Error" not in node.text


@pytest.mark.parametrize("number", SIGNALS)
def test_unconfigured(graph: Graph, executable: str, number: signal.Signals) -> None:
    with Running([executable, *parameters(autostart="false")]) as node:
        graph.wait_until("unconfigured")
        ends_well(node, number)


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_loads(executable: str, weights: Path, number: signal.Signals) -> None:
    with Running([executable, *parameters(weights=weights)]) as node:
        time.sleep(1.5)
        ends_well(node, number)


def test_active_and_inactive(executable: str, weights: Path, ros_domain_id: int) -> None:
    quick = parameters(weights=weights, input_size="[64,96]", device="cpu")
    cases = [(state, number) for state in ("active", "inactive") for number in SIGNALS]
    with ExitStack() as stack:
        nodes = []
        for state, number in cases:
            name = f"{state}_{number.name}".lower()
            command = [executable, *quick, "-r", f"__node:={name}"]
            nodes.append((name, stack.enter_context(Running(command, OMP_NUM_THREADS="1"))))
        for (state, number), (name, node) in zip(cases, nodes, strict=True):
            node.wait_for_line("listening to")
            graph = Graph(f"/{name}")
            graph.wait_until("active")
            assert state == "active" or graph.change_state("deactivate")
            graph.close()
            ends_well(node, number)


def test_in_the_middle_of_a_long_network_pass(graph: Graph, executable: str, weights: Path) -> None:
    slow = parameters(weights=weights, input_size="[960,1280]", precision="fp32", device="cpu")
    with Running([executable, *slow], OMP_NUM_THREADS="1") as node:
        node.wait_for_line("listening to")
        camera = graph.camera("/camera/front/image_raw")
        graph.listen(Image, "/camera/front/segmentation/label")
        for i in range(5):
            camera.send(picture(i))
            time.sleep(0.1)
        ends_well(node, signal.SIGINT)
        assert " waiting" not in node.text.rpartition("received")[2], "a frame has no fate"


def test_a_failed_start_leaves_it_unconfigured_with_one_line(graph: Graph, executable: str) -> None:
    with Running([executable, *parameters(model="unet")]) as node:
        node.wait_for_line("unknown model 'unet'")
        graph.wait_until("unconfigured")
        ends_well(node, signal.SIGINT)
    assert len(node.lines) == 1, node.text


def test_an_unexpected_failure_of_configure_is_told_in_the_log_and_on_diagnostics(
    graph: Graph, executable: str, weights: Path
) -> None:
    too_long = f"['/{'a' * 300}/image_raw']"
    with Running([executable, *parameters(cameras=too_long, weights=weights)]) as node:
        node.wait_for_line("topic length")
        graph.wait_until("unconfigured")
        status = graph.status("network")
        assert status.level == DiagnosticStatus.ERROR
        assert "topic length" in status.message
        node.send(signal.SIGINT)
        assert node.wait(5.0) == 0, node.text
    assert "Traceback" not in node.text


def test_pytorch_is_not_waited_for_before_the_node_is_there() -> None:
    program = "import sys; from squeeze_segnet_ros.ros import node, segnet_node; "
    program += "from squeeze_segnet_ros.memory import share_one_heap; print('torch' in sys.modules)"
    with Running([sys.executable, "-c", program]) as imports:
        assert imports.wait() == 0, imports.text
    assert imports.lines == ["False"]


WITH_A_GPU_THAT_FAILS = """
import sys
from squeeze_segnet_ros.engine.backends.torch_cpu import CpuBackend
from squeeze_segnet_ros.errors import DeviceLostError
from squeeze_segnet_ros.ros.segnet_node import main
run, passes = CpuBackend.run, []
def fail_after_a_while(*arguments):
    passes.append(1)
    if len(passes) > 3:
        raise DeviceLostError("cuda:0 has failed")
    return run(*arguments)
CpuBackend.run = fail_after_a_while
sys.exit(main(sys.argv[1:]))
"""


def test_a_lost_gpu_ends_the_process_so_that_it_is_started_again(graph: Graph, weights: Path) -> None:
    quick = parameters(weights=weights, input_size="[64,96]", device="cpu")
    with Running([sys.executable, "-c", WITH_A_GPU_THAT_FAILS, *quick], OMP_NUM_THREADS="1") as node:
        node.wait_for_line("listening to")
        camera = graph.camera("/camera/front/image_raw")
        labels = graph.listen(Image, "/camera/front/segmentation/label")
        graph.wait_for(lambda: camera.send(picture()) and not node.is_running(), "the end of the node")
        assert node.wait() == 1, node.text
        assert labels, "frames before the failure are labelled"
    assert "cuda:0 has failed" in node.text
    assert "Traceback" not in node.text


def test_a_camera_that_offers_too_little_is_named_with_the_remedy(
    graph: Graph, executable: str, weights: Path
) -> None:
    strict = {"qos.reliability": "reliable", "cameras": "['/unreliable/image_raw']"}
    graph.publish(Image, "/unreliable/image_raw", QoSProfile(depth=1, reliability=BEST_EFFORT))
    with Running([executable, *parameters(**strict, weights=weights, input_size="[64,96]")]) as node:
        node.wait_for_line("/unreliable/image_raw: nothing arrives from a camera that offers best_effort")
        node.wait_for_line("set it to auto or best_effort")
        ends_well(node, signal.SIGINT)


def test_topics_can_be_remapped(graph: Graph, executable: str, weights: Path) -> None:
    quick = parameters(weights=weights, input_size="[64,96]", device="cpu")
    front = "/camera/front"
    mapped = {f"{front}/image_raw": "/usb/image", f"{front}/segmentation/label": "/classes"}
    rules = [part for old, new in mapped.items() for part in ("-r", f"{old}:={new}")]
    with Running([executable, *quick, *rules], OMP_NUM_THREADS="1") as node:
        node.wait_for_line("listening to /usb/image")
        camera = graph.camera("/usb/image")
        labels = graph.listen(Image, "/classes")
        graph.wait_for(lambda: camera.send(picture()) and labels, "a label on the other topic")
        assert "/usb/image" in graph.status("/usb/image").hardware_id
        ends_well(node, signal.SIGINT)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (parameters(**{"overlay.alpha": 3}), "overlay.alpha is 3.0: must be from 0.0 to 1.0"),
        (parameters(weights=7), "weights is 7: expected a text"),
        (["--ros-args", "--params-file", "/no/such.yaml"], "/no/such.yaml"),
    ],
)
def test_bad_parameters_at_the_start_are_one_line(executable: str, arguments: list[str], words: str) -> None:
    with Running([executable, *arguments]) as node:
        assert node.wait() == 2
    assert words in node.text
    assert "Traceback" not in node.text
    assert len(node.lines) == 1, node.text


def test_unknown_parameters_are_reported(executable: str) -> None:
    with Running([executable, *parameters(autostart="false", **{"overlay.alhpa": 0.3})]) as node:
        node.wait_for_line("unknown parameter 'overlay.alhpa' is ignored: did you mean 'overlay.alpha'?")
        ends_well(node, signal.SIGTERM)
