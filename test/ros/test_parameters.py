"""The typed config: what is in the files, what ROS is told, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.ros.config import Change, NodeConfig, settings

CONFIG = Path(__file__).resolve().parents[2] / "config"


def parameters_of(name: str) -> dict[str, Any]:
    nodes = yaml.safe_load((CONFIG / name).read_text())
    assert list(nodes) == ["/**"], "the file is for the node in every namespace"

    def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in tree.items():
            found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        return found

    return flat(nodes["/**"]["ros__parameters"])


def test_the_file_holds_every_parameter_with_its_default() -> None:
    written = parameters_of("segnet.yaml")
    defaults = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in NodeConfig().values().items()
    }
    assert written == defaults
    assert [type(written[name]) for name in defaults] == [type(value) for value in defaults.values()]


@pytest.mark.parametrize("name", ["surround_view.yaml", "low_power_cpu.yaml"])
def test_the_examples_are_accepted(name: str) -> None:
    written = parameters_of(name)
    config = NodeConfig().replaced(written)
    assert written.keys() <= config.values().keys()
    assert config != NodeConfig()


def test_the_surround_view_has_six_cameras() -> None:
    assert len(NodeConfig().replaced(parameters_of("surround_view.yaml")).cameras) == 6


def test_the_defaults_are_valid_and_described() -> None:
    NodeConfig().check()
    for setting in settings():
        assert setting.description.endswith("."), setting.name
        assert not setting.choices or setting.default in setting.choices, setting.name


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("overlay.alpha", 1.5, "overlay.alpha is 1.5: must be from 0.0 to 1.0"),
        ("overlay.alpha", float("nan"), "must be from 0.0 to 1.0"),
        ("overlay.alpha", "half", "overlay.alpha is 'half': expected a number"),
        ("overlay.alpha", True, "expected a number"),
        ("min_confidence", -0.1, "min_confidence is -0.1"),
        ("max_age", -1.0, "max_age is -1.0"),
        ("max_waiting", 0, "max_waiting is 0: must be from 1"),
        ("max_waiting", 1.5, "expected a whole number"),
        ("transport", "theora", "choose one of raw, compressed"),
        ("precision", "int4", "choose one of auto, fp32, bf16, fp16, int8"),
        ("qos.reliability", "sure", "choose one of auto, reliable, best_effort"),
        ("qos.depth", 0, "qos.depth is 0"),
        ("weights", 7, "weights is 7: expected a text"),
        ("autostart", "yes", "expected true or false"),
        ("cameras", [], "cameras is empty"),
        ("cameras", None, "cameras is None: expected a text"),
        ("cameras", "null", "cameras is null: name at least one image topic"),
        ("cameras", ["/camera front"], "'/camera front' is not a topic name"),
        ("cameras", ["/a/image_raw/compressed"], "set transport to compressed and name it '/a/image_raw'"),
        ("cameras", ["/a/image_raw", "/a/image_raw"], "'/a/image_raw' is named twice"),
        ("input_size", [480], "give [height, width]"),
        ("input_size", [0, 480], "give [height, width]"),
        ("input_size", [360, 99999], "input_size is 99999"),
        ("label_size", [0, 480], "label_size is [0, 480]: give [height, width]"),
        ("shown_classes", [], "shown_classes is empty"),
        ("max_age", None, "expected a number"),
    ],
)
def test_bad_values_are_refused_with_the_reason(name: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        NodeConfig().replaced({name: value})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_whole_number_stands_for_a_float_and_a_text_for_a_list() -> None:
    config = NodeConfig().replaced({"max_age": 2, "cameras": "/front/image"})
    assert config.max_age == 2.0
    assert isinstance(config.max_age, float)
    assert config.cameras == ("/front/image",)


def test_a_change_leaves_the_rest_and_the_original_alone() -> None:
    before = NodeConfig().replaced({"overlay.alpha": 0.25})
    after = before.replaced({"qos.depth": 2})
    assert (after.overlay.alpha, after.qos.depth, before.qos.depth) == (0.25, 2, NodeConfig().qos.depth)


def test_the_size_for_the_network() -> None:
    assert NodeConfig().network_size is None
    assert NodeConfig().replaced({"input_size": [240, 320]}).network_size == (240, 320)


class TestInRos:
    """What becomes of the config in ROS."""

    @pytest.fixture(autouse=True)
    def _ros(self) -> None:
        pytest.importorskip("rclpy", reason="needs ROS 2")

    def test_descriptors_say_what_may_be_set_and_when(self) -> None:
        from squeeze_segnet_ros.ros.parameters import describe

        described = {setting.name: describe(setting) for setting in settings()}
        alpha = described["overlay.alpha"].floating_point_range[0]
        assert (alpha.from_value, alpha.to_value) == (0.0, 1.0)
        depth = described["qos.depth"].integer_range[0]
        assert (depth.from_value, depth.to_value) == (1, 1000)
        assert described["autostart"].read_only
        assert not described["overlay.alpha"].read_only
        assert "one of raw, compressed" in described["transport"].additional_constraints
        assert Change.SWITCH.value in described["model"].additional_constraints
        assert all(descriptor.description for descriptor in described.values())

    def test_unknown_names_are_reported_with_the_closest_known_one(self) -> None:
        from squeeze_segnet_ros.ros.parameters import complaints_about_unknown

        lines = complaints_about_unknown(
            ["overlay.alpah", "use_sim_time", "model", "qos_overrides./clock.depth"]
        )
        assert lines == ["unknown parameter 'overlay.alpah' is ignored: did you mean 'overlay.alpha'?"]

    def test_changes_name_what_differs(self) -> None:
        from rclpy.parameter import Parameter

        from squeeze_segnet_ros.ros.parameters import changed

        given = [
            Parameter("max_age", value=2),
            Parameter("model", value=NodeConfig().model),
            Parameter("x", value=1),
        ]
        config, different = changed(NodeConfig(), given)
        assert config.max_age == 2.0
        assert [setting.name for setting in different] == ["max_age"]
