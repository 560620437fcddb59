"""The launch file: what it decides, what it refuses, and how everything ends."""

from __future__ import annotations

import os
import shutil
import signal
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("rosbags", reason="needs rosbags")

from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.errors import BagError, ConfigError
from squeeze_segnet_ros.ros.launching import (
    RVIZ_CAMERA,
    BagPlan,
    Plan,
    complaints_about_unknown,
    join_namespaces,
    make_plan,
    names_in,
    plan_bag,
)
from squeeze_segnet_ros.ros.parameter_file import ParameterFile
from support.processes import Running

ROOT = Path(__file__).parents[2]
PARAMS_FILE = ROOT / "config" / "segnet.yaml"
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
    assert ParameterFile(file).parameters("/segnet") == {
        "model": "enet",
        "qos.depth": 3,
        "qos.reliability": "auto",
    }


def test_parameters_for_another_node_are_none_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        "other:\n  ros__parameters: {model: enet}\ncar:\n  segnet:\n    ros__parameters: {device: cpu}\n"
    )
    assert ParameterFile(file).parameters("/segnet") == {}
    assert ParameterFile(file).parameters("/car/segnet") == {"device": "cpu"}


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), ("a: [", "is not YAML"), ("- a", "holds no parameters")],
)
def test_bad_parameter_files(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "params.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=words):
        ParameterFile(file)


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


# From the arguments to a plan

ARGUMENTS = {
    "cameras": "",
    "transport": "",
    "model": "",
    "weights": "",
    "device": "",
    "precision": "",
    "bag": "",
    "namespace": "",
    "use_sim_time": "",
    "params_file": str(PARAMS_FILE),
    "rate": "1.0",
    "loop": "false",
    "rviz": "false",
    "view": "false",
    "record": "",
    "name": "segnet",
    "respawn": "false",
    "log_level": "info",
}


def planned(pushed: str | None = None, **arguments: str) -> Plan:
    return make_plan({**ARGUMENTS, **arguments}, PARAMS_FILE, pushed)


def parameter_file(folder: Path, content: str) -> str:
    file = folder / "params.yaml"
    file.write_text(content)
    return str(file)


def test_a_plan_without_arguments_leaves_all_to_the_file() -> None:
    plan = planned()
    assert (plan.node, plan.parameters, plan.remarks, plan.bag) == ("/segnet", {}, (), None)
    assert plan.cameras == (FRONT,)


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", "yes", "on"])
def test_truth_values_in_any_case(text: str) -> None:
    plan = planned(use_sim_time=text, rviz=text, respawn=text)
    assert plan.parameters == {"use_sim_time": True} and plan.rviz and plan.respawn
    assert planned(use_sim_time="False").parameters == {"use_sim_time": False}


def test_choices_in_any_case() -> None:
    plan = planned(log_level="DEBUG", precision="FP16", transport="Compressed")
    assert plan.log_level == "debug"
    assert plan.parameters == {"precision": "fp16", "transport": "compressed"}


@pytest.mark.parametrize(
    "name", ["use_sim_time", "rviz", "loop", "respawn", "log_level", "precision", "transport"]
)
def test_values_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is 'maybe': give "):
        planned(**{name: "maybe"})


@pytest.mark.parametrize(
    ("pushed", "namespace", "node"),
    [
        (None, "", "/segnet"),
        (None, "car", "/car/segnet"),
        (None, "/car/", "/car/segnet"),
        ("/robot1", "", "/robot1/segnet"),
        ("robot1", "car", "/robot1/car/segnet"),
        ("/robot1", "/car", "/car/segnet"),
    ],
)
def test_the_namespace_that_is_in_force(pushed: str | None, namespace: str, node: str) -> None:
    plan = planned(pushed, namespace=namespace)
    assert plan.node == node
    assert plan.logger == node[1:].replace("/", ".")


def test_a_section_for_the_node_in_its_namespace_counts(tmp_path: Path) -> None:
    file = parameter_file(tmp_path, "/robot1/eyes:\n  ros__parameters: {cameras: [cam/image_raw]}\n")
    plan = planned("robot1", name="eyes", params_file=file)
    assert plan.remarks == ()
    assert plan.cameras == ("/robot1/cam/image_raw",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "segnet_node:\n  ros__parameters: {device: cpu}\n",
            "sections for /segnet_node, but this node is /segnet",
        ),
        ("/robot1/segnet:\n  ros__parameters: {}\n", "sections for /robot1/segnet, but this node is /segnet"),
        ("segnet:\n  device: cpu\n", "no 'ros__parameters:' below segnet"),
        ("device: cpu\nmodel: enet\n", "no 'ros__parameters:' below device, model"),
    ],
)
def test_a_file_that_holds_nothing_for_this_node_is_told(tmp_path: Path, content: str, words: str) -> None:
    (remark,) = planned(params_file=parameter_file(tmp_path, content)).remarks
    assert words in remark and "'/segnet" in remark


@pytest.mark.parametrize(
    ("given", "included", "words"),
    [
        (["bogus"], False, "unknown argument 'bogus' is ignored: there are cameras, device"),
        (["camera"], False, "did you mean 'cameras'?"),
        (["camera"], True, "did you mean 'cameras'?"),
        (["bogus", "map", "ros_namespace"], True, ""),
        (["cameras", "device"], False, ""),
    ],
)
def test_arguments_that_nobody_knows(given: list[str], included: bool, words: str) -> None:
    lines = complaints_about_unknown(given, ["cameras", "device"], included)
    assert len(lines) == bool(words)
    assert words in "".join(lines)


def test_rviz_shows_the_first_camera_of_the_file(tmp_path: Path) -> None:
    file = parameter_file(tmp_path, "/**:\n  ros__parameters: {cameras: [/left/image, /right/image]}\n")
    remappings = dict(planned(params_file=file, rviz="true").rviz_remappings)
    assert remappings[RVIZ_CAMERA] == "/left/image"
    assert remappings["/camera/front/segmentation/overlay"] == "/left/segmentation/overlay"


def test_rviz_follows_the_namespace_and_outputs_that_bear_their_cameras_name() -> None:
    plan = planned(namespace="robot1", cameras="cam0,cam1")
    remappings = dict(plan.rviz_remappings)
    assert remappings[RVIZ_CAMERA] == "/robot1/cam0"
    assert remappings["/camera/front/segmentation/label"] == "/robot1/cam0/segmentation/label"


@pytest.mark.parametrize(
    ("record", "words"), [("there", "exists already"), ("file/new", "is no folder that may be written to")]
)
def test_a_recording_that_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, record: str, words: str
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"record: {tmp_path / record} .*{words}"):
        planned(record=str(tmp_path / record))
    assert planned(record=str(tmp_path / "drives" / "new")).record == str(tmp_path / "drives" / "new")


def test_names_below_the_node_s_own() -> None:
    plan = planned("robot1", cameras="~/image_raw", name="eyes")
    assert plan.parameters["cameras"] == ["~/image_raw"]
    assert (plan.cameras, plan.outputs) == (("/robot1/eyes/image_raw",), ("/robot1/eyes/segmentation",))


def test_the_rviz_file_shows_what_is_remapped_and_nothing_else() -> None:
    file = yaml.safe_load((ROOT / "rviz" / "segnet.rviz").read_text())
    shown = [display["Topic"]["Value"] for display in file["Visualization Manager"]["Displays"]]
    assert len(shown) == len(set(shown)) == 3
    assert set(shown) <= dict(planned().rviz_remappings).keys()


def test_paths_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_bag(tmp_path / "drive", raw=(FRONT,))
    parameter_file(tmp_path, "/**:\n  ros__parameters: {}\n")
    plan = planned(params_file="~/params.yaml", bag="~/drive", weights="~/w.safetensors", model="~/net.yaml")
    assert plan.params_file == tmp_path / "params.yaml"
    assert plan.player[0] == str(tmp_path / "drive")
    assert plan.parameters["weights"] == str(tmp_path / "w.safetensors")
    assert plan.parameters["model"] == str(tmp_path / "net.yaml")


def test_namespaces_are_joined_as_launch_ros_joins_them() -> None:
    assert [join_namespaces(*pair) for pair in ((None, ""), ("a", "b"), ("/a/", "/b"))] == ["/", "/a/b", "/b"]


# What it does


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", compressed=(FRONT,), frames=FRAMES)


@pytest.fixture(scope="module")
def weights(untrained: Callable[..., Path]) -> Path:
    pytest.importorskip("torch", reason="needs PyTorch")
    return untrained()


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


@pytest.mark.graph
def test_its_arguments(ros2: list[str]) -> None:
    with Running([*ros2, "--show-args"]) as run:
        assert run.wait() == 0
    for name in ARGUMENTS:
        assert f"'{name}'" in run.text


@pytest.mark.graph
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


@pytest.mark.graph
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


@pytest.mark.graph
def test_a_bag_is_labelled_frame_by_frame_and_everything_ends(
    ros2: list[str], bag: Path, weights: Path, quick: str, graph: Any
) -> None:
    from sensor_msgs.msg import Image

    from reliability.graph import stamp_of

    with open_bag(bag) as recorded:
        frames = [messages.stamp_ns(message.data) for message in recorded.messages([f"{FRONT}/compressed"])]
    labels = graph.listen(Image, "/camera/front/segmentation/label")
    with Running([*ros2, quick, f"bag:={bag}", f"weights:={weights}", "rate:=0.5"]) as run:
        assert run.wait() == 0, run.text
        assert run.left_behind() == []
    assert "Traceback" not in run.text
    assert f"{FRAMES} received, {FRAMES} labelled" in run.text
    graph.wait_for(lambda: len(labels) == FRAMES, "the last label")
    assert [stamp_of(label) for label in labels] == frames
    assert {label.header.frame_id for label in labels} == {"camera"}
    assert {(m.width, m.height) for m in labels} == {(96, 64)}


@pytest.mark.graph
def test_included_in_a_namespace_with_a_bag_that_nobody_watches(
    ros2: list[str], bag: Path, weights: Path, quick: str, tmp_path: Path
) -> None:
    outer = tmp_path / "outer.launch.py"
    arguments = {
        "bag": str(bag),
        "weights": str(weights),
        "params_file": quick.partition(":=")[2],
        "rate": "3.0",
        "camera": "/x",
        "use_sim_time": "True",
        "log_level": "WARN",
    }
    outer.write_text(
        textwrap.dedent(f"""
        from launch import LaunchDescription
        from launch.actions import GroupAction, IncludeLaunchDescription
        from launch.launch_description_sources import PythonLaunchDescriptionSource
        from launch.substitutions import PathJoinSubstitution
        from launch_ros.actions import PushROSNamespace
        from launch_ros.substitutions import FindPackageShare

        def generate_launch_description():
            path = [FindPackageShare("squeeze_segnet_ros"), "launch", "segnet.launch.py"]
            include = IncludeLaunchDescription(
                PythonLaunchDescriptionSource(PathJoinSubstitution(path)),
                launch_arguments={arguments!r}.items(),
            )
            return LaunchDescription([GroupAction([PushROSNamespace("robot1"), include])])
        """)
    )
    with Running(["ros2", "launch", outer]) as run:
        assert run.wait() == 0, run.text
        assert run.left_behind() == []
    assert "Traceback" not in run.text
    assert "nobody listens to /camera/front/segmentation/*, so nothing will be labelled" in run.text
    assert "finished: published" in run.text
    assert "unknown argument 'camera' is ignored: did you mean 'cameras'?" in run.text
    assert "[robot1.segnet]" not in run.text  # it logs nothing below a warning


@pytest.mark.graph
def test_waiting_for_a_node_that_is_not_there_has_a_word_and_an_end(
    ros2: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import rclpy

    from squeeze_segnet_ros.ros import lifecycle_client

    monkeypatch.setattr(lifecycle_client, "APPEAR_SECONDS", 0.5)
    monkeypatch.setattr(lifecycle_client, "_WORD_SECONDS", 0.2)
    context = rclpy.Context()
    context.init()
    node = rclpy.create_node("asking", context=context)
    try:
        with pytest.raises(lifecycle_client.NoAnswer, match="there is no node /nobody after 1 s"):
            lifecycle_client.wait_until_active(node, "/nobody")
    finally:
        node.destroy_node()
        context.try_shutdown()
    assert "waiting for the node /nobody to appear: 0 s" in capsys.readouterr().out


@pytest.mark.graph
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
