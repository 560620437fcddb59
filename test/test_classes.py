"""Class sets: the shipped files, files of the user's own, and what is said of wrong ones."""

import numpy as np
import pytest

from squeeze_segnet_ros import classes
from squeeze_segnet_ros.classes import UNLABELLED, LabelClass, LabelSet, label_set
from squeeze_segnet_ros.errors import ConfigError

SIZES = {
    "ade20k": 150,
    "bdd100k": 19,
    "camvid": 11,
    "cityscapes": 19,
    "coco_stuff": 171,
    "idd": 26,
    "mapillary_vistas": 65,
    "pascal_voc": 21,
}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_a_shipped_class_set_is_complete(name, size):
    found = label_set(name)
    assert found.name == name
    assert len(found) == size
    assert [label.id for label in found.classes] == list(range(size))


def test_the_shipped_class_sets_are_those():
    assert classes.names() == tuple(sorted(SIZES))


@pytest.mark.parametrize(
    ("name", "place", "label", "rgb"),
    [
        ("camvid", 0, "sky", (128, 128, 128)),
        ("camvid", 10, "bicyclist", (0, 128, 192)),
        ("cityscapes", 0, "road", (128, 64, 128)),
        ("cityscapes", 18, "bicycle", (119, 11, 32)),
        ("ade20k", 58, "screen door", (0, 173, 255)),
        ("pascal_voc", 15, "person", (192, 128, 128)),
        ("mapillary_vistas", 13, "road", (128, 64, 128)),
        ("idd", 8, "autorickshaw", (255, 204, 54)),
        ("coco_stuff", 170, "wood", (0, 224, 192)),
    ],
)
def test_classes_have_the_ids_and_colors_of_their_data_sets(name, place, label, rgb):
    found = label_set(name)
    assert found.classes[place] == (place, label, rgb)
    np.testing.assert_array_equal(found.palette[place], rgb)
    assert not found.palette[UNLABELLED].any()


def test_a_class_set_of_ones_own_is_read_from_its_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nclasses:\n  - {name: ground, rgb: [1, 2, 3]}\n  - {name: Löß, rgb: [4, 5, 6]}\n", "utf-8"
    )
    assert label_set(path) == label_set(str(path))
    assert label_set(path).names == ("ground", "Löß")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("name: a\n", "line 1: the key 'classes' is missing"),
        ("name: a\nclases: []\n", "line 2: unknown key 'clases': known are name, classes"),
        ("name: a\nclasses: []\n", "line 2, classes: there are 0 classes"),
        ("name: a\nclasses: camvid\n", "line 2, classes: found 'camvid': expected a list"),
        ("name: a\nclasses:\n- {name: b}\n", r"line 3, classes\[0\]: the key 'rgb' is missing"),
        (
            "name: a\nclasses:\n- {name: b, rgb: [1, 2]}\n",
            r"classes\[0\].rgb: found a list of 2: expected a list of 3",
        ),
        (
            "name: a\nclasses:\n- {name: b, rgb: [1, 2, 256]}\n",
            "found 256: expected a whole number of 0 to 255",
        ),
        ("name: a\nclasses:\n- {name: b, rgb: [1, 2, true]}\n", "found True: expected a whole number"),
        (
            "name: a\nclasses:\n- {name: on, rgb: [1, 2, 3]}\n",
            "found True: expected a text; put it in quotes",
        ),
        ("name: a\nname: b\n", "line 2: the key 'name' stands in line 1 already"),
        (
            "name: a\nclasses:\n- {name: b, rgb: [1, 2, 3]}\n- {name: b, rgb: [1, 2, 3]}\n",
            "two classes of the name 'b'",
        ),
        ("name: [\n", "line 2: not YAML"),
        pytest.param("[" * 5_000, "not readable as YAML", id="deep"),
        ("- a\n", "found a list: expected keys and values"),
        ("name: &a [*a]\nclasses: []", "found a list: expected a text"),
    ],
)
def test_a_wrong_class_set_is_said_in_one_line(tmp_path, text, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        label_set(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ConfigError, match=r"unknown class set 'kitti': choose ade20k, .*or give the path"):
        label_set("kitti")


def test_two_classes_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two classes of the name 'sky'"):
        LabelSet("a", tuple(label_set("camvid").classes[0]._replace(id=i) for i in range(2)))


def test_classes_are_printed_as_a_table_and_stay_a_sequence():
    given = (LabelClass(0, "sky", (1, 2, 255)), LabelClass(1, "a <b>", (0, 0, 0)))
    made = LabelSet("ours", given).classes
    assert made == given
    assert str(made) == "  0  sky    #0102ff\n  1  a <b>  #000000"
    assert (made[1].name, len(made), tuple(made)) == ("a <b>", 2, made)
    assert "<td>a &lt;b&gt;</td>" in made._repr_html_()
    assert made._repr_html_().count("<tr>") == 3


def test_classes_known_by_name_alone_have_the_colors_of_the_set_that_has_them():
    assert classes.with_names(label_set("cityscapes").names) == label_set("cityscapes").classes
    road, unknown, other = classes.with_names(["road", "crane", "conveyor"])
    assert (road.id, road.rgb) == (0, classes.CAMVID.classes[3].rgb)
    assert unknown.rgb != other.rgb
