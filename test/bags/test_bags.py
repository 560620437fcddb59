"""Bags: what is written comes back, and every bad bag gets one line: what is wrong and what to do."""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from squeeze_segnet_ros import __main__ as command_line
from squeeze_segnet_ros.bags import BagReader, BagWriter, messages, open_bag
from squeeze_segnet_ros.data.dataset import open_dataset
from squeeze_segnet_ros.data.to_bag import (
    CAMERA_INFO_TOPIC,
    FRAME_ID,
    IMAGE_TOPIC,
    TRUTH_TOPIC,
)
from squeeze_segnet_ros.data.to_bag import (
    write_bag as write_dataset_bag,
)
from squeeze_segnet_ros.errors import BagError, DatasetError, InvalidImageError

CAMERA = "/camera/front/image_raw"
LABELS = "/camera/front/label_truth"
START = 1_700_000_000 * 10**9
STEP = 10**8


def picture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Return a smooth color image with some detail: uint8 (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    channels = [127 + 120 * np.sin((x * (k + 1) + y * (3 - k)) / 23 + seed) for k in range(3)]
    return np.stack(channels, -1).astype(np.uint8)


def write_bag(path: Path, frames: int = 12, storage: str = "mcap", format: str = "png") -> Path:
    suffix = "" if format == "raw" else "/compressed"
    with BagWriter(path, storage=storage) as bag:
        for index in range(frames):
            stamp = START + index * STEP
            bag.write_image(CAMERA + suffix, stamp, "cam", picture(index), format=format)
            bag.write_image(LABELS, stamp, "cam", picture(index)[..., 0] % 11, format="png")
    return path


def write_big_bag(path: Path, storage: str = "mcap") -> Path:
    """Write a bag of 60 incompressible frames, 5 MB: several chunks of an mcap file."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 150, 200, 3), np.uint8)
    with BagWriter(path, storage=storage) as bag:
        for index, image in enumerate(noise):
            bag.write_image(CAMERA, START + index * STEP, "cam", image)
    return path


def cut(source: Path, target: Path, share: float) -> Path:
    """Cut a file after its first ``share``."""
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


def storage_file(bag: Path) -> Path:
    (file,) = (f for f in bag.iterdir() if f.suffix in (".mcap", ".db3"))
    return file


def error_line(path: Path | str) -> str:
    """Return the text of the error that opening and reading ``path`` ends in."""
    with pytest.raises(BagError) as caught, open_bag(path) as bag:
        list(bag.messages())
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("format", ["raw", "png"])
@pytest.mark.parametrize("lone_file", [False, True])
def test_what_is_written_comes_back(tmp_path: Path, storage: str, format: str, lone_file: bool) -> None:
    path = write_bag(tmp_path / "bag", storage=storage, format=format)
    with open_bag(storage_file(path) if lone_file else path) as bag:
        image_topic = CAMERA if format == "raw" else f"{CAMERA}/compressed"
        image_type = messages.IMAGE if format == "raw" else messages.COMPRESSED_IMAGE
        assert bag.topics == {image_topic: image_type, LABELS: messages.COMPRESSED_IMAGE}
        assert bag.images == (image_topic, LABELS)
        assert bag.count == 24
        assert bag.info[LABELS].count == 12
        assert (bag.start_ns, bag.end_ns, bag.duration_ns) == (START, START + 11 * STEP + 1, 11 * STEP)
        assert bag.note is None
        frames = list(bag.messages([image_topic]))
        truths = list(bag.messages([LABELS]))
    for index, (frame, truth) in enumerate(zip(frames, truths, strict=True)):
        assert frame.timestamp_ns == messages.stamp_ns(frame.data) == START + index * STEP
        np.testing.assert_array_equal(messages.decode_image(frame.data, frame.type), picture(index))
        np.testing.assert_array_equal(
            messages.decode_image(truth.data, truth.type), picture(index)[..., 0] % 11
        )


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_messages_come_in_time_order_whatever_order_they_were_written_in(
    tmp_path: Path, storage: str
) -> None:
    stamps = [START + i * STEP for i in (5, 1, 4, 0, 3, 2)]
    with BagWriter(tmp_path / "bag", storage=storage) as bag:
        for stamp in stamps:
            bag.write_image(CAMERA, stamp, "cam", np.zeros((400, 800, 3), np.uint8))
    with open_bag(tmp_path / "bag") as bag:
        assert [m.timestamp_ns for m in bag.messages()] == sorted(stamps)


def test_jpeg_is_close_to_the_image(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_image(CAMERA, START, "cam", picture(1), format="jpeg", quality=95)
    with open_bag(tmp_path / "bag") as bag:
        (message,) = bag.messages()
    difference = np.abs(messages.decode_image(message.data, message.type).astype(int) - picture(1))
    assert 0 < difference.mean() < 4


@pytest.mark.parametrize(
    ("encoding", "convert"),
    [("bgr8", cv2.COLOR_RGB2BGR), ("rgba8", cv2.COLOR_RGB2RGBA), ("bgra8", cv2.COLOR_RGB2BGRA)],
)
def test_decoding_gives_rgb_for_every_color_encoding_and_skips_padding(encoding: str, convert: int) -> None:
    pixels = cv2.cvtColor(picture(3), convert)
    height = len(pixels)
    padded = np.full((height, pixels[0].size + 5), 99, np.uint8)
    padded[:, :-5] = pixels.reshape(height, -1)
    message = messages.raw_message(picture(3), messages.make_header(START, "cam"))
    message.encoding, message.step, message.data = encoding, padded.shape[1], padded.reshape(-1)
    np.testing.assert_array_equal(
        messages.decode_image(messages.serialize(message), messages.IMAGE), picture(3)
    )


@pytest.mark.parametrize("image", [picture(2), picture(2)[..., 1]], ids=["color", "mono"])
def test_decompressing_keeps_header_and_pixels(image: np.ndarray) -> None:
    header = messages.make_header(START + 123_456_789, "front")
    compressed = messages.serialize(messages.compressed_message(image, header, "png", 0))
    assert messages.decompress(compressed) == messages.serialize(messages.raw_message(image, header))


def test_a_stamp_can_be_replaced_without_touching_the_rest() -> None:
    message = messages.raw_message(picture(2), messages.make_header(START, "front"))
    moved = messages.raw_message(picture(2), messages.make_header(START + 42, "front"))
    assert messages.with_stamp(messages.serialize(message), START + 42) == messages.serialize(moved)


def test_latched_topics_are_marked(tmp_path: Path) -> None:
    info = messages.serialize(messages.make("std_msgs/msg/String", data="map"))
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/map", "std_msgs/msg/String", START, info, latched=True)
        bag.write("/talk", "std_msgs/msg/String", START, info)
    with open_bag(tmp_path / "bag") as bag:
        assert bag.info["/map"].latched
        assert not bag.info["/talk"].latched


@pytest.mark.parametrize("focal", [None, (400.0, 410.0)])
def test_camera_info_has_size_and_intrinsics(tmp_path: Path, focal: tuple[float, float] | None) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_camera_info("/camera_info", START, "cam", 480, 360, focal=focal)
    with open_bag(tmp_path / "bag") as bag:
        (message,) = bag.messages()
    info: Any = messages.typestore().deserialize_cdr(message.data, messages.CAMERA_INFO)
    assert (info.width, info.height) == (480, 360)
    expected = [400, 0, 239.5, 0, 410, 179.5, 0, 0, 1] if focal else [0] * 9  # zero: not calibrated
    assert list(info.k) == expected


# -- bad bags -------------------------------------------------------------------------------------------


def test_missing_path_names_the_bag_that_was_meant(tmp_path: Path) -> None:
    write_bag(tmp_path / "street_camvid", frames=1)
    assert "did you mean" in error_line(tmp_path / "street_camvit")
    assert "street_camvid" in error_line(tmp_path / "something_else")
    assert f"no folder {tmp_path / 'no'}" in error_line(tmp_path / "no" / "such" / "bag")


def test_folder_that_is_no_bag(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty folder" in error_line(tmp_path / "empty")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("hello")
    assert "not a bag" in error_line(tmp_path / "notes")


def test_file_that_is_no_bag(tmp_path: Path) -> None:
    for name, reason in [
        ("a.txt", "not a bag"),
        ("a.bag", "ROS 1"),
        ("a.mcap.zstd", "zstd -d"),
        ("a.db3.zst", "zstd -d"),
        ("a.mcap", "not an mcap"),
    ]:
        (tmp_path / name).write_text("hello world, this is text")
        assert reason in error_line(tmp_path / name)
    (tmp_path / "a.db3").write_text("hello world, this is text" * 100)
    assert "damaged" in error_line(tmp_path / "a.db3")


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
def test_empty_file(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"x{suffix}").touch()
    assert "empty" in error_line(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bag_without_messages(tmp_path: Path, storage: str) -> None:
    with BagWriter(tmp_path / "bag", storage=storage):
        pass
    assert "without messages" in error_line(tmp_path / "bag")
    assert "without messages" in error_line(storage_file(tmp_path / "bag"))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_file_is_refused_with_a_remedy(tmp_path: Path, storage: str, share: float) -> None:
    whole = storage_file(write_big_bag(tmp_path / "bag", storage))
    line = error_line(cut(whole, tmp_path / f"cut{whole.suffix}", share))
    assert re.search("truncated|damaged", line)
    assert "recover" in line


def test_truncated_file_in_a_bag_folder_is_refused_too(tmp_path: Path) -> None:
    whole = storage_file(write_big_bag(tmp_path / "bag"))
    cut(whole, whole, 0.5)
    with pytest.raises(BagError, match="truncated"):
        open_bag(tmp_path / "bag")


def test_truncated_after_a_few_bytes(tmp_path: Path) -> None:
    whole = storage_file(write_bag(tmp_path / "bag"))
    for size in (4, 8, 20, 100):
        (tmp_path / "cut.mcap").write_bytes(whole.read_bytes()[:size])
        assert re.search("truncated|not an mcap", error_line(tmp_path / "cut.mcap"))


def test_recover_saves_the_whole_messages_of_a_truncated_bag(tmp_path: Path) -> None:
    whole = write_big_bag(tmp_path / "bag")
    short = cut(storage_file(whole), tmp_path / "cut.mcap", 0.6)
    assert command_line.main(["bag", "recover", str(short), "--output", str(tmp_path / "saved")]) == 0
    with open_bag(whole) as bag:
        expected = list(bag.messages())
    with open_bag(tmp_path / "saved") as bag:
        saved = list(bag.messages())
    assert 0 < len(saved) < len(expected)
    assert saved == expected[: len(saved)]


def test_recover_sorts_messages(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for index in (3, 1, 2, 0):
            bag.write_image(CAMERA, START + index, "cam", np.zeros((600, 800, 3), np.uint8))
    short = cut(storage_file(tmp_path / "bag"), tmp_path / "cut.mcap", 0.99)
    with open_bag(short, recover=True) as bag:
        assert bag.note is not None
        stamps = [m.timestamp_ns for m in bag.messages()]
    assert len(stamps) > 1
    assert stamps == sorted(stamps)


def test_bag_folder_without_metadata_is_read_file_by_file(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag")
    (path / "metadata.yaml").unlink()
    with open_bag(path) as bag:
        assert bag.count == 24
        assert bag.note is not None
        assert "metadata.yaml" in bag.note


def test_split_bag_is_read_in_time_order(tmp_path: Path) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    for part in range(11):
        with BagWriter(tmp_path / f"part{part}") as bag:
            bag.write_image(CAMERA, START + part, "cam", picture(part))
        storage_file(tmp_path / f"part{part}").rename(folder / f"split_{part}.mcap")
    with open_bag(folder) as bag:
        assert [m.timestamp_ns - START for m in bag.messages()] == list(range(11))


def test_damage_in_the_middle_is_reported_while_reading(tmp_path: Path) -> None:
    path = storage_file(write_bag(tmp_path / "bag", frames=300, format="raw"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    path.write_bytes(content)
    with open_bag(path) as bag, pytest.raises(BagError, match=r"damaged after \d+ messages"):
        list(bag.messages())


def test_bag_without_images(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.write_camera_info("/camera_info", START, "cam", 480, 360)
    with open_bag(tmp_path / "bag") as reader, pytest.raises(BagError, match=r"no images.*/camera_info"):
        reader.require_images()


def test_topic_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    with open_bag(write_bag(tmp_path / "bag", frames=1)) as bag:
        with pytest.raises(BagError, match=f"no topic /nope .*{CAMERA}/compressed, {LABELS}"):
            bag.messages(["/nope"])
        with pytest.raises(BagError, match="no topic /nope"):
            bag.require_images(["/nope"])


# -- writing --------------------------------------------------------------------------------------------


def test_existing_output_is_never_touched(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag", frames=1)
    before = storage_file(path).read_bytes()
    with pytest.raises(BagError, match="exists already"):
        BagWriter(path)
    assert storage_file(path).read_bytes() == before


def test_nothing_is_left_of_a_bag_whose_writing_failed(tmp_path: Path) -> None:
    with pytest.raises(InvalidImageError, match="float64"), BagWriter(tmp_path / "bag") as bag:
        bag.write_image(CAMERA, START, "cam", np.zeros((4, 4, 3)))
    assert not (tmp_path / "bag").exists()


@pytest.mark.parametrize(
    "call",
    [
        lambda path: BagWriter(path / "a", storage="csv"),
        lambda path: write_format(path / "b", "gif"),
        lambda path: write_type(path / "c", "nobody_msgs/msg/Nothing"),
        lambda path: BagWriter(Path("/proc/nothing/bag")).__enter__(),
    ],
    ids=["storage", "format", "type", "folder"],
)
def test_writer_says_what_is_wrong(tmp_path: Path, call: object) -> None:
    with pytest.raises(BagError) as caught:
        call(tmp_path)  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def write_format(path: Path, format: str) -> None:
    with BagWriter(path) as bag:
        bag.write_image(CAMERA, START, "cam", picture(0), format=format)


def write_type(path: Path, type: str) -> None:
    with BagWriter(path) as bag:
        bag.write("/x", type, START, b"\0\1\0\0")


# -- CamVid ---------------------------------------------------------------------------------------------


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """Return a folder like CamVid's with three frames, one of them as webp, and void as 11."""
    root = tmp_path / "camvid"
    for folder in ("test", "testannot"):
        (root / folder).mkdir(parents=True)
    for index, suffix in enumerate((".png", ".webp", ".png")):
        name = f"frame_{index}"
        image = cv2.cvtColor(picture(index), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(root / "test" / f"{name}{suffix}"), image, [cv2.IMWRITE_WEBP_QUALITY, 101])
        cv2.imwrite(str(root / "testannot" / f"{name}.png"), picture(index)[..., 0] % 12)
    return root


def truths(bag: BagReader) -> list[np.ndarray]:
    return [messages.decode_image(m.data, m.type) for m in bag.messages([TRUTH_TOPIC])]


def test_camvid_frames_and_labels_become_a_bag(camvid: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    count = write_dataset_bag(
        open_dataset(camvid), tmp_path / "bag", rate_hz=20, progress=lambda *step: seen.append(step)
    )
    assert count == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with open_bag(tmp_path / "bag") as bag:
        assert set(bag.topics) == {IMAGE_TOPIC, CAMERA_INFO_TOPIC, TRUTH_TOPIC}
        assert bag.duration_ns == 10**8
        frames = list(bag.messages([IMAGE_TOPIC]))
        for index, (frame, truth) in enumerate(zip(frames, truths(bag), strict=True)):
            np.testing.assert_array_equal(messages.decode_image(frame.data, frame.type), picture(index))
            label = picture(index)[..., 0] % 12
            np.testing.assert_array_equal(truth, np.where(label == 11, 255, label))
        header = messages.typestore().deserialize_cdr(frames[0].data, frames[0].type).header  # type: ignore[attr-defined]
        assert header.frame_id == FRAME_ID


def test_camvid_folder_that_is_not_complete(camvid: Path, tmp_path: Path) -> None:
    (camvid / "testannot" / "frame_1.png").unlink()
    with pytest.raises(DatasetError, match=r"test: the image .*frame_1\.webp has no labels"):
        write_dataset_bag(open_dataset(camvid), tmp_path / "bag")
    assert not (tmp_path / "bag").exists()
    with pytest.raises(DatasetError, match="no split 'val'"):
        write_dataset_bag(open_dataset(camvid), tmp_path / "bag", "val")


# -- command line ---------------------------------------------------------------------------------------


def test_info_prints_topics_counts_rates_and_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["bag", "info", str(write_bag(tmp_path / "bag"))]) == 0
    text = capsys.readouterr().out
    assert re.search(rf"{CAMERA}/compressed +sensor_msgs/msg/CompressedImage +12 +10\.00 Hz +64x48 RGB", text)
    assert re.search(rf"{LABELS} .* 64x48 one channel", text)
    assert "1.100 s" in text


def test_camvid_command_writes_a_bag(camvid: Path, tmp_path: Path) -> None:
    output = tmp_path / "bag"
    assert (
        command_line.main(["bag", "camvid", "--data", str(camvid), "--output", str(output), "--limit", "2"])
        == 0
    )
    with open_bag(output) as bag:
        assert bag.info[IMAGE_TOPIC].count == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "{path}/nothing"],
        ["recover", "{path}/nothing", "--output", "{path}/out"],
        ["camvid", "--data", "{path}/nothing", "--output", "{path}/out"],
        ["camvid", "--data", "{path}", "--output", "{path}/out", "--rate", "0"],
        ["camvid", "--data", "{path}", "--output", "{path}/out", "--quality", "101"],
        ["camvid", "--data", "{path}", "--output", "{path}/out", "--limit", "0"],
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["bag", *(a.format(path=tmp_path) for a in arguments)]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1


def test_info_of_a_folder_of_bags_lists_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bag(tmp_path / "drive_10")
    write_bag(tmp_path / "drive_9", frames=3)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken.mcap").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("hello")
    assert command_line.main(["bag", "info", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["bag", "broken", "drive_9", "drive_10"]
    assert "not an mcap file" in lines[1]
    assert re.search(rf"drive_9 +0\.2 s +6 +{CAMERA}/compressed, {LABELS}", lines[2])
    assert "holds the bags broken, drive_9, drive_10" in error_line(tmp_path)


# -- bags as others leave them --------------------------------------------------------------------------


def test_messages_come_whatever_metadata_says_of_their_qos(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag")
    meta = path / "metadata.yaml"
    edited = re.sub(
        r"offered_qos_profiles: .*?(?=\n\s+\w+:)", 'offered_qos_profiles: ""', meta.read_text(), flags=re.S
    )
    assert edited != meta.read_text()
    meta.write_text(edited)
    with open_bag(path) as bag:
        assert len(list(bag.messages())) == bag.count == 24


def test_fewer_messages_than_announced_are_an_error(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "bag")
    meta = path / "metadata.yaml"
    meta.write_text(meta.read_text().replace("message_count: 12", "message_count: 13", 1))
    assert "announces 13 messages and has 12" in error_line(path)
    with open_bag(path) as bag:
        assert "announces more messages" in str(bag.note)


def test_a_killed_sqlite_recording_is_read_with_its_journal(tmp_path: Path) -> None:
    whole = storage_file(write_bag(tmp_path / "whole", frames=2, storage="sqlite3"))
    folder = tmp_path / "killed"
    folder.mkdir()
    live = folder / "killed 100%?_0.db3"
    live.write_bytes(whole.read_bytes())
    # As a recorder does it, up to the moment when it is killed.
    writer = sqlite3.connect(live)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    for index in range(20):
        writer.execute(
            "INSERT INTO messages (topic_id, timestamp, data) SELECT topic_id, timestamp + ?, data "
            "FROM messages WHERE id = 1", (index + 1,),
        )  # fmt: skip
        writer.commit()
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    writer.close()
    for bag_path in (copy, copy / live.name):
        with open_bag(bag_path) as bag:
            assert len(list(bag.messages())) == 24
            assert "journal" in str(bag.note)


@pytest.mark.parametrize("lone_file", [False, True])
@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_messages_compressed_one_by_one_are_unpacked(tmp_path: Path, storage: str, lone_file: bool) -> None:
    plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
    writer = Writer(tmp_path / "bag", version=8, storage_plugin=plugin)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    data = messages.serialize(messages.raw_message(picture(0), messages.make_header(START, "cam")))
    with writer:
        connection = writer.add_connection(CAMERA, messages.IMAGE, typestore=messages.typestore())
        for index in range(3):
            writer.write(connection, START + index, data)
    path = tmp_path / "bag"
    with open_bag(storage_file(path) if lone_file else path) as bag:
        assert [message.data for message in bag.messages()] == [data] * 3


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_span_of_time_is_read_alone(tmp_path: Path, storage: str) -> None:
    with open_bag(write_bag(tmp_path / "bag", storage=storage)) as bag:
        found = bag.messages([LABELS], START + 2 * STEP, START + 5 * STEP)
        assert [message.timestamp_ns for message in found] == [START + i * STEP for i in (2, 3, 4)]
