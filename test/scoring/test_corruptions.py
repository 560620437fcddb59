"""The fifteen corruptions: repeatable, stronger with their severity, and scored."""

import json

import cv2
import numpy as np
import pytest

from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.scoring.corruptions import CORRUPTIONS, SEVERITIES, corrupt


def street(height=96, width=128):
    """Return an image with large and small things: uint8 (H, W, 3)."""
    coarse = np.random.default_rng(0).integers(40, 200, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def test_there_are_the_usual_fifteen():
    assert len(CORRUPTIONS) == 15 and SEVERITIES == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_repeatable_and_grows_with_its_severity(name):
    image = street()
    changed = [corrupt(image, name, severity, 3) for severity in SEVERITIES]
    for severity, each in zip(SEVERITIES, changed, strict=True):
        assert each.shape == image.shape and each.dtype == np.uint8
        np.testing.assert_array_equal(corrupt(image, name, severity, 3), each)
    distances = [np.abs(each.astype(int) - image).mean() for each in changed]
    assert min(distances) > 0.1
    if name != "elastic_transform":  # in the paper, its first two severities are other waves than the last
        assert distances[4] > distances[0]
    np.testing.assert_array_equal(image, street())


@pytest.mark.parametrize("size", [(32, 32), (33, 70)])
def test_any_size_will_do(size):
    for name in CORRUPTIONS:
        assert corrupt(street(*size), name, 5).shape == (*size, 3)


def test_what_there_is_not_is_said():
    with pytest.raises(ConfigError, match="there is no corruption 'rain': choose from gaussian_noise"):
        corrupt(street(), "rain", 1)
    with pytest.raises(ConfigError, match="severity 6: choose from 1, 2, 3, 4, 5"):
        corrupt(street(), "fog", 6)


@pytest.mark.slow
def test_evaluate_repeats_itself_under_corruptions(untrained, tmp_path, capsys):
    for folder in ("val", "valannot"):
        (tmp_path / folder).mkdir()
    for i in range(4):
        cv2.imwrite(str(tmp_path / "val" / f"{i}.png"), street(36, 48))
        cv2.imwrite(str(tmp_path / "valannot" / f"{i}.png"), np.full((36, 48), i, np.uint8))
    command = ["evaluate", "--model", "enet", "--weights", untrained("enet"), "--data", tmp_path]
    command += ["--device", "cpu", "--output", tmp_path / "out", "--limit", "2"]
    more = ["--corruptions", "fog", "jpeg_compression", "--severities", "1", "5"]
    assert main([*map(str, command), *more]) == 0
    text = capsys.readouterr().out
    assert "| corruption | 1 | 5 | mean |" in text and "| jpeg compression |" in text
    report = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert report["images"] == 2
    found = report["corruptions"]
    assert list(found["mean_iou"]) == ["fog", "jpeg_compression"]
    assert found["clean"] == report["mean_iou"]
    assert found["mean"] == pytest.approx(
        np.mean([list(each.values()) for each in found["mean_iou"].values()])
    )
    assert (tmp_path / "out" / "corruptions.jpg").stat().st_size > 1000
    assert main([*map(str, command), "--corruptions", "rain"]) == 2
    assert "there is no corruption 'rain'" in capsys.readouterr().err
