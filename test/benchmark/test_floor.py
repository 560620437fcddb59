"""The least time for a network: its work counted as by hand, and the rates that it is divided by."""

import itertools

import pytest
import torch

from benchmark import peers
from benchmark.floor import Rates, measured_rates, work
from squeeze_segnet_ros import models


def test_work_is_counted_as_by_hand(monkeypatch):
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.ConvTranspose2d(8, 2, 2, stride=2)
    )
    monkeypatch.setattr(models, "build", lambda name, num_classes: layers.to("meta"))
    needed = work("any", 5, (32, 64))
    pixels = 5 * 32 * 64
    # 8 filters of 3x3x3; then each of 8 channels gives 2x2 pixels of 2 channels.
    assert needed.flop == 2 * pixels * (8 * 27 + 8 * 4 * 2)
    images, features, output = pixels * 3, pixels * 8, pixels * 4 * 2
    assert needed.elements == images + 2 * features + output + (8 * 27 + 8) + (8 * 4 * 2 + 2)


def test_work_grows_with_the_batch_and_weights_do_not():
    one, four = work("squeeze_segnet", 1, (96, 128)), work("squeeze_segnet", 4, (96, 128))
    assert four.flop == 4 * one.flop
    convolutions = sum(p.numel() for name, p in models.build("squeeze_segnet").named_parameters())
    assert 4 * one.elements - 3 * convolutions <= four.elements < 4 * one.elements


@pytest.mark.slow
def test_a_rate_is_that_of_the_fastest_try(monkeypatch):
    def rates(*seconds):
        """Measure with a clock by which the tries take so long, in turn."""
        steps = itertools.chain.from_iterable((1.0, each) for each in itertools.cycle(seconds))
        readings = itertools.accumulate(steps)
        monkeypatch.setattr("time.perf_counter", lambda: next(readings))
        return measured_rates(torch.device("cpu"), torch.float32)

    one, half = rates(1.0), rates(2.0, 0.5, 4.0)
    assert half.flop_per_second == 2 * one.flop_per_second
    assert half.bytes_per_second == 2 * one.bytes_per_second
    # By a clock on which every try takes a second, a rate is the work: whole cubes, whole buffers.
    assert round((one.flop_per_second / 2) ** (1 / 3)) ** 3 * 2 == one.flop_per_second
    assert one.bytes_per_second % 2 == 0


def test_floors_stand_beside_the_engines(tmp_path):
    case = peers.Case("squeeze_segnet", tmp_path / "unused", "cpu", 360, 480, 1, 1, tmp_path)
    ours = peers.Measurement("ours bf16", case.title, [20.0, 10.0, 30.0], [1.0, 1.0, 1.0])
    arithmetic, traffic = peers.floors(case, ours, Rates(14.8e12, 1e12), torch.bfloat16)
    assert arithmetic.milliseconds[0] == pytest.approx(1.0, rel=0.01)
    assert arithmetic.ratio == pytest.approx([20.0, 10.0, 30.0], rel=0.01)
    bytes_moved = 2 * work("squeeze_segnet", 1, (360, 480)).elements
    assert traffic.milliseconds[0] == pytest.approx(1000 * bytes_moved / 1e12)
    assert (
        peers.floors(case, peers.Measurement("ours bf16", case.title, [], []), Rates(1, 1), torch.float32)
        == []
    )
    machine = {"device": "cpu", "model": "squeeze_segnet", "device_name": "a computer", "threads": 1}
    table = peers.report([ours, arithmetic, traffic], machine, tmp_path / "out")
    assert "| floor: the arithmetic as one matrix product | 20.0" in table
