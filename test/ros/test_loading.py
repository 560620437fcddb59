"""Which device the node's network ends up on, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.errors import ConfigError, DeviceError, WeightsError
from squeeze_segnet_ros.ros import loading
from squeeze_segnet_ros.ros.config import NodeConfig


class Engine:
    """Loads networks that fail as they are told to: ``errors`` by device, on loading or at the first pass."""

    def __init__(
        self, errors: dict[str, Exception] | None = None, at_first_pass: bool = False, auto: str = "cpu"
    ) -> None:
        self.at_first_pass, self.auto, self.errors = at_first_pass, auto, errors or {}
        self.asked: list[str] = []

    def __call__(self, model: str, weights: Any, device: str, precision: str, input_size: Any) -> Any:
        self.asked.append(device)

        def fail(*_: Any) -> None:
            if device in self.errors:
                raise self.errors[device]

        if not self.at_first_pass:
            fail()
        found = self.auto if device == "auto" else device
        return SimpleNamespace(device=found, classes=CAMVID.classes, segment=fail)


@pytest.fixture(autouse=True)
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a folder for the devices of this computer: none is a GPU."""
    monkeypatch.setattr(loading, "_DEVICES", tmp_path)
    return tmp_path


def test_a_computer_without_a_gpu_needs_no_words() -> None:
    loaded = loading.load_network(NodeConfig(), Engine())
    assert (loaded.segmenter.device, loaded.caution) == ("cpu", "")


@pytest.mark.parametrize("at_first_pass", [False, True])
@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: no kernel image is available\nhint"), DeviceError("cuda:0 is gone")]
)
def test_a_gpu_that_fails_is_done_without(error: Exception, at_first_pass: bool) -> None:
    engine = Engine({"auto": error}, at_first_pass, auto="cuda:0")
    loaded = loading.load_network(NodeConfig(), engine)
    assert engine.asked == ["auto", "cpu"]
    assert loaded.segmenter.device == "cpu"
    assert loaded.caution == f"runs on the CPU, since the GPU failed: {' '.join(str(error).split())}"


def test_a_gpu_that_is_there_and_does_not_start_is_named(devices: Path) -> None:
    (devices / "nvidia0").touch()
    (devices / "nvidiactl").touch()
    caution = loading.load_network(NodeConfig(), Engine()).caution
    assert f"runs on the CPU, though {devices}/nvidia0 is there: CUDA does not start (" in caution
    assert loading.load_network(NodeConfig(), Engine(auto="cuda:0")).caution == ""
    assert loading.load_network(NodeConfig().replaced({"device": "cpu"}), Engine()).caution == ""


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({}, WeightsError("no weights file")),
        ({}, ConfigError("a wrong size")),
        ({"device": "cuda:0"}, DeviceError("device 'cuda:0' does not exist")),
    ],
)
def test_what_another_device_would_not_mend_is_an_error(config: dict[str, Any], error: Exception) -> None:
    engine = Engine({"auto": error, "cuda:0": error})
    with pytest.raises(type(error), match=str(error)):
        loading.load_network(NodeConfig().replaced(config), engine)
    assert len(engine.asked) == 1


def test_classes_that_are_to_be_shown_must_be_the_networks() -> None:
    with pytest.raises(ConfigError, match="shown_classes names 'dragon': choose from all, sky"):
        loading.load_network(NodeConfig().replaced({"shown_classes": ["dragon"]}), Engine())
