"""The benchmark command: what it counts, what it writes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmark import networks
from squeeze_segnet_ros import models
from squeeze_segnet_ros.__main__ import main


@pytest.mark.slow
def test_writes_a_table_and_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--only", "networks", "--models", "enet", "--size", "64x48", "--rounds", "3"]
    arguments = ["benchmark", *options, "--device", "cpu"]
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "networks.json").read_text())
    assert (report["width"], report["height"], report["precision"]) == (64, 48, "fp32")
    (network,) = report["networks"]
    assert network["name"] == "enet"
    assert network["parameters"] == sum(p.numel() for p in models.build("enet").parameters())
    assert network["megabytes"] == pytest.approx(network["parameters"] * 4 / 1e6)
    for spread in (network["milliseconds"], network["relative_time"]):
        assert 0 < spread["low"] <= spread["median"] <= spread["high"]
    # A run needs its parameters and more; None only where the system does not tell.
    assert network["peak_megabytes"] is None or network["peak_megabytes"] > 0
    table = (tmp_path / "networks.md").read_text()
    assert table in capsys.readouterr().out
    row = next(line for line in table.splitlines() if "`enet`" in line)
    assert "0.36 M" in row
    header = next(line for line in table.splitlines() if line.startswith("| network"))
    assert row.count("|") == header.count("|")


def test_counts_arithmetic_as_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # 8 filters of 3x3x3 at 32x64 positions, a multiplication and an addition each.
    monkeypatch.setattr(models, "build", lambda name, num_classes: torch.nn.Conv2d(3, 8, 3, padding=1))
    assert networks.gflop("any", (32, 64)) == pytest.approx(2 * 8 * 27 * 32 * 64 / 1e9)


def test_arithmetic_of_the_papers_network() -> None:
    assert networks.gflop("squeeze_segnet", (360, 480)) == pytest.approx(14.8, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--models", "enet,lenet"], "unknown model 'lenet': choose one of all, squeeze_segnet"),
        (["--size", "480"], "--size is '480'"),
        (["--size", "31x64"], "at least 32 pixels"),
        (["--rounds", "1"], "--rounds is 1"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--precision", "int8"], "--precision is int8: networks are compared in fp32"),
    ],
)
def test_bad_input_gives_one_line_and_exit_code_2(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *arguments, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
