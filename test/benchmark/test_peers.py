"""The comparison of engines: the same work for each, and a table that says what did not run."""

import json

import numpy as np
import pytest
import torch

import squeeze_segnet_ros as ssr
from benchmark import peers
from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.data.dataset import Labelled


@pytest.fixture
def weights_file(untrained):
    return untrained()


@pytest.mark.slow
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


def measured(engine, ratio, case="480x360 x 1"):
    return peers.Measurement(engine, case, [2.0, 1.0, 3.0], [ratio, ratio - 0.01, ratio + 0.01])


def test_the_table_says_what_was_to_be_reached():
    measurements = [
        measured("ours bf16", 1.0),
        measured("ONNX Runtime fp32", 0.25),
        measured("ONNX Runtime fp32", 0.75, case="960x720 x 1"),
        peers.Measurement("PyTorch eager bf16", "480x360 x 1", [], [], trouble="no memory"),
    ]
    agreed = peers.Agreement("bf16", "7 images", 0.99612, 0.7012, 0.7)
    lines = peers.targets_table(measurements, agreed).splitlines()
    assert [line for line in lines if line.startswith("| our")] == [
        "| our time / ONNX Runtime fp32 | 0.25 (0.24-0.26) | 0.30 | 0.12 |"
    ]
    assert "| same labels in bf16 and fp32, 7 images | 99.61 % | 99.5 % | |" in lines
    assert "| change of the class average from 70.00 % | +0.120 points | 0.2 | |" in lines
    assert peers.targets_table([measured("ours bf16", 1.0)], None) == ""


def test_agreement_counts_labels_and_scores_them(weights_file):
    images = torch.randint(0, 256, (2, 3, 40, 48), dtype=torch.uint8, generator=torch.manual_seed(0))
    net = ssr.load(weights=weights_file, device="cpu", precision="fp32")
    exact = np.stack(net([each.permute(1, 2, 0).contiguous().numpy() for each in images]))
    truth = torch.from_numpy(exact).clone()
    truth[0] = 255
    truth[1, :10] = (truth[1, :10] + 1) % 11
    data = [
        Labelled(image, labels)
        for image, labels in zip(images.permute(0, 2, 3, 1).contiguous().numpy(), truth.numpy(), strict=True)
    ]
    mine = peers.agreement("squeeze_segnet", weights_file, "cpu", "fp32", data, "2 images")
    assert mine.same_labels == 1 and mine.class_average == mine.class_average_fp32
    kept = exact[1, 10:]
    of_class = [(kept == k).sum() / max((truth[1] == k).sum().item(), 1) for k in range(11)]
    there = [k for k in range(11) if (truth[1] == k).any()]
    assert mine.class_average == pytest.approx(np.mean([of_class[k] for k in there]))
    rounded = peers.agreement("squeeze_segnet", weights_file, "cpu", "bf16", data, "2 images")
    assert 0 < rounded.same_labels < 1


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
        (["--engine-cases", "480x360x1", "480x360x0"], "'480x360x0': give width x height x batch"),
        (["--engine-cases", "7x64x1"], "--engine-cases 7x64x1 is '7x64': give width x height of at least 32"),
        (["--engine-cases", "480x360"], "'480x360': give width x height x batch"),
        (["--data", "nowhere"], "nowhere"),
        (["--without", *peers.ENGINES], "leaves no engine"),
    ],
)
def test_bad_input_is_one_line_and_2(arguments, message, capsys):
    assert main(["benchmark", "--only", "engines", "--device", "cpu", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
