"""The comparison of engines: the same work for each, and a table that says what did not run."""

import json

import pytest
import torch

from squeeze_segnet_ros import models, peers
from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.models import weights


@pytest.fixture
def weights_file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "squeeze_segnet.safetensors"
    weights.save(path, models.build("squeeze_segnet"), weights.WeightsMetadata("squeeze_segnet"))
    return path


def test_engines_take_turns_on_the_same_images(weights_file, tmp_path):
    absent = peers.Engine("absent", lambda case: pytest.fail("it cannot run"), ("no_such_package",))
    broken = peers.Engine("broken", lambda case: pytest.fail("it is looked up by name"))
    engines = [peers.ENGINES["ours fp32"], peers.ENGINES["PyTorch eager fp32"], absent, broken]
    case = peers.Case("squeeze_segnet", weights_file, "cpu", 48, 64, 2, 1, tmp_path)
    ours, eager, missing, failed = peers.measure(case, engines, seconds=0, min_rounds=3)
    assert ours.ratio == [1.0, 1.0, 1.0]
    assert eager.milliseconds[1] <= eager.milliseconds[0] <= eager.milliseconds[2]
    assert ours.agreement > 0.99 and eager.agreement == 1
    assert ours.peak_megabytes > 50
    assert missing.trouble == "no_such_package not installed" and not missing.milliseconds
    assert "KeyError" in failed.trouble

    table = peers.report([ours, eager, missing, failed], machine(), tmp_path / "out")
    assert "| absent | no_such_package not installed |" in table
    content = json.loads((tmp_path / "out" / "engines.json").read_text())
    assert [m["engine"] for m in content["measurements"]] == [e.name for e in engines]
    assert (tmp_path / "out" / "engines.md").read_text() == table


def machine():
    return {"device": "cpu", "model": "squeeze_segnet", "device_name": "a computer", "threads": 1}


def test_a_case_gives_every_engine_the_same_images(tmp_path):
    case = peers.Case("squeeze_segnet", tmp_path / "unused", "cpu", 33, 40, 2, 1, tmp_path)
    images = case.images()
    assert images.shape == (2, 33, 40, 3)
    assert (images == case.images()).all()
    assert images.std() > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine-batches", "0"], "--engine-batches has 0"),
        (["--engine-sizes", "7x7"], "at least 32"),
        (["--without", "ours", "PyTorch", "torch", "ONNX", "OpenVINO"], "leaves no engine"),
    ],
)
def test_bad_input_is_one_line_and_2(arguments, message, capsys):
    assert main(["benchmark", "--only", "engines", "--device", "cpu", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
