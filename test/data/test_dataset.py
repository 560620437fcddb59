"""Data sets: how files are paired, what their values mean, and what is said of wrong ones."""

import re

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.classes import UNLABELLED, label_set
from squeeze_segnet_ros.data import dataset as datasets
from squeeze_segnet_ros.data.dataset import open_dataset
from squeeze_segnet_ros.data.loading import Loader, checked, sources_of
from squeeze_segnet_ros.errors import ConfigError, DatasetError, InvalidImageError, SegmentationError

SIZE = (32, 40)


def write_image(path, size=SIZE):
    """Write an image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path, lossless=True) if path.suffix == ".webp" else cv2.imwrite(
        str(path), pixels
    )


def write_label(path, values, palette=None):
    """Write a label picture: values (H, W), colors (H, W, 3), or indices into a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.ascontiguousarray(values))
    if palette is not None:
        picture.putpalette(list(np.ravel(palette)))
    picture.save(path)


def stripes(values, size=SIZE):
    """Return a label picture with every one of some values, in columns."""
    columns = np.array(values)[np.arange(size[1]) * len(values) // size[1]]
    return np.broadcast_to(columns, (size[0], *columns.shape)).astype(
        np.uint8 if columns.max() < 256 else np.uint16
    )


THREE = {
    "name": "three",
    "classes": [
        {"name": "ground", "rgb": [10, 20, 30]},
        {"name": "plant", "rgb": [40, 50, 60]},
        {"name": "thing", "rgb": [70, 80, 90]},
    ],
    "splits": {"train": {"images": "images/*.png", "labels": "labels/*.png"}},
}


@pytest.fixture
def three(tmp_path):
    """Write a data set of two pairs with other fields of its description, and of its label files; open it."""

    def make(in_files=(0, 1, 2), palette=None, **fields):
        for name in ("a", "b"):
            write_image(tmp_path / "images" / f"{name}.png")
            write_label(tmp_path / "labels" / f"{name}.png", stripes(in_files), palette)
        path = tmp_path / "three.yaml"
        path.write_text(yaml.safe_dump(THREE | fields, sort_keys=False))
        return open_dataset(path)

    return make


def first(dataset):
    """Return labels of the first pair of the training split."""
    return dataset.read(dataset.pairs("train")[0]).labels


# -- the shipped descriptions ----------------------------------------------------------------------------

CITY = "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit"
LAYOUTS = {
    # image, label file, {value in it: class}, values that are void
    "camvid": ("train/0001TP_1.webp", "trainannot/0001TP_1.png", {0: "sky", 10: "bicyclist"}, [11]),
    "cityscapes": (
        f"{CITY}.png",
        "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png",
        {7: "road", 33: "bicycle", 24: "person"},
        [0, 3, 9],
    ),
    "cityscapes_train_ids": (
        f"{CITY}.png",
        "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png",
        {0: "road", 18: "bicycle"},
        [255],
    ),
    "bdd100k": (
        "images/10k/train/0004a4c0.jpg",
        "labels/sem_seg/masks/train/0004a4c0.png",
        {0: "road", 18: "bicycle"},
        [255],
    ),
    "mapillary_vistas": (
        "training/images/_AsyWJ4.jpg",
        "training/v1.2/labels/_AsyWJ4.png",
        {13: "road", 0: "bird", 64: "ego vehicle"},
        [65],
    ),
    "idd": (
        "leftImg8bit/train/1/frame0_leftImg8bit.jpg",
        "gtFine/train/1/frame0_gtFine_labellevel3Ids.png",
        {0: "road", 8: "autorickshaw", 25: "sky"},
        [255],
    ),
    "ade20k": (
        "images/training/ADE_train_1.jpg",
        "annotations/training/ADE_train_1.png",
        {1: "wall", 150: "flag"},
        [0],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_shipped_description_reads_files_of_its_layout(tmp_path, name):
    image, label, named, void = LAYOUTS[name]
    values = [*named, *void]
    write_image(tmp_path / image)
    # Mapillary's are palette pictures, with its colors.
    palette = np.arange(768).reshape(256, 3) // 3 if name == "mapillary_vistas" else None
    write_label(tmp_path / label, stripes(values), palette)
    data = open_dataset(name, tmp_path)
    labels = first(data)
    assert labels.shape == SIZE
    ids = [data.label_set.names.index(wanted) for wanted in named.values()] + [UNLABELLED] * len(void)
    np.testing.assert_array_equal(labels, stripes(ids))


def test_every_shipped_description_is_tested():
    assert {*LAYOUTS, "camvid32"} == set(datasets.names())


def test_camvid32_gives_the_ids_of_segnets_release(tmp_path):
    """Of frames of both: colors made from the ids."""
    data_yaml = yaml.safe_load((datasets.shipped("config", "datasets", "camvid32.yaml")).read_text())
    classes = label_set("camvid")
    ids = np.random.default_rng(1).integers(0, 12, SIZE)
    by_class = {name: [] for name in classes.names}
    for color, name in data_yaml["colours"].items():
        by_class[name].append([int(part) for part in color.split(",")])
    colors = [*by_class.values(), [[0, 0, 0]]]
    assert sum(map(len, colors)) == 32
    picture = np.array(
        [[colors[k][(x + y) % len(colors[k])] for x, k in enumerate(row)] for y, row in enumerate(ids)]
    )
    for split, name in (("train", "0001TP_006690"), ("val", "0016E5_07959"), ("test", "Seq05VD_f00000")):
        write_image(tmp_path / "cambridge" / "701_StillsRaw_full" / f"{name}.png")
        write_label(
            tmp_path / "cambridge" / "LabeledApproved_full" / f"{name}_L.png", picture.astype(np.uint8)
        )
        write_image(tmp_path / "segnet" / split / f"{name}.png")
        write_label(tmp_path / "segnet" / f"{split}annot" / f"{name}.png", ids.astype(np.uint8))
        theirs, ours = (
            data.read(*data.pairs(split)).labels
            for data in (open_dataset("camvid32", tmp_path / "cambridge"), open_dataset(tmp_path / "segnet"))
        )
        np.testing.assert_array_equal(theirs, ours)
        np.testing.assert_array_equal(ours, np.where(ids == 11, UNLABELLED, ids))


# -- pairing ---------------------------------------------------------------------------------------------


def test_images_and_labels_are_paired_by_what_the_stars_match(tmp_path, three):
    data = three(splits={"train": {"images": "**/*_rgb.jpg", "labels": "truth/**/*.png"}})
    for name in ("x/1", "y/1", "2"):
        write_image(tmp_path / f"{name}_rgb.jpg")
        write_label(tmp_path / "truth" / f"{name}.png", stripes([1]))
    pairs = data.pairs("train")
    assert [tuple(path.relative_to(tmp_path).as_posix() for path in pair[1:]) for pair in pairs] == [
        ("2_rgb.jpg", "truth/2.png"), ("x/1_rgb.jpg", "truth/x/1.png"), ("y/1_rgb.jpg", "truth/y/1.png"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ("pictures/*.png", "labels/*.png", r"train: images: no file matches .*pictures/\*\.png"),
        ("images/*.png", "labels/*.tif", r"train: labels: no file matches .*labels/\*\.tif"),
        ("images/*.png", "labels/?*.png", "'images/.*' has 1 wildcards and 'labels/.*' 2"),
    ],
)
def test_globs_without_a_match_are_said(three, images, labels, message):
    with pytest.raises(SegmentationError, match=message):
        three(splits={"train": {"images": images, "labels": labels}}).pairs("train")


def test_files_without_a_partner_are_said(tmp_path, three):
    data = three()
    (tmp_path / "labels" / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"three/train: the image .*b\.png has no labels"):
        data.pairs("train")
    (tmp_path / "images" / "a.png").unlink()
    (tmp_path / "images" / "b.png").rename(tmp_path / "images" / "c.png")
    write_label(tmp_path / "labels" / "c.png", stripes([1]))
    with pytest.raises(DatasetError, match=r"the label file .*a\.png has no image"):
        data.pairs("train")


def test_two_labels_for_one_image_are_said(tmp_path, three):
    data = three(splits={"train": {"images": "images/*.png", "labels": ["labels/*.png", "labels/*.bmp"]}})
    write_label(tmp_path / "labels" / "a.bmp", stripes([1]))
    with pytest.raises(DatasetError, match=r"a\.png and .*a\.bmp are two for one partner"):
        data.pairs("train")


# -- the description -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"values": {0: "ground", 1: "tree"}},
            r"line \d+, values.1: there is no class 'tree' in three: choose ground, plant",
        ),
        ({"values": {"x": "ground"}}, "found 'x': expected a whole number of 0 to 65535"),
        ({"values": {0: "ground"}, "unlabelled": [0]}, "unlabelled.*: 0 is a class too"),
        ({"values": {0: "ground"}, "colours": {"1,2,3": "plant"}}, "give either values or colours"),
        ({"colours": {"1,2": "plant"}}, "found '1,2': expected a color like \"128,64,128\""),
        ({"colours": {"1,2,300": "plant"}}, "a color has values of 0 to 255"),
        ({"values": {}}, "it is empty"),
        ({"splits": {}}, "there are no splits"),
        ({"splits": {"train": {"images": "images/*.png"}}}, "the key 'labels' is missing"),
        (
            {"splits": {"train": {"images": "a/*/*.png", "labels": "b/*.png"}}},
            "'a/.*' has 2 wildcards and 'b/.*' 1",
        ),
        (
            {"splits": {"train": {"images": ["*.a", "*.b"], "labels": ["*.c", "*.d", "*.e"]}}},
            "give as many, or one",
        ),
        ({"classes": "kitti"}, "unknown class set 'kitti'"),
        ({"root": "nowhere"}, "no folder .*nowhere: give another 'root'"),
        ({"unlabeled": [1]}, "unknown key 'unlabeled': known are name"),
    ],
)
def test_a_wrong_description_is_said_in_one_line(three, fields, message):
    with pytest.raises(SegmentationError, match=message) as error:
        three(**fields)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, (ConfigError, DatasetError))


def test_what_is_no_data_set_is_said(tmp_path):
    with pytest.raises(
        DatasetError, match=r"no folder .*nowhere: give a data set's folder .* or one of ade20k"
    ):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="has no folder train/"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="cityscapes: give --root"):
        open_dataset("cityscapes")


def test_a_split_that_is_not_there_is_said(three):
    with pytest.raises(DatasetError, match=r"three has no split 'val': .*three\.yaml has train"):
        three().pairs("val")


# -- label files -----------------------------------------------------------------------------------------


def test_a_palette_picture_is_read_by_its_indices(three):
    np.testing.assert_array_equal(first(three(palette=[[9, 9, 9], [8, 8, 8], [7, 7, 7]])), stripes([0, 1, 2]))


def test_a_color_picture_is_read_by_its_colors(three):
    colours = {"255,0,0": "thing", "0,255,0": "ground"}
    data = three([[255, 0, 0], [0, 0, 0], [0, 255, 0]], colours=colours, unlabelled=["0,0,0"])
    np.testing.assert_array_equal(first(data), stripes([2, UNLABELLED, 0]))


def test_a_palette_picture_is_read_by_its_colors_where_the_description_has_colors(three):
    data = three((0, 1), [[0, 255, 0], [255, 0, 0]], colours={"255,0,0": "thing", "0,255,0": "ground"})
    np.testing.assert_array_equal(first(data), stripes([0, 2]))


def test_values_of_16_bits_are_read(three):
    data = three((1000, 40000), values={1000: "ground", 40000: "thing"})
    np.testing.assert_array_equal(first(data), stripes([0, 2]))


HALF = SIZE[0] * SIZE[1] // 2
WRONG_LABELS = {
    "colors in place of values": (
        [[255, 0, 0], [0, 255, 0]], None, {}, "three channels .*under 'colours'",
    ),
    "counted from 1": ((1, 2, 3), None, {}, r"the value 3 in \d+ .*: values 1 to 3: counted from 1\?"),
    "ids times 20": ((20, 40), None, {}, r"all values are multiples of 20: ids times 20"),
    "instances": ((1001, 2001), None, {}, "instance labels in place of class labels"),
    "void that is not named": ((0, 255), None, {}, r"the value 255 .*is 255 void\? Then put"),
    "an unknown value": ((0, 77), None, {}, rf"the value 77 in {HALF} of 1280 pixels, which nothing names"),
    "indices that are unknown": ((0, 5), [[1, 1, 1]] * 6, {}, "the value 5 in"),
    "an unknown color": (
        [[1, 2, 3], [4, 5, 6]], None, {"colours": {"1,2,3": "thing"}}, "the color 4,5,6 .*under 'colours'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_LABELS)
def test_a_wrong_label_file_is_said_with_its_likeliest_reason(three, kind):
    values, palette, fields, message = WRONG_LABELS[kind]
    with pytest.raises(DatasetError, match=message) as error:
        first(three(values, palette, **fields))
    assert "\n" not in str(error.value)
    assert "a.png" in str(error.value)


def check(data, **options):
    """Check the training split of a data set."""
    sources = sources_of(data, ["train"])
    with Loader(sources, 2**20, options.pop("workers", 0)) as loader:
        return checked(loader, range(len(sources)), f"{data.name}/train", **options)


def test_a_split_that_is_all_void_is_said(three):
    with pytest.raises(
        DatasetError, match=r"three/train: all void: no pixel of the 2 label files has a class"
    ):
        check(three((9,), unlabelled=[9]))


def test_sizes_that_differ_within_a_pair_are_said(tmp_path, three):
    data = three()
    write_label(tmp_path / "labels" / "b.png", stripes([1], (32, 48)))
    with pytest.raises(DatasetError, match=r"b\.png is 40x32, its labels .*b\.png are 48x32"):
        check(data)


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_a_truncated_file_is_named_or_skipped_and_counted(tmp_path, three, folder):
    data = three()
    path = tmp_path / folder / "b.png"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(
        InvalidImageError, match=re.escape(str(path)) + r".*\(--skip-broken goes on without it\)"
    ) as error:
        check(data)
    assert "\n" not in str(error.value)
    images = check(data, skip_broken=True)
    assert len(images) == 1
    assert str(path) in images.broken[0]
    (tmp_path / folder / "a.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="none of the 2 images can be read"):
        check(data, skip_broken=True)


# -- the command -----------------------------------------------------------------------------------------


def test_data_prints_a_table_and_draws_a_sheet(tmp_path, three, capsys):
    three((0, 0, 1, 9), unlabelled=[9])
    assert main(["data", str(tmp_path / "three.yaml"), "--output", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "| train | 2 | 0 | 0 | 0 | 40x32 (2) |" in text
    assert "| 0 | ground | 50.00% | 2 |" in text
    assert "| 2 | thing | 0.00% | 0 |" in text
    assert "| 255 | (void) | 25.00% | 2 |" in text
    sheet = cv2.imread(str(tmp_path / "out" / "sheet.jpg"))
    assert sheet is not None and min(sheet.shape[:2]) > 300


def test_data_goes_on_to_the_end_and_says_what_is_wrong(tmp_path, three, capsys):
    three()
    write_label(tmp_path / "labels" / "a.png", stripes([0, 7]))
    write_image(tmp_path / "images" / "c.png")
    assert main(["data", "check", str(tmp_path / "three.yaml"), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert "| train | 2 | 1 | 1 | 0 | 40x32 (1) |" in said.out
    assert re.search(r"train: .*a\.png has the value 7 in 640 of 1280 pixels", said.out)
    assert re.search(r"train: no labels: .*c\.png", said.out)
    assert "three: 1 pairs cannot be used, 1 files have no partner; first" in said.err
    assert said.err.count("\n") == 1
