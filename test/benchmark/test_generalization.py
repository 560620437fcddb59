"""The score that trainings are chosen by: its parts, and what it refuses."""

import json

import cv2
import numpy as np
import pytest

from benchmark.generalization import CHANGES
from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.data.dataset import open_dataset
from squeeze_segnet_ros.data.to_bag import write_bag


@pytest.fixture
def camvid(tmp_path):
    """Return a folder whose val and train show two small images each."""
    root = tmp_path / "camvid"
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder in (split, f"{split}annot"):
            (root / folder).mkdir(parents=True)
        for town in ("paris", "boston"):
            image = generator.integers(0, 256, (36, 48, 3), np.uint8)
            cv2.imwrite(str(root / split / f"{town}.png"), image)
            cv2.imwrite(str(root / f"{split}annot" / f"{town}.png"), image[..., 0] % 12)
    return root


@pytest.fixture
def weights_file(untrained):
    return untrained("enet")


def test_the_score_is_the_mean_of_its_parts(camvid, weights_file, tmp_path, capsys):
    write_bag(open_dataset(camvid), tmp_path / "drive", "val")
    common = ["--data", camvid, "--drive", tmp_path / "drive", "--device", "cpu"]
    arguments = [
        "generalization",
        weights_file,
        *common,
        "--streets",
        camvid,
        "--output",
        tmp_path / "a.json",
    ]
    assert main([*map(str, arguments)]) == 0
    (figures,) = json.loads((tmp_path / "a.json").read_text()).values()
    assert list(figures) == ["val", "changed", "streets", "drive", "score"]
    assert figures.pop("score") == pytest.approx(sum(figures.values()) / 4)
    assert "weights | val | changed | streets | drive | score" in capsys.readouterr().out
    arguments = ["generalization", weights_file, *common, "--streets", camvid, "--towns", "rome"]
    assert main([*map(str, arguments)]) == 2
    assert "no image of" in capsys.readouterr().err


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_light_keeps_the_size_and_changes_the_image(name):
    image = np.random.default_rng(1).integers(40, 200, (20, 30, 3)).astype(np.float32)
    before = image.copy()
    changed = CHANGES[name](image)
    assert changed.shape == image.shape
    assert np.array_equal(image, before)
    assert np.abs(changed - image).mean() > 1
