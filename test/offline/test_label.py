"""Labelling without a graph: a label for each frame, whole or not there, whatever happens meanwhile."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from squeeze_segnet_ros import __main__ as command_line
from squeeze_segnet_ros.bags import BagWriter, messages, open_bag
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.engine import Request, Segmentation, load
from squeeze_segnet_ros.errors import ConfigError, SegmentationError
from squeeze_segnet_ros.images.decoding import read_image, read_unchanged
from squeeze_segnet_ros.offline import BATCH, films, label, pipeline
from squeeze_segnet_ros.offline.label import Options, Run, plan
from squeeze_segnet_ros.stamps import nanoseconds

FRONT, REAR = "/camera/front/image_raw", "/camera/rear/image_raw"
BASE = "/camera/front/segmentation"
START = 1_700_000_000 * 10**9
STEP = 10**8


class Brightness:
    """Stands for the network: the label of a pixel is its red value modulo 11."""

    model, weights_sha256, device, precision = "brightness", "00", "cpu", "fp32"
    classes = CAMVID.classes

    def __init__(self) -> None:
        self.batches: list[int] = []

    def segment(
        self, images: Sequence[np.ndarray], ask: Request, encodings: Sequence[str]
    ) -> list[Segmentation]:
        self.batches.append(len(images))
        found = []
        for image, encoding in zip(images, encodings, strict=True):
            red = image if image.ndim == 2 else image[..., 2 if encoding.startswith("bgr") else 0]
            overlay = np.dstack([red] * 3) if ask.overlay else None
            found.append(Segmentation(red % 11, red if ask.confidence else None, overlay))
        return found


def picture(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Return a picture with some detail, uint8 (height, width, 3) RGB."""
    y, x = np.mgrid[:height, :width]
    return np.stack([(x * (k + 1) + y + index) % 256 for k in range(3)], -1).astype(np.uint8)


def expected(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    return picture(index, height, width)[..., 0] % 11


def write_bag(
    path: Path, frames: int = 10, cameras: Sequence[str] = (FRONT, REAR), later_ns: int = 7
) -> Path:
    """Write a bag whose messages were recorded a little after their stamps."""
    with BagWriter(path) as bag:
        for index in range(frames):
            for number, camera in enumerate(cameras):
                stamp = START + index * STEP + number
                header = messages.make_header(stamp, f"frame_{number}")
                if number:
                    message = messages.compressed_message(picture(index), header, "png", 0)
                    camera += "/compressed"
                else:
                    message = messages.raw_message(picture(index), header)
                bag.write(camera, message.__msgtype__, stamp + later_ns, messages.serialize(message))
    return path


def run(inputs: Sequence[Path], output: Path, network: Any = None, **options: Any) -> dict[str, Any]:
    how = {key: options.pop(key) for key in ("resume", "overwrite") if key in options}
    return Run(output, plan(inputs), Options(**options), **how).label(network or Brightness())


def messages_of(bag: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    with open_bag(bag) as reader:
        for message in reader.messages():
            data = messages.typestore().deserialize_cdr(message.data, message.type)
            found.setdefault(message.topic, []).append((message.timestamp_ns, data))
    return found


def test_every_frame_gets_its_label_at_its_time_under_the_node_s_names(tmp_path: Path) -> None:
    summary = run([write_bag(tmp_path / "drive")], tmp_path / "out")
    found = messages_of(tmp_path / "out" / "drive")
    for number, side in enumerate(("front", "rear")):
        base = f"/camera/{side}/segmentation"
        labels, stats, info = (
            found.pop(f"{base}/{name}") for name in ("label/compressed", "stats", "label_info")
        )
        assert (
            [t for t, _ in labels]
            == [t for t, _ in stats]
            == [START + i * STEP + number + 7 for i in range(10)]
        )
        for index, ((_, image), (_, stat)) in enumerate(zip(labels, stats, strict=True)):
            for header in (image.header, stat.header):
                assert nanoseconds(header.stamp) == START + index * STEP + number
                assert header.frame_id == f"frame_{number}"
            assert image.format == "mono8; png compressed mono8"
            pixels = cv2.imdecode(image.data, cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(pixels, expected(index))
            assert (stat.camera, stat.model, stat.frames_labelled) == (
                f"/camera/{side}/image_raw", "brightness", index + 1,
            )  # fmt: skip
            assert list(stat.class_pixels) == np.bincount(pixels.ravel(), minlength=11).tolist()
        ((_, told),) = info
        assert [(c.class_id, c.class_name) for c in told.class_map] == [
            (c.id, c.name) for c in Brightness.classes
        ]
    assert not found
    with open_bag(tmp_path / "out" / "drive") as bag:
        assert bag.info[f"{BASE}/label_info"].latched
        assert bag.info[f"{BASE}/label/compressed"].depth == 30
    entry = summary["bags"]["drive"]
    assert (entry["frames_in"], entry["frames_labelled"], entry["frames_refused"]) == (20, 20, [])
    assert entry["realtime_factor"] > 0
    assert set(entry["sha256"]) == {"drive/drive.mcap", "drive/metadata.yaml"}
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary


def test_what_is_written_is_what_rclpy_reads(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="needs ROS 2")
    from rclpy.serialization import deserialize_message
    from squeeze_segnet_ros.msg import SegmentationStats
    from vision_msgs.msg import LabelInfo

    def plain(value: Any) -> Any:
        """Return a message of either library as dictionaries, lists and numbers."""
        if hasattr(value, "get_fields_and_field_types"):
            return {name: plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
        if hasattr(value, "__dataclass_fields__"):
            names = [name for name in value.__dataclass_fields__ if name.islower() and name[0] != "_"]
            return {name: plain(getattr(value, name)) for name in names}
        return [plain(each) for each in value] if np.iterable(value) and not isinstance(value, str) else value

    run([write_bag(tmp_path / "drive", 2)], tmp_path / "out")
    with open_bag(tmp_path / "out" / "drive") as bag:
        for name, kind in (("stats", SegmentationStats), ("label_info", LabelInfo)):
            for recorded in bag.messages([f"{BASE}/{name}"]):
                ours = messages.typestore().deserialize_cdr(recorded.data, recorded.type)
                assert plain(deserialize_message(recorded.data, kind)) == plain(ours)


def test_labels_are_the_engine_s_whatever_the_batch(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "drive", 5)
    network = load(device="cpu", precision="fp32")
    for batch in (1, 4):
        run([bag], tmp_path / str(batch), network, batch=batch)
        for base in (BASE, "/camera/rear/segmentation"):
            labels = messages_of(tmp_path / str(batch) / "drive")[f"{base}/label/compressed"]
            for index, (_, image) in enumerate(labels):
                pixels = cv2.imdecode(image.data, cv2.IMREAD_UNCHANGED)
                np.testing.assert_array_equal(pixels, network(picture(index)))


def test_other_outputs_films_and_pictures_of_a_bag(tmp_path: Path) -> None:
    outputs = ("label", "confidence", "overlay")
    run([write_bag(tmp_path / "drive")], tmp_path / "out", outputs=outputs, video=True, images=True)
    found = messages_of(tmp_path / "out" / "drive")
    assert {topic.removeprefix(f"{BASE}/") for topic in found if topic.startswith(BASE)} == {
        *outputs,
        "label_info",
    }
    _, image = found[f"{BASE}/confidence"][3]
    np.testing.assert_array_equal(image.data.reshape(48, 64), picture(3)[..., 0])
    folder = tmp_path / "out" / "drive" / "labels" / "camera_front_image_raw"
    np.testing.assert_array_equal(read_unchanged(folder / f"{START + 2 * STEP}_3_label.png"), expected(2))
    times = [t for t, _ in films.read(tmp_path / "out" / "drive" / "camera_front_image_raw_overlay.mp4")]
    assert times == [i * STEP for i in range(10)]


def test_a_camera_s_calibration_comes_with_its_frames(tmp_path: Path) -> None:
    def write(bag: BagWriter, topic: str, index: int, focal: float) -> None:
        stamp = START + index * STEP
        bag.write_camera_info(topic, stamp - 9, "f", 128, 96, focal=(focal, focal), center=(64, 48))

    with BagWriter(tmp_path / "drive") as bag:
        for index in range(8):
            if index in (2, 5):
                write(bag, "/camera/front/camera_info", index, 100.0 * index)
            bag.write_image(FRONT, START + index * STEP, "front", picture(index))
            bag.write_image(REAR, START + index * STEP + 1, "rear", picture(index))
    options = {"outputs": ("camera_info", "label/compressed")}
    entry = run([tmp_path / "drive"], tmp_path / "out", **options)["bags"]["drive"]
    assert entry["note"] == f"no CameraInfo of {REAR} in the bag"
    found = messages_of(tmp_path / "out" / "drive")
    assert "/camera/rear/segmentation/camera_info" not in found
    infos = [info for _, info in found[f"{BASE}/camera_info"]]
    labels = [label for _, label in found[f"{BASE}/label/compressed"]]
    assert [info.header for info in infos] == [label.header for label in labels]
    assert {(info.height, info.width) for info in infos} == {(48, 64)}
    # The camera says twice the size of its pictures.
    assert [info.k[0] for info in infos] == [100.0] * 5 + [250.0] * 3
    part = label.Task("bags", "drive", (tmp_path / "drive",), (START + 6 * STEP, START + 8 * STEP))
    label.attempt(part, tmp_path / "part", Brightness(), Options(**options))  # type: ignore[arg-type]
    assert [i.k[0] for _, i in messages_of(tmp_path / "part" / "drive")[f"{BASE}/camera_info"]] == [250.0] * 2


def test_a_film_plays_in_a_browser(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs PyAV")
    with films.FilmWriter(tmp_path / "x.mp4", Brightness.classes) as film:
        for index in range(5):
            film.write(index * STEP, picture(index, 49, 63), picture(index, 49, 63), f"{index} s")
        film.write(5 * STEP, picture(5, 100, 120), picture(5, 100, 120), "of another size")
    with av.open(str(tmp_path / "x.mp4")) as opened:
        stream = opened.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.height % 2, stream.width % 2) == (0, 0)
    # What a player needs to begin with lies before the pictures.
    assert (tmp_path / "x.mp4").read_bytes().index(b"moov") < (tmp_path / "x.mp4").read_bytes().index(b"mdat")
    assert len(list(films.read(tmp_path / "x.mp4"))) == 6


def test_a_film_shows_the_picture_beside_its_overlay_and_a_legend() -> None:
    bright, dark = np.full((360, 480, 3), 200, np.uint8), np.full((360, 480, 3), 90, np.uint8)
    composed = films.compose(bright, dark, CAMVID.classes, "1.00 s")
    assert composed.shape[0] == 360
    assert (composed[:300, :480] == 200).all()
    assert (composed[300:, :480] != 200).any(), "the line"
    assert (composed[:, 484:964] == 90).all()
    for each in CAMVID.classes:
        assert (composed[:, 964:] == each.rgb).all(-1).sum() > 50
    wide = films.compose(np.zeros((1080, 1920, 3), np.uint8), np.zeros((1080, 1920, 3), np.uint8), (), "")
    assert wide.shape[0] == 540
    assert 2 * 960 < wide.shape[1] < 2 * 960 + 100


def test_a_recording_for_rerun_holds_every_frame(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="needs Rerun: pip install 'squeeze_segnet_ros[view]'")
    from support.rrd import rows, values

    bag = write_bag(tmp_path / "drive", 4, (FRONT,))
    summary = run([bag], tmp_path / "out", rrd=True, outputs=("label",))
    assert "drive/labels.rrd" in summary["bags"]["drive"]["sha256"]
    found = rows(tmp_path / "out" / "drive" / "labels.rrd")
    labels = [bytes(values(row, "buffer")[0]) for row in found["/scene/front/labels"]]
    assert labels == [expected(index).tobytes() for index in range(4)]
    assert len(found["/scene/front/picture"]) == 4
    assert len(found["/shares/front"]) == 4 + 1  # what the lines are called


def test_times_are_told_where_they_are_asked_for(tmp_path: Path) -> None:
    class Timed(Brightness):
        def segment(self, *arguments: Any, **more: Any) -> list[Segmentation]:
            return [
                replace(result, seconds={"network": 0.25}) for result in super().segment(*arguments, **more)
            ]

    bag = write_bag(tmp_path / "drive", 2, (FRONT,))
    for times in (False, True):
        run([bag], tmp_path / str(times), Timed(), times=times, video=True)
        stats = [stat for _, stat in messages_of(tmp_path / str(times) / "drive")[f"{BASE}/stats"]]
        assert {(stat.network_time, stat.wait_time) for stat in stats} == {(0.25 if times else 0.0, 0.0)}
    films_written = [
        (tmp_path / str(times) / "drive" / "overlay.mp4").read_bytes() for times in (False, True)
    ]
    assert films_written[0] != films_written[1]


def test_a_film_becomes_a_bag(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV")
    with films.FilmWriter(tmp_path / "my film.mp4", ()) as film:
        for index in range(5):
            film.write(index * STEP, picture(index), picture(index), "")
    summary = run([tmp_path / "my film.mp4"], tmp_path / "out", video=True)
    assert summary["films"]["my film"]["frames_labelled"] == 5
    labels = messages_of(tmp_path / "out" / "my film")["/film/segmentation/label/compressed"]
    assert [t for t, _ in labels] == [i * STEP for i in range(5)]
    assert (tmp_path / "out" / "my film" / "overlay.mp4").exists()
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "my film.mp4").read_bytes()[:300])
    assert "or cut short" in run([tmp_path / "cut.mp4"], tmp_path / "cut")["failed"][0]


def turned(jpeg: bytes, orientation: int) -> bytes:
    """Return the JPEG with an EXIF orientation, 1 to 8."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def test_pictures_of_every_kind(tmp_path: Path) -> None:
    photos = tmp_path / "my photos"
    photos.mkdir()
    bgr = picture(1)[..., ::-1]
    stored = {
        "color.png": bgr,
        "gray.png": picture(1)[..., 0],
        "with alpha.png": np.dstack([bgr, bgr[..., 0]]),
        "deep.png": bgr.astype(np.uint16) * 257,
        "same.png": bgr,
        "same.bmp": bgr,
    }
    for name, values in stored.items():
        (photos / name).write_bytes(cv2.imencode(Path(name).suffix, values)[1].tobytes())
    (photos / "turned.jpg").write_bytes(turned(cv2.imencode(".jpg", bgr)[1].tobytes(), 6))
    (photos / "broken.png").write_bytes(b"nothing")
    (photos / "small.png").write_bytes(cv2.imencode(".png", bgr[:20])[1].tobytes())
    (photos / "notes.txt").write_text("no picture")
    summary = run([photos], tmp_path / "out", overlay=True)["pictures"]["pictures"]
    assert (summary["frames_in"], summary["frames_labelled"]) == (9, 7)
    reasons = {Path(refused["frame"]).name: refused["reason"] for refused in summary["frames_refused"]}
    assert "expected JPEG" in reasons["broken.png"]
    assert "at least 32x32" in reasons["small.png"]
    for name in ("color", "gray", "with alpha", "deep", "same.png", "same.bmp"):
        np.testing.assert_array_equal(read_unchanged(tmp_path / "out" / f"{name}_label.png"), expected(1))
        assert read_image(tmp_path / "out" / f"{name}_overlay.png").shape == (48, 64, 3)
    assert read_unchanged(tmp_path / "out" / "turned_label.png").shape == (64, 48)
    assert len(summary["sha256"]) == 14


def test_frames_that_cannot_be_labelled_are_refused_with_time_and_reason(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "drive") as bag:
        for index in range(4):
            message = messages.raw_message(picture(index), messages.make_header(START + index, "cam"))
            if index == 2:
                message.encoding = "rgb9"
            data = messages.serialize(message)
            bag.write(FRONT, messages.IMAGE, START + index, data[:60] if index == 1 else data)
    entry = run([tmp_path / "drive"], tmp_path / "out")["bags"]["drive"]
    assert (entry["frames_in"], entry["frames_labelled"]) == (4, 2)
    assert [refused["recorded_ns"] for refused in entry["frames_refused"]] == [START + 1, START + 2]
    assert "bytes that are no sensor_msgs/msg/Image" in entry["frames_refused"][0]["reason"]
    assert "encoding 'rgb9'" in entry["frames_refused"][1]["reason"]


def test_sizes_may_change_and_batches_are_full_over_cameras(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "drive") as bag:
        for index in range(32):
            bag.write_image(FRONT, START + index, "a", picture(index))
            bag.write_image(REAR, START + index, "b", picture(index, 60, 80))
    network = Brightness()
    run([tmp_path / "drive"], tmp_path / "out", network)
    assert network.batches == [8] * 8
    labels = messages_of(tmp_path / "out" / "drive")["/camera/rear/segmentation/label/compressed"]
    np.testing.assert_array_equal(cv2.imdecode(labels[31][1].data, -1), expected(31, 60, 80))


def test_a_long_bag_never_fills_the_memory(tmp_path: Path) -> None:
    frames, alive, most = 2000, [0], [0]

    class Slow(Brightness):
        def segment(self, images: Sequence[np.ndarray], ask: Request, encodings: Sequence[str]) -> list:
            most[0] = max(most[0], alive[0])
            return super().segment(images, ask, encodings)

    with BagWriter(tmp_path / "drive") as bag:
        for index in range(frames):
            stamp = START + index * STEP
            bag.write_image(f"{FRONT}/compressed", stamp, "cam", picture(index, 32, 32), format="png")

    def count(bag: Any, *arguments: Any) -> Any:
        for frame in frames_of_bag(bag, *arguments):
            alive[0] += 1
            yield frame

    frames_of_bag, label.bag_frames = label.bag_frames, count  # type: ignore[assignment]
    try:
        work = Run(tmp_path / "out", plan([tmp_path / "drive"]), Options())

        def done(progress: label.Progress) -> None:
            alive[0] -= 1

        summary = work.label(Slow(), done)  # type: ignore[arg-type]
    finally:
        label.bag_frames = frames_of_bag
    assert summary["frames_labelled"] == frames, summary["failed"]
    assert most[0] <= pipeline.AHEAD + pipeline.BEHIND + 2 * BATCH + 4
    labels = messages_of(tmp_path / "out" / "drive")[f"{BASE}/label/compressed"]
    assert [t for t, _ in labels] == [START + i * STEP for i in range(frames)]


# -- exactly once -----------------------------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "summary.json"
    }


def test_the_same_frames_make_the_same_bytes(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "drive")
    for name in ("one", "two"):
        run([bag], tmp_path / name, video=True)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.slow
def test_what_was_killed_goes_on_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    bags = [write_bag(tmp_path / f"drive_{n}", 24, (FRONT,)) for n in range(3)]
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(3):
        (photos / f"{index}.png").write_bytes(cv2.imencode(".png", picture(index))[1].tobytes())

    def start(output: str) -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "squeeze_segnet_ros", "label", *map(str, (*bags, photos)),
            "--output", str(tmp_path / output), "--model", "enet", "--resume", "--quiet",
        ]  # fmt: skip
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    killed = start("killed")
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed" / "drive_0").exists():
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "killed" / "drive_2").exists()
    again, undisturbed = start("killed"), start("whole")
    assert (again.wait(120), undisturbed.wait(120)) == (0, 0), (
        again.communicate(),
        undisturbed.communicate(),
    )
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    summary = json.loads((tmp_path / "killed" / "summary.json").read_text())
    assert (summary["frames_in"], summary["frames_labelled"], summary["failed"]) == (75, 75, [])


def test_resuming_leaves_what_is_whole_and_mends_what_is_not(tmp_path: Path) -> None:
    bags = [write_bag(tmp_path / name, 3) for name in ("a", "b")]
    run(bags, tmp_path / "out")
    before = files_of(tmp_path / "out")
    assert Run(tmp_path / "out", plan(bags), Options(), resume=True).todo == []
    (tmp_path / "out" / "b" / "b.mcap").write_bytes(b"damaged meanwhile")
    assert [task.name for task in Run(tmp_path / "out", plan(bags), Options(), resume=True).todo] == ["b"]
    run(bags, tmp_path / "out", resume=True)
    assert files_of(tmp_path / "out") == before
    with pytest.raises(ConfigError, match="other options"):
        Run(tmp_path / "out", plan(bags), Options(min_confidence=0.5), resume=True)


def test_one_bad_input_among_others_does_not_stop_them(tmp_path: Path, capfd: Any) -> None:
    good = write_bag(tmp_path / "good", 2)
    (tmp_path / "bad.mcap").write_bytes(b"\x89MCAP0\r\n nothing whole")
    with BagWriter(tmp_path / "blind") as bag:
        bag.write_camera_info("/camera_info", START, "cam", 64, 48)
    arguments = [
        "label",
        *map(str, (tmp_path / "bad.mcap", good, tmp_path / "blind")),
        "--output",
        str(tmp_path / "out"),
    ]
    assert command_line.main(arguments) == 1
    printed = capfd.readouterr()
    assert "4 of 4 frames labelled, 2 inputs failed" in printed.out
    assert "bad.mcap: truncated" in printed.err
    assert "no camera in it: it has /camera_info" in printed.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert "truncated" in summary["bags"]["bad"]["error"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good", "summary.json"]


def test_a_killed_recording_is_labelled_as_far_as_it_goes(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "drive") as bag:
        noise = np.random.default_rng(0).integers(0, 256, (30, 150, 200, 3), np.uint8)
        for index, image in enumerate(noise):
            bag.write_image(FRONT, START + index * STEP, "cam", image)
    whole = tmp_path / "drive" / "drive.mcap"
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    entry = run([cut], tmp_path / "out")["bags"]["cut"]
    assert 0 < entry["frames_labelled"] == entry["frames_in"] < 30
    assert "whole messages read, the last" in entry["note"]


def test_a_full_disk_is_said_and_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bags = [write_bag(tmp_path / name, 3) for name in ("a", "b")]
    write: Callable[..., None] = BagWriter.write

    def full(self: BagWriter, *arguments: Any, **options: Any) -> None:
        if self.path.name == "a":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, *arguments, **options)

    monkeypatch.setattr(BagWriter, "write", full)
    summary = run(bags, tmp_path / "out")
    assert summary["failed"] == ["a: No space left on device"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["b", "summary.json"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no/such/bag"], "no such input: no/such/bag"),
        (["{tmp}/notes.txt"], "not a bag .* a picture .* or a film"),
        (["{tmp}/old.bag"], "a ROS 1 bag: convert it with `rosbags-convert"),
        (["{tmp}/empty"], "a folder without bags, pictures or films"),
        (["{tmp}/drive", "--topics", "/nope"], f"no camera /nope in this bag: it has {FRONT}, {REAR}"),
        (["{tmp}/drive", "--outputs", "label,nothing"], "no output 'nothing': choose from label,"),
        (["{tmp}/drive", "--output", "{tmp}/drive/out"], "lies inside the input"),
        (["{tmp}/drive", "--output", "{tmp}/notes.txt"], "is a file: name a folder"),
        (["{tmp}/drive", "--output", "{tmp}/done"], "exists already: go on with --resume"),
        (["{tmp}/drive", "--batch", "0"], "batch is 0"),
        (["{tmp}/drive", "--model", "nothing"], "unknown model 'nothing'"),
        (["{tmp}/drive", "{tmp}/x/drive", "{tmp}/y/x/drive"], "two inputs are called x_drive"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, capfd: Any, arguments: list[str], words: str) -> None:
    for name in ("drive", "x/drive", "y/x/drive"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_bag(tmp_path / name, 2)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "old.bag").write_text("#ROSBAG V2.0")
    (tmp_path / "empty").mkdir()
    (tmp_path / "done" / "drive").mkdir(parents=True)
    filled = [argument.format(tmp=tmp_path) for argument in arguments]
    output = [] if "--output" in filled else ["--output", str(tmp_path / "out")]
    assert command_line.main(["label", *filled, *output]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert re.search(words, lines[0]), lines


def test_overwriting_is_asked_for(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "drive", 2)
    run([bag], tmp_path / "out")
    with pytest.raises(SegmentationError, match="--overwrite"):
        run([bag], tmp_path / "out")
    run([bag], tmp_path / "out", overwrite=True)


def test_a_dry_run_says_how_much_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = write_bag(tmp_path / "drive", 3)
    arguments = ["label", str(bag), "--output", str(tmp_path / "out"), "--dry-run"]
    assert command_line.main(arguments) == 0
    text = capsys.readouterr().out
    assert "drive: 6 frames, 0.2 s of bags" in text
    assert "frames/s on" in text
    assert not (tmp_path / "out").exists()
