"""Scoring a network of one class set on the data of another."""

import numpy as np
import pytest

from squeeze_segnet_ros.classes import UNLABELLED, label_set
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.scoring.remap import read_names, remap

CAMVID, CITYSCAPES = label_set("camvid"), label_set("cityscapes")


def test_cityscapes_is_scored_in_camvids_classes():
    mapped = remap(CITYSCAPES, CAMVID, read_names("cityscapes_to_camvid"))
    assert mapped.classes is CAMVID
    joined = {name: CAMVID.names[mapped.predicted[i]] for i, name in enumerate(CITYSCAPES.names)}
    assert joined["rider"] == joined["bicycle"] == "bicyclist"
    assert joined["truck"] == "car" and joined["road"] == "road" and joined["terrain"] == "tree"
    assert set(joined.values()) == set(CAMVID.names)
    assert mapped.predicted[UNLABELLED] == UNLABELLED
    np.testing.assert_array_equal(mapped.truth, np.arange(256))


def test_a_network_of_few_classes_is_scored_on_data_of_many():
    mapped = remap(CAMVID, CITYSCAPES, read_names("cityscapes_to_camvid"))
    assert mapped.classes is CAMVID
    np.testing.assert_array_equal(mapped.predicted, np.arange(256))
    assert mapped.truth[CITYSCAPES.names.index("wall")] == CAMVID.names.index("building")


def test_equal_classes_need_no_names_and_others_do():
    assert remap(CAMVID, CAMVID).classes is CAMVID
    with pytest.raises(
        ConfigError, match="the 19 classes of cityscapes, the data the 11 of camvid: say with"
    ):
        remap(CITYSCAPES, CAMVID)


def test_names_are_given_as_pairs_or_in_a_file(tmp_path):
    assert read_names("rider=bicyclist, truck=null") == {"rider": "bicyclist", "truck": None}
    path = tmp_path / "names.yaml"
    path.write_text("rider: bicyclist\ntruck: null\n")
    assert read_names(str(path)) == {"rider": "bicyclist", "truck": None}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"rider": "bicyclist"},
            "--remap does not say what wall, traffic light, .* of cityscapes are in camvid",
        ),
        ({"wall": "brick"}, "there is no class 'brick' in camvid: choose sky"),
        ({"lorry": "car"}, "there is no class 'lorry' in camvid"),
    ],
)
def test_wrong_names_are_said(names, message):
    with pytest.raises(ConfigError, match=message):
        remap(CITYSCAPES, CAMVID, names)


def test_a_remap_that_is_not_there_is_said():
    with pytest.raises(ConfigError, match=r"'kitti': give pairs like .* or one of cityscapes_to_camvid"):
        read_names("kitti")
