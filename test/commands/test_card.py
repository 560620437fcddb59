"""The command card: what it writes runs, and what it finds wrong is wrong."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros import models
from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.models import weights


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """Write a picture of blobs."""
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0)) * 255
    image = F.interpolate(coarse, (96, 128), mode="bicubic").clamp(0, 255)[0].permute(1, 2, 0)
    path = tmp_path_factory.mktemp("picture") / "picture.png"
    cv2.imwrite(str(path), image.to(torch.uint8).numpy())
    return path


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("raspp", {"kind": "logits", "layout": "NCHW", "name": "logits"}),
        ("unet", {"kind": "probabilities", "layout": "NCHW", "name": "out"}),
        ("labels", {"kind": "labels", "layout": "NHW", "name": "out"}),
    ],
)
def test_it_writes_what_the_file_shows(foreign_networks, tmp_path, capsys, name, wanted):
    file, path = foreign_networks[name].card.with_suffix(".onnx"), tmp_path / "draft.yaml"
    assert main(["card", str(file), "--output", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "questions to answer" in printed and "# ?" in printed
    card, own = yaml.safe_load(path.read_text()), yaml.safe_load(foreign_networks[name].card.read_text())
    assert card["output"] == wanted
    for key, default in (("layout", "NCHW"), ("dtype", "float32"), ("size", None)):
        assert card["input"].get(key, default) == own["input"].get(key, default)
    if name == "labels":
        # How many classes there are is the one thing that such a file does not show.
        path.write_text(path.read_text().replace("color: rgb", "color: bgr"))
    net = ssr.load(path, device="cpu")
    assert name == "labels" or len(net.classes) == len(ssr.load(foreign_networks[name].card).classes)
    assert main(["card", str(file), "--output", str(path)]) == 2
    assert "is there already: give --output another name, or --force" in capsys.readouterr().err


def test_weights_of_ours_need_no_more_than_their_name(tmp_path, capsys):
    file = tmp_path / "mine.safetensors"
    weights.save(file, models.build("enet"), weights.WeightsMetadata("enet"))
    assert main(["card", str(file)]) == 0
    assert "# enet; classes, mean and standard deviation are those of the file" in capsys.readouterr().out
    assert ssr.load(tmp_path / "mine.yaml", device="cpu").model == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a network's FILE, or --check CARD IMAGE"),
        (["net.h5"], "expected a file that ends in .onnx, .pt2, .safetensors"),
        (["nothing.onnx"], "there is no file nothing.onnx"),
        (["--check", "net.onnx", "x.png"], "net.onnx is no card"),
        (["--check", "nothing.yaml", "x.png"], "no file nothing.yaml"),
    ],
)
def test_bad_input_is_one_line_and_2(arguments, message, capsys):
    assert main(["card", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "changes", "finding"),
    [
        ("unet", {"output": {"kind": "logits"}}, "probabilities already, they add up to 1"),
        ("raspp", {"output": {"kind": "probabilities"}}, "do not add up to 1: is output.kind logits"),
        ("raspp", {"input": {"scale": 100.0, "mean": [1e6, 1e6, 1e6]}}, "almost all is"),
    ],
)
def test_what_looks_wrong_is_said(foreign_networks, picture, tmp_path, capsys, name, changes, finding):
    card = yaml.safe_load(foreign_networks[name].card.read_text()) | changes
    card["file"] = str(foreign_networks[name].card.with_suffix(".onnx"))
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    drawn = tmp_path / "drawn.png"
    assert main(["card", "--check", str(tmp_path / "card.yaml"), str(picture), "--output", str(drawn)]) == 0
    printed = capsys.readouterr().out
    assert "looks wrong: " in printed and finding in printed
    image = cv2.imread(str(drawn))
    assert image.shape[1] > 2 * 128 and len(np.unique(image)) > 10


def test_a_good_card_is_drawn_with_its_legend(foreign_networks, picture, tmp_path, capsys):
    drawn = tmp_path / "drawn.png"
    card = str(foreign_networks["labels"].card)
    assert main(["card", "--check", card, str(picture), "--output", str(drawn), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "of the labels stay with red and blue swapped" in printed and "looks wrong:" not in printed
    assert drawn.exists()
