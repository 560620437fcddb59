"""The player in a real ROS 2 graph: what is in the bag arrives, unchanged, in order, with its stamps."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")

from rclpy.parameter import Parameter
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from reliability.graph import Graph, stamp_of
from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.stamps import nanoseconds
from support.processes import PATIENCE, Running, TooLate, wait_for

pytestmark = pytest.mark.graph

CAMERA = "/camera/front/image_raw"
COMPRESSED = f"{CAMERA}/compressed"
TRUTH = "/camera/front/label_truth"
START = 1_700_000_000 * 10**9
STEP = 50_000_000
FRAMES = 10


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


class Listener:
    """What is heard of players, by topic, and the players: they end with it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.received: dict[str, list[Any]] = {}
        self._players = ExitStack()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: Any) -> None:
        self._players.close()

    def listen(self, kind: Any, topic: str, qos: QoSProfile | int = 100, raw: bool = False) -> None:
        self.received[topic] = self.graph.listen(kind, topic, qos, raw=raw)

    def start(self, *arguments: object) -> Running:
        command = [sys.executable, "-m", "squeeze_segnet_ros.ros.bag_player", *map(str, arguments)]
        return self._players.enter_context(Running(command))

    def play(self, *arguments: object) -> str:
        """Play to the end and return what the player printed."""
        player = self.start(*arguments)
        assert player.wait() == 0, player.text
        return player.text

    def wait_for(self, condition: Callable[[], bool]) -> None:
        try:
            wait_for(condition, "the messages")
        except TooLate as error:
            counts = {topic: len(heard) for topic, heard in self.received.items()}
            raise TooLate(f"{error}: {counts}") from None


@pytest.fixture
def listener(graph: Graph) -> Iterator[Listener]:
    with Listener(graph) as listener:
        yield listener


def test_every_message_arrives_unchanged_and_in_order(listener: Listener, bag: Path) -> None:
    listener.listen(CompressedImage, COMPRESSED, raw=True)
    listener.listen(
        CompressedImage, TRUTH, QoSProfile(depth=50, reliability=QoSReliabilityPolicy.BEST_EFFORT), raw=True
    )
    listener.listen(String, "/map")
    output = listener.play(bag, "--rate", 4)
    assert f"{FRAMES} on {COMPRESSED}" in output
    listener.wait_for(lambda: len(listener.received[COMPRESSED]) == len(listener.received[TRUTH]) == FRAMES)
    with open_bag(bag) as reader:
        for topic in (COMPRESSED, TRUTH):
            for received, recorded in zip(listener.received[topic], reader.messages([topic]), strict=True):
                # DDS fills the serialized message up to a multiple of four bytes.
                assert received[: len(recorded.data)] == recorded.data
                assert len(received) - len(recorded.data) < 4
    assert [text.data for text in listener.received["/map"]] == ["the map"]


def test_the_first_message_waits_for_a_subscriber(listener: Listener, bag: Path) -> None:
    player = listener.start(bag, "--rate", 10, "--wait-for-subscribers", PATIENCE)
    player.wait_for_line("waiting")
    listener.listen(CompressedImage, COMPRESSED)
    listener.wait_for(lambda: len(listener.received[COMPRESSED]) == FRAMES)
    assert player.wait() == 0


def test_it_plays_without_a_subscriber_and_says_so(listener: Listener, bag: Path) -> None:
    output = listener.play(bag, "--rate", 20, "--wait-for-subscribers", 0.3)
    assert "no subscriber" in output
    assert "finished" in output


def test_topics_remappings_and_namespace(listener: Listener, bag: Path) -> None:
    listener.listen(CompressedImage, "/car/front/compressed")
    listener.listen(CompressedImage, f"/car{TRUTH}")
    names = ["-r", "__ns:=/car", "-r", f"/car{COMPRESSED}:=/car/front/compressed"]
    output = listener.play(bag, "--rate", 5, "--topics", COMPRESSED, TRUTH.lstrip("/"), "--ros-args", *names)
    listener.wait_for(lambda: all(len(seen) == FRAMES for seen in listener.received.values()))
    assert "/map" not in output


def test_a_latched_topic_reaches_a_late_subscriber(listener: Listener, bag: Path) -> None:
    listener.listen(CompressedImage, COMPRESSED)
    player = listener.start(bag, "--loop")
    listener.wait_for(lambda: len(listener.received[COMPRESSED]) > 2)
    latched = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
    listener.listen(String, "/map", latched)
    listener.wait_for(lambda: bool(listener.received["/map"]))
    assert player.stop() == 0


def test_clock_follows_the_recording(listener: Listener, bag: Path) -> None:
    listener.listen(Clock, "/clock")
    last = START + (FRAMES - 1) * STEP
    with Graph("/follower") as follower:
        follower.node.set_parameters([Parameter("use_sim_time", value=True)])
        player = listener.start(bag, "--rate", 0.8, "--clock", 50, "--wait-for-subscribers", PATIENCE)
        # The two meet after seconds, where another node has been in this process before.
        listener.wait_for(lambda: follower.node.get_clock().now().nanoseconds == START)
        listener.listen(CompressedImage, COMPRESSED)
        assert player.wait() == 0, player.text
        listener.wait_for(lambda: follower.node.get_clock().now().nanoseconds >= last)
    listener.wait_for(lambda: nanoseconds(listener.received["/clock"][-1].clock) >= last)
    times = [nanoseconds(clock.clock) for clock in listener.received["/clock"]]
    assert times[0] == START
    assert all(later >= earlier for earlier, later in pairwise(times))
    # Twice as many as frames: it ticks between the messages too.
    assert len(set(times)) > 2 * FRAMES
    assert [stamp_of(image) for image in listener.received[COMPRESSED]] == [
        START + i * STEP for i in range(FRAMES)
    ]


@pytest.mark.parametrize("with_clock", [True, False])
def test_clock_follows_stamps_of_a_simulation(
    listener: Listener, bag: Path, tmp_path: Path, with_clock: bool
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
    listener.listen(Clock, "/clock")
    listener.listen(CompressedImage, COMPRESSED)
    output = listener.play(tmp_path / "bag", "--rate", 2, "--clock")
    assert ("the recorded /clock" in output) == with_clock
    listener.wait_for(lambda: len(listener.received[COMPRESSED]) == FRAMES)
    times = [nanoseconds(clock.clock) for clock in listener.received["/clock"]]
    assert times == sorted(times)
    assert times[0] == 5 * 10**9
    if with_clock:
        assert set(times) == {5 * 10**9 + index * STEP // 2 for index in range(FRAMES)}
    else:
        assert 5 * 10**9 < times[-1] <= 5 * 10**9 + FRAMES * STEP


def test_what_the_node_makes_itself_is_not_played_on_top_of_it(listener: Listener, tmp_path: Path) -> None:
    label = "/camera/front/segmentation/label/compressed"
    with BagWriter(tmp_path / "bag") as writer:
        for index in range(3):
            for topic in (COMPRESSED, label):
                writer.write_image(topic, START + index * STEP, "cam", picture(index), format="png")
    for topic in (COMPRESSED, label):
        listener.listen(CompressedImage, topic)
    node = f"/{listener.graph.node.get_name()}"
    assert f"not played, since {node} makes its own: {label}" in listener.play(
        tmp_path / "bag", "--wait-for-node", node
    )
    listener.wait_for(lambda: len(listener.received[COMPRESSED]) == 3)
    assert not listener.received[label]
    listener.play(tmp_path / "bag")
    listener.wait_for(lambda: len(listener.received[label]) == 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_loop_starts_again_with_the_recorded_time_until_it_is_stopped(
    listener: Listener, bag: Path, number: signal.Signals
) -> None:
    listener.listen(Clock, "/clock")
    listener.listen(CompressedImage, COMPRESSED)
    player = listener.start(bag, "--rate", 4, "--loop", "--clock")
    listener.wait_for(lambda: len(listener.received[COMPRESSED]) > 3 * FRAMES)
    assert player.stop(number) == 0
    assert "Traceback" not in player.text
    stamps = [stamp_of(image) for image in listener.received[COMPRESSED]]
    assert stamps == [START + index % FRAMES * STEP for index in range(len(stamps))]
    times = [nanoseconds(clock.clock) for clock in listener.received["/clock"]]
    jumps = [later - earlier for earlier, later in pairwise(times) if later < earlier]
    assert len(jumps) >= 3
    # Back by a lap, less what passed on a busy computer since the last tick, not by some jitter.
    assert all(jump < -FRAMES * STEP // 2 for jump in jumps)


def test_a_single_frame_in_a_loop_has_a_period(listener: Listener, tmp_path: Path) -> None:
    with BagWriter(tmp_path / "still") as writer:
        writer.write_image(CAMERA, START, "cam", picture(0))
    listener.listen(Clock, "/clock")
    listener.listen(Image, CAMERA)
    player = listener.start(tmp_path / "still", "--loop", "--clock")
    listener.wait_for(lambda: len(listener.received[CAMERA]) > 3)
    assert player.stop(signal.SIGINT) == 0
    times = [nanoseconds(clock.clock) - START for clock in listener.received["/clock"]]
    assert max(times) > 5 * 10**7, "without a period the clock stands still and frames flood the graph"


def test_decompress_publishes_the_decoded_image_beside_the_compressed_one(
    listener: Listener, bag: Path
) -> None:
    listener.listen(Image, CAMERA)
    listener.listen(CompressedImage, COMPRESSED)
    listener.play(bag, "--rate", 2, "--decompress")
    listener.wait_for(lambda: len(listener.received[CAMERA]) == len(listener.received[COMPRESSED]) == FRAMES)
    for index, image in enumerate(listener.received[CAMERA]):
        assert stamp_of(image) == START + index * STEP
        assert (image.header.frame_id, image.encoding, image.height, image.width, image.step) == (
            "cam", "rgb8", 48, 64, 192,
        )  # fmt: skip
        np.testing.assert_array_equal(np.frombuffer(image.data, np.uint8).reshape(48, 64, 3), picture(index))


def test_stamp_now_moves_all_stamps_by_the_same_amount(listener: Listener, bag: Path) -> None:
    listener.listen(CompressedImage, COMPRESSED)
    listener.listen(CompressedImage, TRUTH)
    before = time.time_ns()
    listener.play(bag, "--stamp", "now", "--rate", 2)
    after = time.time_ns()
    listener.wait_for(lambda: len(listener.received[TRUTH]) == len(listener.received[COMPRESSED]) == FRAMES)
    stamps = [stamp_of(image) for image in listener.received[COMPRESSED]]
    assert stamps == [stamp_of(truth) for truth in listener.received[TRUTH]]
    assert before < stamps[0] <= stamps[-1] < after
    assert {later - earlier for earlier, later in pairwise(stamps)} == {STEP // 2}
    images = [
        messages.decode_image(messages_of(image), messages.COMPRESSED_IMAGE)
        for image in listener.received[COMPRESSED]
    ]
    np.testing.assert_array_equal(images, [picture(index) for index in range(FRAMES)])


def messages_of(image: CompressedImage) -> bytes:
    from rclpy.serialization import serialize_message

    return bytes(serialize_message(image))


def test_a_type_that_is_not_installed_is_left_out(listener: Listener, tmp_path: Path) -> None:
    from rosbags.typesys import get_types_from_msg

    messages.typestore().register(get_types_from_msg("int32 value", "nobody_msgs/msg/Number"))
    with BagWriter(tmp_path / "bag") as writer:
        writer.write("/number", "nobody_msgs/msg/Number", START, b"\0\1\0\0\1\0\0\0")
        writer.write_image(CAMERA, START + STEP, "cam", picture(0))
    listener.listen(Image, CAMERA)
    output = listener.play(tmp_path / "bag")
    assert "nobody_msgs/msg/Number is not installed" in output
    listener.wait_for(lambda: len(listener.received[CAMERA]) == 1)


def test_an_image_that_cannot_be_decoded_is_reported_and_the_rest_is_played(
    listener: Listener, tmp_path: Path
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
    listener.listen(Image, CAMERA)
    assert "not published: the picture starts with 6e 6f 20 6a" in listener.play(
        tmp_path / "bag", "--decompress"
    )
    listener.wait_for(lambda: len(listener.received[CAMERA]) == 1)


def test_a_bag_that_is_damaged_in_the_middle_is_played_up_to_there(
    listener: Listener, tmp_path: Path
) -> None:
    with BagWriter(tmp_path / "bag") as writer:
        for index in range(300):
            writer.write_image(CAMERA, START + index * 10**6, "cam", picture(index))
    (file,) = (tmp_path / "bag").glob("*.mcap")
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    file.write_bytes(content)
    player = listener.start(tmp_path / "bag", "--wait-for-subscribers", 0)
    assert player.wait() == 2
    assert "damaged after" in player.text
    assert "Traceback" not in player.text


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
