"""From a bag to pictures and drafts for CVAT, and from its export to a data set."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.classes import UNLABELLED, LabelClass, LabelSet, label_set
from squeeze_segnet_ros.data.cvat import DraftsWriter, import_export, last_of_each_drive, write_labels
from squeeze_segnet_ros.data.dataset import open_dataset
from squeeze_segnet_ros.errors import ConfigError, DatasetError
from squeeze_segnet_ros.offline.extract import Every, extract

SAMPLE_BAG = Path(__file__).resolve().parents[2] / "rosbags" / "street_camvid"
NAMES = [f"drive{drive}__front__{time:03d}" for drive in (1, 2) for time in range(5)]
CAMVID = label_set("camvid")


@pytest.fixture
def export(tmp_path):
    """Write what CVAT exports: masks of ten frames of two drives, one without a label; and the images."""
    labels = {}
    with DraftsWriter(tmp_path / "export.zip", CAMVID) as drafts:
        for i, name in enumerate(NAMES):
            labels[name] = np.full((32, 40), UNLABELLED, np.uint8)
            if i != 3:
                labels[name][4:] = i
            drafts.write(name, labels[name])
            (tmp_path / "images").mkdir(exist_ok=True)
            Image.fromarray(np.full((32, 40, 3), i, np.uint8)).save(tmp_path / "images" / f"{name}.png")
    return tmp_path / "export.zip", tmp_path / "images", labels


def test_an_export_becomes_a_data_set_with_the_same_labels(tmp_path, export):
    source, images, labels = export
    done = import_export(source, tmp_path / "mine", images, val_share=0.25)
    assert (done.train, done.val, done.left_out) == (7, 2, 1)
    data = open_dataset(done.description)
    assert data.name == "mine"
    assert data.label_set.names == CAMVID.names
    for split in ("train", "val"):
        for pair in data.pairs(split):
            image, found = data.read(pair)
            np.testing.assert_array_equal(found, labels[pair.name])
            assert image[0, 0, 0] == NAMES.index(pair.name)
    assert [pair.name for pair in data.pairs("val")] == ["drive1__front__004", "drive2__front__004"]


def test_an_export_with_images_and_in_another_order_of_classes(tmp_path, export):
    source, images, labels = export
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(source) as archive:
        archive.extractall(unpacked)
    images.rename(unpacked / "JPEGImages")
    other = LabelSet("other", tuple(c._replace(id=10 - c.id) for c in reversed(CAMVID.classes)))
    data = open_dataset(import_export(unpacked, tmp_path / "mine", classes=other).description)
    pair = data.pairs("train")[0]
    wanted = labels[pair.name]
    np.testing.assert_array_equal(data.read(pair).labels, np.where(wanted == UNLABELLED, wanted, 10 - wanted))


def test_classes_of_one_color_or_black_get_colors_of_their_own(tmp_path):
    alike = LabelSet("alike", tuple(LabelClass(i, name, (0, 0, 0)) for i, name in enumerate("abc")))
    write_labels(tmp_path / "labels.json", alike)
    rows = json.loads((tmp_path / "labels.json").read_text())
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert len({row["color"] for row in rows} | {"#000000"}) == 4


def test_what_is_no_export_is_said(tmp_path, export):
    source, images, _ = export
    (tmp_path / "damaged.zip").write_bytes(source.read_bytes()[:500])
    few = LabelSet("few", CAMVID.classes[:3])
    for arguments, error, message in (
        ((tmp_path / "damaged.zip", tmp_path / "a"), DatasetError, "not a complete zip file"),
        ((images, tmp_path / "a"), DatasetError, "export it from CVAT as 'Segmentation mask 1.1'"),
        ((source, images), ConfigError, "has files in it: name another folder"),
        ((source, tmp_path / "b"), DatasetError, "no image for drive1__front__000: .* or --images"),
        ((source, tmp_path / "c", images, few), ConfigError, "has a class 'bicyclist', which is not in few"),
        ((source, tmp_path / "d", images, None, 1.0), ConfigError, "--val-share is 1.0"),
    ):
        with pytest.raises(error, match=message):
            import_export(*arguments)


def test_the_end_of_each_drive_validates():
    assert last_of_each_drive(NAMES, 0.4) == {name for name in NAMES if name.endswith(("003", "004"))}
    assert last_of_each_drive(["a__1", "a__2", "b__1"], 0.1) == {"a__2"}


def test_frames_of_a_bag_are_taken_some_time_apart(tmp_path):
    done = extract([SAMPLE_BAG], tmp_path / "frames", Every.parse("2s"))
    assert (done.frames, done.refused) == (6, [])
    names = sorted(path.stem for path in (tmp_path / "frames" / "images").iterdir())
    times = [int(name.rpartition("__")[2]) for name in names]
    assert {later - earlier for earlier, later in zip(times, times[1:], strict=False)} == {2 * 10**9}
    assert names[0].startswith("street_camvid__camera_front_image_raw__")
    with pytest.raises(ConfigError, match="has pictures already"):
        extract([SAMPLE_BAG], tmp_path / "frames", Every.parse("2s"))
    assert extract([SAMPLE_BAG.parent / "street_camvid"], tmp_path / "tenth", Every.parse("40")).frames == 3


@pytest.mark.parametrize("text", ["", "2", "2 s", "0s", "s", "-1s", "1h", "0"])
def test_a_distance_is_a_time_or_a_number(text):
    if text == "2":
        assert Every.parse(text) == Every(frames=2)
    else:
        with pytest.raises(ConfigError, match="give a time like 2s or 500ms"):
            Every.parse(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["extract", "{path}", "--output", "{path}/x"], "not a bag, nor a folder of bags"),
        (["extract", str(SAMPLE_BAG), "--every", "often", "--output", "{path}/x"], "--every is 'often'"),
        (["extract", str(SAMPLE_BAG), "--topics", "/x", "--output", "{path}/x"], "no camera /x in this bag"),
        (["import", "{path}/no.zip", "--output", "{path}/x"], "export it from CVAT"),
        (["{path}/nothing"], "no folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, arguments, message):
    assert main(["data", *(argument.format(path=tmp_path) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
