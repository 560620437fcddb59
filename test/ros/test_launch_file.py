"""The launch file: what it decides, what it refuses, and how everything ends."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs rosbags")

from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.errors import BagError, ConfigError
from squeeze_segnet_ros.ros.launching import BagPlan, names_in, parameters_in, plan_bag
from support.processes import Running

FRONT, REAR = "/camera/front/image_raw", "/camera/rear/image_raw"
TRUTH = "/camera/front/label_truth"
START = 1_700_000_000 * 10**9
FRAMES = 12
RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


Topics = tuple[str, ...]


def write_bag(path: Path, raw: Topics = (), compressed: Topics = (), frames: int = 1) -> Path:
    with BagWriter(path) as bag:
        for i in range(frames):
            pixels = np.random.default_rng(i).integers(0, 255, (64, 96, 3), np.uint8)
            stamp = START + i * 100_000_000
            for camera in raw:
                bag.write_image(camera, stamp, "camera", pixels)
            for camera in compressed:
                bag.write_image(f"{camera}/compressed", stamp, "camera", pixels, format="png")
                bag.write_camera_info(camera.replace("image_raw", "camera_info"), stamp, "camera", 96, 64)
            bag.write_image(TRUTH, stamp, "camera", pixels[..., 0], format="png")
    return path


# What it decides


@pytest.mark.parametrize(
    ("text", "names"),
    [("", ()), ("/a", ("/a",)), ("/a, /b", ("/a", "/b")), ("['/a', \"/b\"]", ("/a", "/b"))],
)
def test_topics_in_an_argument(text: str, names: tuple[str, ...]) -> None:
    assert names_in(text) == names


@pytest.mark.parametrize(
    "head",
    ["/**:\n", "/segnet:\n", "segnet:\n", "/**/segnet:\n", "/*:\n"],
)
def test_parameters_for_a_node_in_a_file(tmp_path: Path, head: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        f"{head}  ros__parameters:\n    model: enet\n    qos:\n      depth: 3\n    qos.reliability: auto\n"
    )
    assert parameters_in(file, "/segnet") == {"model": "enet", "qos.depth": 3, "qos.reliability": "auto"}


def test_parameters_for_another_node_are_none_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        "other:\n  ros__parameters: {model: enet}\ncar:\n  segnet:\n    ros__parameters: {device: cpu}\n"
    )
    assert parameters_in(file, "/segnet") == {}
    assert parameters_in(file, "/car/segnet") == {"device": "cpu"}


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), ("a: [", "is not YAML"), ("- a", "holds no parameters")],
)
def test_bad_parameter_files(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "params.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=words):
        parameters_in(file, "/segnet")


def test_depth_is_left_out_with_a_word_unless_it_is_asked_for(tmp_path: Path) -> None:
    depth = messages.raw_message(np.zeros((48, 64), np.uint16), messages.make_header(10**9, "cam"))
    depth.encoding = "16UC1"
    path = write_bag(tmp_path / "bag", (FRONT,))
    with open_bag(path) as bag:
        recorded = list(bag.messages())
    with BagWriter(tmp_path / "with depth") as writer:
        for message in recorded:
            writer.write(message.topic, message.type, message.timestamp_ns, message.data)
        writer.write("/depth/image_rect", RAW, 10**9, messages.serialize(depth))
    plan = plan_bag(str(tmp_path / "with depth"))
    assert plan.cameras == (FRONT,)
    assert "/depth/image_rect (16UC1: a depth image); cameras:=TOPIC asks for one" in plan.note
    assert plan_bag(str(tmp_path / "with depth"), ("/depth/image_rect",)).cameras == ("/depth/image_rect",)


@pytest.mark.parametrize(
    ("raw", "compressed", "asked", "plan"),
    [
        ((FRONT,), (), {}, BagPlan((FRONT,), "raw", False)),
        ((), (FRONT, REAR), {}, BagPlan((FRONT, REAR), "compressed", False)),
        ((), (FRONT,), {"show": True}, BagPlan((FRONT,), "raw", True)),
        ((), (FRONT,), {"transport": "raw"}, BagPlan((FRONT,), "raw", True)),
        ((FRONT,), (REAR,), {}, BagPlan((FRONT, REAR), "raw", True)),
        ((FRONT,), (REAR,), {"wanted": (FRONT,)}, BagPlan((FRONT,), "raw", False)),
        ((), (FRONT, REAR), {"wanted": ("camera/rear/image_raw",)}, BagPlan((REAR,), "compressed", False)),
    ],
)
def test_plans_for_bags(tmp_path: Path, raw: Topics, compressed: Topics, asked: dict, plan: BagPlan) -> None:
    assert plan_bag(str(write_bag(tmp_path / "bag", raw, compressed)), **asked) == plan


@pytest.mark.parametrize(
    ("raw", "asked", "words"),
    [
        ((FRONT,), {"wanted": (REAR,)}, f"no camera {REAR} in this bag: it has {FRONT}"),
        ((FRONT,), {"transport": "compressed"}, "set transport to raw"),
        ((), {}, "no camera"),
    ],
)
def test_bags_without_what_was_asked_for(tmp_path: Path, raw: Topics, asked: dict, words: str) -> None:
    with pytest.raises(BagError, match=words):
        plan_bag(str(write_bag(tmp_path / "bag", raw)), **asked)


# What it does


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", compressed=(FRONT,), frames=FRAMES)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="needs PyTorch")
    from squeeze_segnet_ros import models
    from squeeze_segnet_ros.models import weights as files

    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    files.save(path, models.build("squeeze_segnet"), files.WeightsMetadata("squeeze_segnet"))
    return path


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a parameter file for a small network input."""
    file = tmp_path_factory.mktemp("config") / "quick.yaml"
    file.write_text("/**:\n  ros__parameters: {device: cpu, input_size: [64, 96]}\n")
    return f"params_file:={file}"


@pytest.fixture(scope="module")
def ros2() -> list[str]:
    pytest.importorskip("rclpy", reason="needs ROS 2")
    if not shutil.which("ros2"):
        pytest.skip("there is no ros2 command")
    return ["ros2", "launch", "squeeze_segnet_ros", "segnet.launch.py"]


def test_its_arguments(ros2: list[str]) -> None:
    with Running([*ros2, "--show-args"]) as run:
        assert run.wait() == 0
    wanted = "params_file cameras model weights device precision bag rate loop rviz namespace"
    for name in [*wanted.split(), "use_sim_time", "respawn", "log_level"]:
        assert f"'{name}'" in run.text


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("bag:=/no/such/bag", "/no/such/bag"),
        ("params_file:=/no/such.yaml", "params_file /no/such.yaml cannot be read"),
        ("bag:={empty}", "{empty}"),
        ("bag:={bag} rate:=fast", "rate is 'fast': give a number above 0"),
        ("bag:={bag} cameras:=/other/image_raw", f"no camera /other/image_raw in this bag: it has {FRONT}"),
    ],
)
def test_bad_input_is_one_line_before_anything_starts(
    ros2: list[str], bag: Path, tmp_path: Path, argument: str, words: str
) -> None:
    values = {"bag": bag, "empty": tmp_path}
    with Running([*ros2, *(part.format(**values) for part in argument.split())]) as run:
        assert run.wait() != 0
    assert len([line for line in run.lines if words.format(**values) in line]) == 1, run.text
    assert "Traceback" not in run.text
    assert "process started" not in run.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model:=unet"], "unknown model 'unet': choose one of"),
        (["weights:=/no/such.safetensors"], "no weights file at /no/such.safetensors"),
        (["device:=tpu"], "unknown device 'tpu': choose"),
    ],
)
def test_a_node_that_cannot_start_ends_the_launch(ros2: list[str], arguments: list[str], words: str) -> None:
    with Running([*ros2, *arguments]) as run:
        assert run.wait() != 0
        assert run.left_behind() == []
    assert len([line for line in run.lines if words in line]) == 1, run.text
    assert "Traceback" not in run.text


def test_a_bag_is_labelled_frame_by_frame_and_everything_ends(
    ros2: list[str], bag: Path, weights: Path, quick: str, ros_domain_id: int
) -> None:
    from sensor_msgs.msg import Image

    from reliability.graph import Graph, stamp_of

    with open_bag(bag) as recorded:
        frames = [messages.stamp_ns(message.data) for message in recorded.messages([f"{FRONT}/compressed"])]
    graph = Graph()
    try:
        labels = graph.listen(Image, "/camera/front/segmentation/label")
        with Running([*ros2, quick, f"bag:={bag}", f"weights:={weights}", "rate:=0.5"]) as run:
            assert run.wait() == 0, run.text
            assert run.left_behind() == []
        assert "Traceback" not in run.text
        assert f"{FRAMES} received, {FRAMES} labelled" in run.text
        graph.wait_for(lambda: len(labels) == FRAMES, "the last label")
        assert [stamp_of(label) for label in labels] == [divmod(frame, 10**9) for frame in frames]
        assert {label.header.frame_id for label in labels} == {"camera"}
        assert {(m.width, m.height) for m in labels} == {(96, 64)}
    finally:
        graph.close()


def test_ctrl_c_ends_everything(ros2: list[str], weights: Path, quick: str) -> None:
    folders = [
        folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder, "rviz2").exists()
    ]
    command = [*ros2, f"weights:={weights}", "namespace:=car", "rviz:=true"]
    with Running(command, PATH=os.pathsep.join(folders)) as run:
        run.wait_for_line("listening to")
        run.send(signal.SIGINT, to_all=True)
        assert run.wait(5.0) == 0, run.text
        assert run.left_behind() == []
    assert "rviz2 is not installed: sudo apt install ros-" in run.text
    assert "[car.segnet]" in run.text
    assert "Traceback" not in run.text
