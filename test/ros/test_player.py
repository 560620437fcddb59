"""The player in a real ROS 2 graph: what is in the bag arrives, unchanged, in order, with its stamps."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from squeeze_segnet_ros.bags import BagWriter, messages, open_bag

pytestmark = pytest.mark.graph

CAMERA = "/camera/front/image_raw"
COMPRESSED = f"{CAMERA}/compressed"
TRUTH = "/camera/front/label_truth"
START = 1_700_000_000 * 10**9
STEP = 50_000_000
FRAMES = 10
PATIENCE = 30.0
RELIABLE = QoSProfile(depth=100, reliability=QoSReliabilityPolicy.RELIABLE)


def picture(seed: int) -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    return np.stack([127 + 120 * np.sin((x * (k + 1) + y) / 23 + seed) for k in range(3)], -1).astype(
        np.uint8
    )


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return ten frames at 20 Hz with their truth, and a latched text."""
    path = tmp_path_factory.mktemp("bags") / "bag"
    with BagWriter(path) as writer:
        text = messages.serialize(messages.make("std_msgs/msg/String", data="the map"))
        writer.write("/map", "std_msgs/msg/String", START, text, latched=True)
        for index in range(FRAMES):
            stamp = START + index * STEP
            writer.write_image(COMPRESSED, stamp, "cam", picture(index), format="png")
            writer.write_image(TRUTH, stamp, "cam", picture(index)[..., 0] % 11, format="png")
    return path


class Graph:
    """A node that keeps what it receives by topic, and players as subprocesses."""

    def __init__(self) -> None:
        self.received: dict[str, list[Any]] = defaultdict(list)
        self._context = Context()
        self._context.init()
        self.node = Node("listener", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()
        self._players: list[subprocess.Popen[str]] = []

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def listen(self, message_type: Any, topic: str, qos: QoSProfile = RELIABLE, raw: bool = False) -> None:
        self.node.create_subscription(message_type, topic, self.received[topic].append, qos, raw=raw)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "squeeze_segnet_ros.ros.bag_player", *map(str, arguments)]
        player = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._players.append(player)
        return player

    def play(self, *arguments: object) -> str:
        """Play to the end and return what the player printed."""
        player = self.start(*arguments)
        output, _ = player.communicate(timeout=PATIENCE)
        assert player.returncode == 0, output
        return output

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, {topic: len(seen) for topic, seen in self.received.items()}
            time.sleep(0.01)

    def close(self) -> None:
        for player in self._players:
            if player.poll() is None:
                player.kill()
            player.communicate()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()
        self._thread.join()


@pytest.fixture
def graph() -> Iterator[Graph]:
    graph = Graph()
    yield graph
    graph.close()


def stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def time_ns(clock: Clock) -> int:
    return clock.clock.sec * 10**9 + clock.clock.nanosec


def test_every_message_arrives_unchanged_and_in_order(graph: Graph, bag: Path) -> None:
    graph.listen(CompressedImage, COMPRESSED, raw=True)
    graph.listen(
        CompressedImage, TRUTH, QoSProfile(depth=50, reliability=QoSReliabilityPolicy.BEST_EFFORT), raw=True
    )
    graph.listen(String, "/map")
    output = graph.play(bag, "--rate", 4)
    assert f"{FRAMES} on {COMPRESSED}" in output
    graph.wait_for(lambda: len(graph.received[COMPRESSED]) == len(graph.received[TRUTH]) == FRAMES)
    with open_bag(bag) as reader:
        for topic in (COMPRESSED, TRUTH):
            for received, recorded in zip(graph.received[topic], reader.messages([topic]), strict=True):
                # DDS fills the serialized message up to a multiple of four bytes.
                assert received[: len(recorded.data)] == recorded.data
                assert len(received) - len(recorded.data) < 4
    assert [text.data for text in graph.received["/map"]] == ["the map"]


def test_the_first_message_waits_for_a_subscriber(graph: Graph, bag: Path) -> None:
    player = graph.start(bag, "--rate", 10, "--wait-for-subscribers", PATIENCE)
    assert player.stdout is not None
    while "waiting" not in player.stdout.readline():
        pass
    graph.listen(CompressedImage, COMPRESSED)
    graph.wait_for(lambda: len(graph.received[COMPRESSED]) == FRAMES)
    assert player.wait(PATIENCE) == 0


def test_it_plays_without_a_subscriber_and_says_so(graph: Graph, bag: Path) -> None:
    output = graph.play(bag, "--rate", 20, "--wait-for-subscribers", 0.3)
    assert "no subscriber" in output
    assert "finished" in output


def test_topics_remappings_and_namespace(graph: Graph, bag: Path) -> None:
    graph.listen(CompressedImage, "/car/front/compressed")
    graph.listen(CompressedImage, f"/car{TRUTH}")
    names = ["-r", "__ns:=/car", "-r", f"/car{COMPRESSED}:=/car/front/compressed"]
    output = graph.play(bag, "--rate", 5, "--topics", COMPRESSED, TRUTH.lstrip("/"), "--ros-args", *names)
    graph.wait_for(lambda: all(len(seen) == FRAMES for seen in graph.received.values()))
    assert "/map" not in output


def test_a_latched_topic_reaches_a_late_subscriber(graph: Graph, bag: Path) -> None:
    graph.listen(CompressedImage, COMPRESSED)
    player = graph.start(bag, "--loop")
    graph.wait_for(lambda: len(graph.received[COMPRESSED]) > 2)
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    graph.listen(String, "/map", latched)
    graph.wait_for(lambda: bool(graph.received["/map"]))
    player.send_signal(signal.SIGINT)
    assert player.wait(PATIENCE) == 0


def test_clock_follows_the_recording(graph: Graph, bag: Path) -> None:
    graph.node.set_parameters([Parameter("use_sim_time", value=True)])
    graph.listen(Clock, "/clock")
    graph.listen(CompressedImage, COMPRESSED)
    graph.play(bag, "--rate", 0.8, "--clock", 50)
    last = START + (FRAMES - 1) * STEP
    graph.wait_for(lambda: time_ns(graph.received["/clock"][-1]) >= last)
    times = [time_ns(clock) for clock in graph.received["/clock"]]
    assert times[0] == START
    assert all(later >= earlier for earlier, later in pairwise(times))
    # Twice as many as frames: it ticks between the messages too.
    assert len(set(times)) > 2 * FRAMES
    graph.wait_for(lambda: graph.node.get_clock().now().nanoseconds >= last)
    assert [stamp_ns(image) for image in graph.received[COMPRESSED]] == [
        START + i * STEP for i in range(FRAMES)
    ]


@pytest.mark.parametrize("with_clock", [True, False])
def test_clock_follows_stamps_of_a_simulation(
    graph: Graph, bag: Path, tmp_path: Path, with_clock: bool
) -> None:
    # Recorded in wall time while the simulation ran at half the speed.
    with open_bag(bag) as reader, BagWriter(tmp_path / "bag") as writer:
        for index, message in enumerate(reader.messages([COMPRESSED])):
            simulated = 5 * 10**9 + index * STEP // 2
            if with_clock:
                clock = messages.make(
                    "rosgraph_msgs/msg/Clock", clock=messages.make_header(simulated, "").stamp
                )
                writer.write("/clock", clock.__msgtype__, message.timestamp_ns - 1, messages.serialize(clock))
            writer.write(
                COMPRESSED, message.type, message.timestamp_ns, messages.with_stamp(message.data, simulated)
            )
    graph.listen(Clock, "/clock")
    graph.listen(CompressedImage, COMPRESSED)
    output = graph.play(tmp_path / "bag", "--rate", 2, "--clock")
    assert ("the recorded /clock" in output) == with_clock
    graph.wait_for(lambda: len(graph.received[COMPRESSED]) == FRAMES)
    times = [time_ns(clock) for clock in graph.received["/clock"]]
    assert times == sorted(times)
    assert times[0] == 5 * 10**9
    if with_clock:
        assert set(times) == {5 * 10**9 + index * STEP // 2 for index in range(FRAMES)}
    else:
        assert 5 * 10**9 < times[-1] <= 5 * 10**9 + FRAMES * STEP


def test_what_the_node_makes_itself_is_not_played_on_top_of_it(graph: Graph, tmp_path: Path) -> None:
    label = "/camera/front/segmentation/label/compressed"
    with BagWriter(tmp_path / "bag") as writer:
        for index in range(3):
            for topic in (COMPRESSED, label):
                writer.write_image(topic, START + index * STEP, "cam", picture(index), format="png")
    for topic in (COMPRESSED, label):
        graph.listen(CompressedImage, topic)
    assert f"not played, since /listener makes its own: {label}" in graph.play(
        tmp_path / "bag", "--wait-for-node", "/listener"
    )
    graph.wait_for(lambda: len(graph.received[COMPRESSED]) == 3)
    assert not graph.received[label]
    graph.play(tmp_path / "bag")
    graph.wait_for(lambda: len(graph.received[label]) == 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_loop_starts_again_with_the_recorded_time_until_it_is_stopped(
    graph: Graph, bag: Path, number: signal.Signals
) -> None:
    graph.listen(Clock, "/clock")
    graph.listen(CompressedImage, COMPRESSED)
    player = graph.start(bag, "--rate", 4, "--loop", "--clock")
    graph.wait_for(lambda: len(graph.received[COMPRESSED]) > 3 * FRAMES)
    player.send_signal(number)
    output, _ = player.communicate(timeout=PATIENCE)
    assert player.returncode == 0
    assert "Traceback" not in output
    stamps = [stamp_ns(image) for image in graph.received[COMPRESSED]]
    assert stamps == [START + index % FRAMES * STEP for index in range(len(stamps))]
    times = [time_ns(clock) for clock in graph.received["/clock"]]
    jumps = [later - earlier for earlier, later in pairwise(times) if later < earlier]
    assert len(jumps) >= 3
    # Back by a whole lap, of which the last message's period is a part, not by some jitter.
    assert all(jump < -(FRAMES - 1) * STEP + STEP // 2 for jump in jumps)


def test_decompress_publishes_the_decoded_image_beside_the_compressed_one(graph: Graph, bag: Path) -> None:
    graph.listen(Image, CAMERA)
    graph.listen(CompressedImage, COMPRESSED)
    graph.play(bag, "--rate", 2, "--decompress")
    graph.wait_for(lambda: len(graph.received[CAMERA]) == len(graph.received[COMPRESSED]) == FRAMES)
    for index, image in enumerate(graph.received[CAMERA]):
        assert stamp_ns(image) == START + index * STEP
        assert (image.header.frame_id, image.encoding, image.height, image.width, image.step) == (
            "cam", "rgb8", 48, 64, 192,
        )  # fmt: skip
        np.testing.assert_array_equal(np.frombuffer(image.data, np.uint8).reshape(48, 64, 3), picture(index))


def test_stamp_now_moves_all_stamps_by_the_same_amount(graph: Graph, bag: Path) -> None:
    graph.listen(CompressedImage, COMPRESSED)
    graph.listen(CompressedImage, TRUTH)
    before = time.time_ns()
    graph.play(bag, "--stamp", "now", "--rate", 2)
    after = time.time_ns()
    graph.wait_for(lambda: len(graph.received[TRUTH]) == len(graph.received[COMPRESSED]) == FRAMES)
    stamps = [stamp_ns(image) for image in graph.received[COMPRESSED]]
    assert stamps == [stamp_ns(truth) for truth in graph.received[TRUTH]]
    assert before < stamps[0] <= stamps[-1] < after
    assert {later - earlier for earlier, later in pairwise(stamps)} == {STEP // 2}
    images = [
        messages.decode_image(messages_of(image), messages.COMPRESSED_IMAGE)
        for image in graph.received[COMPRESSED]
    ]
    np.testing.assert_array_equal(images, [picture(index) for index in range(FRAMES)])


def messages_of(image: CompressedImage) -> bytes:
    from rclpy.serialization import serialize_message

    return bytes(serialize_message(image))


def test_a_type_that_is_not_installed_is_left_out(graph: Graph, tmp_path: Path) -> None:
    from rosbags.typesys import get_types_from_msg

    messages.typestore().register(get_types_from_msg("int32 value", "nobody_msgs/msg/Number"))
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/number", "nobody_msgs/msg/Number", START, b"\0\1\0\0\1\0\0\0")
        writer.write_image(CAMERA, START + STEP, "cam", picture(0))
    graph.listen(Image, CAMERA)
    output = graph.play(tmp_path / "bag")
    assert "nobody_msgs/msg/Number is not installed" in output
    graph.wait_for(lambda: len(graph.received[CAMERA]) == 1)


def test_an_image_that_cannot_be_decoded_is_reported_and_the_rest_is_played(
    graph: Graph, tmp_path: Path
) -> None:
    broken = messages.make(
        messages.COMPRESSED_IMAGE,
        header=messages.make_header(START, "cam"),
        format="rgb8; jpeg compressed bgr8",
        data=np.frombuffer(b"no jpeg", np.uint8),
    )
    with BagWriter(tmp_path / "bag") as writer:
        writer.write(COMPRESSED, messages.COMPRESSED_IMAGE, START, messages.serialize(broken))
        writer.write_image(COMPRESSED, START + STEP, "cam", picture(0), format="jpeg")
    graph.listen(Image, CAMERA)
    assert "not published: the picture starts with 6e 6f 20 6a" in graph.play(
        tmp_path / "bag", "--decompress"
    )
    graph.wait_for(lambda: len(graph.received[CAMERA]) == 1)


def test_a_bag_that_is_damaged_in_the_middle_is_played_up_to_there(graph: Graph, tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        for index in range(300):
            writer.write_image(CAMERA, START + index * 10**6, "cam", picture(index))
    (file,) = (tmp_path / "bag").glob("*.mcap")
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    file.write_bytes(content)
    player = graph.start(tmp_path / "bag", "--wait-for-subscribers", 0)
    output, _ = player.communicate(timeout=PATIENCE)
    assert player.returncode == 2
    assert "damaged after" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{path}/nothing"], "no such bag"),
        (["{bag}", "--topics", "/nope"], "no topic /nope"),
        (["{no_images}"], "no images"),
        (["{bag}", "--rate", "0"], "--rate 0"),
        (["{bag}", "--clock", "-1"], "--clock -1"),
        (["{bag}", "--depth", "0"], "--depth 0"),
        (["{bag}", "--clock", "--stamp", "now"], "exclude each other"),
        (["{bag}", "--ros-args", "-r", "no remapping"], "no remapping"),
        (["{bag}", "--ros-args", "-r", "__node:=no-name"], "no-name"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], reason: str, bag: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from squeeze_segnet_ros.ros import bag_player as bag_player

    with BagWriter(tmp_path / "no_images") as writer:
        writer.write_camera_info("/camera_info", START, "cam", 480, 360)
    paths = {"path": tmp_path, "bag": bag, "no_images": tmp_path / "no_images"}
    assert bag_player.main([argument.format(**paths) for argument in arguments]) == 2
    text = capfd.readouterr().err
    assert text.count("\n") == 1
    assert reason in text
