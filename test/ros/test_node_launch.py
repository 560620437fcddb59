"""The node in a real graph: what goes in, what comes out, and what it refuses."""

# ruff: noqa: E402 (what needs ROS comes after it was looked for)
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
launch_pytest = pytest.importorskip("launch_pytest", reason="needs launch_pytest")

from diagnostic_msgs.msg import DiagnosticStatus
from launch import LaunchDescription
from launch_pytest.actions import ReadyToTest
from launch_ros.actions import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from squeeze_segnet_ros.msg import SegmentationStats
from vision_msgs.msg import LabelInfo

from reliability.graph import LATCHED, Camera, Graph, picture, stamp_of
from squeeze_segnet_ros.classes import CAMVID, UNLABELLED
from squeeze_segnet_ros.ros.config import settings
from squeeze_segnet_ros.topics import OUTPUTS
from support.policy import allowed
from support.ros2_command import run

FRONT, REAR = "/camera/front/image_raw", "/camera/rear/image_raw"
OUTPUT = "/camera/front/segmentation"
MODEL = "squeeze_segnet"


@pytest.fixture(scope="module")
def weights(untrained: Callable[..., Path]) -> list[Path]:
    return [untrained(MODEL, seed) for seed in range(2)]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread: untrained networks have many ties, and several do not always add in one order."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        yield


@launch_pytest.fixture(scope="module")
def running_node(weights: list[Path], one_thread: None) -> LaunchDescription:
    node = Node(
        package="squeeze_segnet_ros",
        executable="segnet_node",
        name="segnet",
        parameters=[
            {
                "cameras": [FRONT, REAR],
                "weights": str(weights[0]),
                "device": "cpu",
                "precision": "fp32",
                "input_size": [64, 96],
            }
        ],
        output="screen",
    )
    return LaunchDescription([node, ReadyToTest()])


@pytest.fixture(scope="module")
def launched(running_node: LaunchDescription, observer: Graph) -> dict[str, object]:
    """Return the parameters that the node was launched with."""
    observer.wait_until("active")
    return observer.values(*(setting.name for setting in settings()))


@pytest.fixture(autouse=True)
def as_launched(observer: Graph, launched: dict[str, object]) -> None:
    """Let each test begin with the node as it was launched, wherever the one before has left it."""
    observer.bring_to(launched)


@pytest.fixture(scope="module")
def front(launched: dict[str, object], observer: Graph) -> Camera:
    return observer.camera(FRONT)


@pytest.fixture(scope="module")
def rear(launched: dict[str, object], observer: Graph) -> Camera:
    return observer.camera(REAR)


@pytest.fixture
def labels(graph: Graph) -> list[Image]:
    """Return the label images of the front camera."""
    return graph.listen(Image, f"{OUTPUT}/label")


def array(message: Image) -> np.ndarray:
    assert len(message.data) == message.step * message.height
    pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


pytestmark = [pytest.mark.graph, pytest.mark.launch(fixture=running_node)]


def test_outputs_have_their_types(graph: Graph, front: Camera) -> None:
    types = {
        f"{base}/{output.name}": [output.type]
        for base in (OUTPUT, "/camera/rear/segmentation")
        for output in OUTPUTS
    }
    assert types.items() <= graph.topics().items()


def test_the_security_policy_lists_what_the_node_does_and_no_more(graph: Graph, front: Camera) -> None:
    def listed(kind: str, right: str) -> set[str]:
        return allowed(kind, right, "/segnet", ("/camera/front", "/camera/rear"))

    published, subscribed, offered = graph.endpoints()
    assert published == listed("topics", "publish")
    assert offered == listed("services", "reply")
    other_settings = {"/clock", f"{FRONT}/compressed", f"{REAR}/compressed"}
    assert subscribed == listed("topics", "subscribe") - other_settings


def test_every_frame_gets_its_label(graph: Graph, front: Camera, labels: list[Image]) -> None:
    front.until_heard(labels, picture())
    labels.clear()
    sent = []
    for i in range(10):
        sent.append(front.send(picture(i, 64 + 8 * i, 96)))
        graph.wait_for(lambda i=i: len(labels) > i, f"label {i}")
    assert [message.header for message in labels] == sent
    assert [(m.height, m.width, m.encoding) for m in labels] == [(64 + 8 * i, 96, "mono8") for i in range(10)]
    assert all(set(np.unique(array(message))) <= set(range(len(CAMVID))) for message in labels)


def test_all_outputs_of_a_frame_agree(graph: Graph, front: Camera, labels: list[Image]) -> None:
    kinds = {
        "label/compressed": CompressedImage,
        "overlay": Image,
        "confidence": Image,
        "camera_info": CameraInfo,
        "stats": SegmentationStats,
    }
    heard = {name: graph.listen(kind, f"{OUTPUT}/{name}") for name, kind in kinds.items()}
    pixels = picture(3)

    def complete() -> dict | None:
        label = front.until_heard(labels, pixels)
        stamp = stamp_of(label)
        time.sleep(0.2)
        found = {name: [m for m in messages if stamp_of(m) == stamp] for name, messages in heard.items()}
        return {n: m[0] for n, m in found.items()} | {"label": label} if all(found.values()) else None

    out = graph.wait_for(complete, "every output of one frame")
    label = array(out["label"])
    assert {message.header.frame_id for message in out.values()} == {"camera_optical_frame"}
    png = cv2.imdecode(np.frombuffer(out["label/compressed"].data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(png, label)
    blended = (pixels.astype(int) + CAMVID.palette[label]) / 2
    assert out["overlay"].encoding == "rgb8"
    np.testing.assert_allclose(array(out["overlay"]), blended, atol=1)
    assert array(out["confidence"]).shape == label.shape
    assert (out["camera_info"].width, out["camera_info"].height) == (96, 64)
    stats = out["stats"]
    assert list(stats.class_pixels) == np.bincount(label.ravel(), minlength=len(CAMVID)).tolist()
    assert (stats.camera, stats.model, stats.device, stats.precision) == (FRONT, MODEL, "cpu", "fp32")
    assert 0 < stats.network_time < stats.latency
    dropped = sum(getattr(stats, f) for f in stats.get_fields_and_field_types() if f.startswith("dropped_"))
    assert (
        stats.frames_received
        == stats.frames_labelled + stats.frames_unwatched + stats.frames_waiting + dropped
    )


def test_encodings_mean_the_same(graph: Graph, front: Camera, labels: list[Image]) -> None:
    rgb = picture(5)
    alpha = np.full(rgb.shape[:2], 9, np.uint8)
    reference = array(front.until_heard(labels, rgb))
    variants = {
        "bgr8": rgb[..., ::-1],
        "rgba8": np.dstack([rgb, alpha]),
        "bgra8": np.dstack([rgb[..., ::-1], alpha]),
    }
    for encoding, pixels in variants.items():
        got = array(front.until_heard(labels, np.ascontiguousarray(pixels), encoding))
        np.testing.assert_array_equal(got, reference, err_msg=encoding)
    gray = np.ascontiguousarray(rgb[..., 0])
    np.testing.assert_array_equal(
        array(front.until_heard(labels, gray, "mono8")),
        array(front.until_heard(labels, np.dstack([gray] * 3))),
    )


def test_a_late_subscriber_gets_label_info(graph: Graph, front: Camera) -> None:
    heard = graph.listen(LabelInfo, f"{OUTPUT}/label_info", LATCHED)
    info = graph.wait_for(lambda: heard and heard[0], "label_info")
    assert [(c.class_id, c.class_name) for c in info.class_map] == [(c.id, c.name) for c in CAMVID.classes]
    assert info.threshold == 0.0


def test_nothing_is_computed_when_nobody_listens(graph: Graph, front: Camera) -> None:
    graph.wait_for(
        lambda: graph.subscribers(f"{OUTPUT}/label") == 0, "the end of the other tests' subscriptions"
    )
    time.sleep(0.5)
    before = graph.counts(FRONT)
    for i in range(5):
        front.send(picture(i))
        time.sleep(0.05)
    after = graph.wait_for(
        lambda: (c := graph.counts(FRONT))["unwatched"] == before["unwatched"] + 5 and c, "5 unwatched frames"
    )
    assert after["labelled"] == before["labelled"]


def test_bad_frames_are_counted_and_the_good_ones_between_them_labelled(
    graph: Graph, front: Camera, labels: list[Image]
) -> None:
    front.until_heard(labels, picture())
    before = graph.counts(FRONT)
    bad = [{"step": 1}, {"height": 9999}, {"encoding": "nonsense"}, {"width": 0}, {"data": b"short"}]
    for i, changes in enumerate(bad):
        front.send(picture(i), **changes)
        time.sleep(0.05)
        front.until_heard(labels, picture(i))
    front.send(picture(0, 16, 16))
    after = graph.wait_for(
        lambda: (c := graph.counts(FRONT))["invalid"] == before["invalid"] + len(bad) + 1 and c,
        "invalid frames",
    )
    assert after["labelled"] >= before["labelled"] + len(bad)


def test_old_frames_are_dropped(graph: Graph, front: Camera, labels: list[Image]) -> None:
    front.until_heard(labels, picture())
    before = graph.counts(FRONT)["too_old"]
    assert graph.set(max_age=5) == ""
    old = front.send(picture(), age=10.0)
    graph.wait_for(lambda: graph.counts(FRONT)["too_old"] == before + 1, "a frame dropped as too old")
    assert old not in [message.header for message in labels]
    assert graph.set(max_age=0.0) == ""


def test_overload_drops_are_counted_exactly_and_shared(
    graph: Graph, front: Camera, rear: Camera, labels: list[Image]
) -> None:
    behind = graph.listen(Image, "/camera/rear/segmentation/label")
    front.until_heard(labels, picture())
    rear.until_heard(behind, picture())
    before = [graph.counts(topic) for topic in (FRONT, REAR)]
    for i in range(150):
        front.send(picture(i, 192, 256))
        rear.send(picture(i, 192, 256))

    def settled() -> list[dict[str, int]] | None:
        now = [graph.counts(topic) for topic in (FRONT, REAR)]
        done = all(
            n["received"] + n["lost"] == b["received"] + b["lost"] + 150 and not n["waiting"]
            for n, b in zip(now, before, strict=True)
        )
        return now if done else None

    after = graph.wait_for(settled, "the end of the overload")
    change = [{k: a[k] - b[k] for k in a} for a, b in zip(after, before, strict=True)]
    for camera in change:
        assert camera["received"] == camera["labelled"] + camera["replaced"]
        assert camera["replaced"] > 0
    labelled = [camera["labelled"] for camera in change]
    assert min(labelled) >= 0.8 * max(labelled) - 2, change


def test_dynamic_parameters(graph: Graph, front: Camera, labels: list[Image]) -> None:
    overlays = graph.listen(Image, f"{OUTPUT}/overlay")
    infos = graph.listen(LabelInfo, f"{OUTPUT}/label_info", LATCHED)
    pixels = picture(7)
    assert graph.set(overlay__alpha=0.0) == ""
    np.testing.assert_array_equal(array(front.until_heard(overlays, pixels)), pixels)
    assert graph.set(overlay__alpha=1.0) == ""
    label = array(front.until_heard(labels, pixels))
    np.testing.assert_array_equal(array(front.until_heard(overlays, pixels)), CAMVID.palette[label])
    shown = CAMVID.names[int(np.bincount(label.ravel()).argmax())]
    assert graph.set(shown_classes=[shown]) == ""
    partly = array(front.until_heard(overlays, pixels))
    is_shown = label == CAMVID.names.index(shown)
    np.testing.assert_array_equal(partly[is_shown], CAMVID.palette[label][is_shown])
    np.testing.assert_array_equal(partly[~is_shown], pixels[~is_shown])
    assert graph.set(min_confidence=1.0) == ""
    assert (array(front.until_heard(labels, pixels)) == UNLABELLED).mean() > 0.9
    graph.wait_for(lambda: infos and infos[-1].threshold == 1.0, "label_info with the new threshold")
    assert graph.set(min_confidence=0.0, overlay__alpha=0.5, shown_classes=["all"]) == ""
    assert (array(front.until_heard(labels, pixels)) != UNLABELLED).all()


def test_labels_have_the_size_that_was_asked_for(graph: Graph, front: Camera, labels: list[Image]) -> None:
    names = {"confidence": Image, "overlay": Image, "camera_info": CameraInfo}
    heard = {name: graph.listen(kind, f"{OUTPUT}/{name}") for name, kind in names.items()}
    pixels = picture(4)
    whole = array(front.until_heard(labels, pixels))
    assert graph.set(label_size=[32, 48]) == ""
    label = front.until_heard(labels, pixels)
    np.testing.assert_array_equal(array(label), whole[1::2, 1::2])

    def same_frame() -> dict[str, tuple[int, int]]:
        return {
            n: (m.height, m.width) for n, found in heard.items() for m in found if m.header == label.header
        }

    sizes = graph.wait_for(lambda: (s := same_frame()).keys() == names.keys() and s, "the other outputs")
    assert sizes == {"confidence": (32, 48), "overlay": (64, 96), "camera_info": (32, 48)}
    assert graph.set(label_size=[0, 0]) == ""


def test_label_info_comes_again_for_who_does_not_ask_for_what_is_kept(
    graph: Graph, front: Camera, labels: list[Image]
) -> None:
    # As Nav2's layer does: through a message filter that drops the durability.
    infos = graph.listen(LabelInfo, f"{OUTPUT}/label_info", 10)
    graph.wait_for(lambda: infos, "label_info without a frame")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"overlay__alpha": 1.5}, "overlay.alpha"),
        ({"overlay__alpha": "much"}, "expected a number"),
        ({"shown_classes": ["dragon"]}, "dragon"),
        ({"cameras": ["/other/image_raw"]}, "only while the node is unconfigured"),
        ({"device": "cuda"}, "only while the node is unconfigured"),
        ({"autostart": False}, "read-only"),
        ({"model": "unet"}, "unknown model 'unet'"),
        ({"model": "segnet_basic"}, "segnet_basic"),
        ({"weights": "/nowhere.safetensors"}, "no weights file at /nowhere.safetensors"),
        ({"max_age": 1.0, "min_confidence": 7.0}, "min_confidence"),
    ],
)
def test_bad_values_are_refused_and_the_old_stay(
    graph: Graph, front: Camera, values: dict, words: str
) -> None:
    names = [name.replace("__", ".") for name in values]
    before = [graph.get(name) for name in names]
    kinds = graph.types(*names)
    assert words in graph.set(**values)
    assert [graph.get(name) for name in names] == before
    assert graph.types(*names) == kinds


def test_new_weights_take_over_between_two_frames(
    graph: Graph, front: Camera, labels: list[Image], weights: list[Path]
) -> None:
    stats = graph.listen(SegmentationStats, f"{OUTPUT}/stats")
    front.until_heard(labels, picture())
    graph.wait_for(lambda: stats, "stats")
    old = stats[-1].weights_sha256
    labels.clear()
    answer = graph.start_set(weights=str(weights[1]))
    sent = []
    while not (answer.done() and len(labels) == len(sent)) or len(sent) < 5:
        sent.append(front.send(picture()))
        graph.wait_for(lambda: len(labels) == len(sent), "a label while the network changes")
    assert answer.result().result.reason == ""
    assert [message.header for message in labels] == sent, "a frame was lost"
    front.until_heard(labels, picture())
    graph.wait_for(lambda: stats[-1].weights_sha256 != old, "stats with the new weights")
    assert {s.weights_sha256 for s in stats} == {old, stats[-1].weights_sha256}
    assert graph.set(weights=str(weights[0])) == ""


def test_health_is_reported(graph: Graph, front: Camera, labels: list[Image]) -> None:
    front.until_heard(labels, picture())
    stop = time.monotonic() + 2.5
    while time.monotonic() < stop:
        front.send(np.zeros((64, 96, 3), np.uint8))
        time.sleep(0.05)
    status = graph.status(FRONT)
    assert status.level == DiagnosticStatus.ERROR
    assert "black" in status.message
    assert "frozen" in status.message


def test_diagnostics_name_the_network(graph: Graph, front: Camera, weights: list[Path]) -> None:
    status = graph.status("network")
    values = {v.key: v.value for v in status.values}
    assert (status.level, status.message) == (DiagnosticStatus.OK, "active")
    assert (values["model"], values["device"], values["weights"]) == (MODEL, "cpu", str(weights[0]))
    assert len(values["weights sha256"]) == 64
    assert float(values["memory MiB"]) > 0


def test_diagnostics_tell_of_each_camera(graph: Graph, front: Camera, labels: list[Image]) -> None:
    def values() -> dict[str, str]:
        return {v.key: v.value for v in graph.status(FRONT).values}

    for i in range(10):
        front.until_heard(labels, picture(i))
    found = values()
    for stage in ("waiting", "decode", "upload", "network", "download", "publish", "end_to_end"):
        p50, p95, p99 = (float(found[f"{stage} p{p} ms"]) for p in (50, 95, 99))
        assert 0 <= p50 <= p95 <= p99, stage
    assert float(found["network p50 ms"]) > 0
    # Each over its own last seconds: of a frame at their edge, its label may be in and its arrival out.
    assert float(found["rate in Hz"]) > 0
    assert float(found["rate labelled Hz"]) > 0
    for cause in ("replaced", "too_old", "invalid", "failed", "shutting_down"):
        assert int(found[f"dropped {cause}"]) >= 0
    graph.wait_for(lambda: "no frames arrive" in graph.status(FRONT).message, "a report of silence")
    assert graph.status(FRONT).level == DiagnosticStatus.WARN
    why = f"{FRONT} has 1 publisher, and nothing is received: it may be silent"
    graph.wait_for(lambda: why in graph.status(FRONT).message, "why")


def test_the_command_ros2_knows_the_node(graph: Graph, front: Camera) -> None:
    described = run("param", "describe", "/segnet", "overlay.alpha", "transport").text
    assert "Share of the class color in the overlay." in described
    assert "Min value: 0.0" in described and "Max value: 1.0" in described
    assert "one of raw, compressed" in described
    assert "only while the node is unconfigured" in described
    assert "out of range" in run("param", "set", "/segnet", "overlay.alpha", "2.0").text
    assert run("lifecycle", "get", "/segnet").text == "active [3]\n"
    assert run("lifecycle", "set", "/segnet", "deactivate").text == "Transitioning successful\n"
    assert run("lifecycle", "set", "/segnet", "activate").text == "Transitioning successful\n"


def test_values_that_are_refused_together_with_anothers_stay_too(
    graph: Graph, front: Camera, labels: list[Image]
) -> None:
    overlays = graph.listen(Image, f"{OUTPUT}/overlay")
    assert "parameter type" in graph.set(overlay__alpha=0.0, use_sim_time="yes")
    assert graph.get("overlay.alpha") == 0.5
    pixels = picture(9)
    label = array(front.until_heard(labels, pixels))
    blended = (pixels.astype(int) + CAMVID.palette[label]) / 2
    np.testing.assert_allclose(array(front.until_heard(overlays, pixels)), blended, atol=1)


def test_lifecycle(graph: Graph, front: Camera, labels: list[Image]) -> None:
    front.until_heard(labels, picture())
    assert graph.change_state("deactivate")
    assert graph.state() == "inactive"
    graph.wait_for(lambda: not front.publisher.get_subscription_count(), "the end of the subscription")
    assert graph.change_state("activate")
    front.until_heard(labels, picture())
    assert graph.change_state("deactivate")
    assert graph.change_state("cleanup")
    assert graph.state() == "unconfigured"
    graph.wait_for(lambda: f"{OUTPUT}/overlay" not in graph.topics(), "the end of the outputs")


def test_after_a_failed_configure_the_node_can_be_mended(
    graph: Graph, front: Camera, labels: list[Image], weights: list[Path]
) -> None:
    assert graph.change_state("deactivate")
    assert graph.change_state("cleanup")
    assert graph.set(weights="/nowhere.safetensors") == ""
    assert not graph.change_state("configure")
    assert graph.state() == "unconfigured"
    status = graph.status("network")
    assert status.level == DiagnosticStatus.ERROR
    assert "no weights file at /nowhere.safetensors" in status.message
    assert graph.set(weights=str(weights[0]), max_waiting=3) == ""
    assert graph.change_state("configure")
    assert graph.change_state("activate")
    front.until_heard(labels, picture())
    assert graph.status("network").message == "active"
