"""Weights files: what is written comes back, and what is wrong with a file is said."""

import dataclasses
import json
import os
import stat

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from squeeze_segnet_ros import models
from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.errors import UnknownModelError, WeightsError
from squeeze_segnet_ros.images.pixels import MEAN, STD
from squeeze_segnet_ros.models import weights

RELEASED = ("squeeze_segnet", "squeeze_segnet_v11", "enet", "segnet_basic")
TENSOR = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.fixture
def file(tmp_path):
    """Return a weights file of a fresh squeeze_segnet."""
    torch.manual_seed(0)
    path = tmp_path / "squeeze.safetensors"
    metadata = weights.WeightsMetadata(
        "squeeze_segnet", CAMVID, "train", "abc", {"camvid/val": {"mean_iou": 0.5}}
    )
    weights.save(path, models.build("squeeze_segnet"), metadata)
    return path


def metadata_of(path):
    """Return the text that the file holds about itself."""
    with safe_open(path, "pt") as opened:
        return opened.metadata()["squeeze_segnet_ros"]


def test_another_normalization_is_kept_but_not_trained_on(file):
    metadata = json.loads(metadata_of(file))
    assert metadata["mean"] == list(MEAN)
    assert metadata["std"] == list(STD)
    other = dataclasses.replace(weights.WeightsMetadata("squeeze_segnet"), mean=(0.5, 0.5, 0.5))
    network = models.build("squeeze_segnet")
    weights.save(file, network, other)
    assert weights.load(file)[1].mean == (0.5, 0.5, 0.5)
    with pytest.raises(WeightsError, match=r"mean \(0.5, 0.5, 0.5\) .* takes weights for \(0.485"):
        weights.load_into(network, "squeeze_segnet", file)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(file, value):
    network = models.build("squeeze_segnet")
    network.conv10.weight.data[3, 4] = value
    weights.save(file, network, weights.WeightsMetadata("squeeze_segnet"))
    with pytest.raises(WeightsError, match=r"1 of 262144 values of tensor 'conv10.weight' are not finite"):
        weights.load(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_named_as_one(file, zipped):
    torch.save({"x": torch.zeros(3)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match=r"file of torch.save, a pickle") as caught:
        weights.load(file)
    assert "\n" not in str(caught.value)


def test_a_file_may_be_read_by_whom_the_umask_lets(file):
    before = os.umask(0o027)
    try:
        weights.save(file, models.build("enet"), weights.WeightsMetadata("enet"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_round_trip_in_fp16(file):
    network = models.build("squeeze_segnet")
    metadata = weights.load_into(network, "squeeze_segnet", file)
    assert metadata.label_set == CAMVID
    assert metadata.figures == {"camvid/val": {"mean_iou": 0.5}}
    torch.manual_seed(0)
    original = models.build("squeeze_segnet")
    for name, tensor in original.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor.half().to(tensor.dtype)), name


def test_a_released_file_fits_the_repository(file):
    assert file.stat().st_size < 6_000_000


@pytest.mark.parametrize("model", RELEASED)
def test_released_weights_fit_their_network_and_name_their_figures(model):
    path = weights.released(model)
    metadata = weights.load_into(models.build(model), model, path)
    assert path.stat().st_size <= 6_000_000
    assert metadata.label_set == CAMVID
    assert metadata.trained_on
    assert {"mean", "std", "command", "revision"} <= json.loads(metadata_of(path)).keys()
    assert 0.5 < metadata.figures["camvid/test"]["class_average_accuracy"] < 1


def test_average_writes_the_mean(file, tmp_path):
    torch.manual_seed(1)
    other = models.build("squeeze_segnet")
    weights.save(tmp_path / "other.safetensors", other, weights.WeightsMetadata("squeeze_segnet"))
    mean = tmp_path / "mean.safetensors"
    assert main(["average", str(file), str(tmp_path / "other.safetensors"), "--output", str(mean)]) == 0
    tensors, metadata = weights.load(mean)
    first, second = (weights.load(path)[0] for path in (file, tmp_path / "other.safetensors"))
    for name, tensor in tensors.items():
        expected = (first[name] + second[name]) / 2 if tensor.is_floating_point() else first[name]
        torch.testing.assert_close(tensor, expected, atol=1e-3, rtol=1e-3)
    assert metadata.figures == {}
    assert metadata.command.startswith("python -m squeeze_segnet_ros")


def test_average_of_what_has_none(file, tmp_path, capsys):
    enet, renamed, output = (tmp_path / name for name in ("enet.safetensors", "renamed.safetensors", "out"))
    weights.save(enet, models.build("enet"), weights.WeightsMetadata("enet"))
    classes = dataclasses.replace(CAMVID, name="other")
    weights.save(renamed, models.build("squeeze_segnet"), weights.WeightsMetadata("squeeze_segnet", classes))
    for second, message in (
        (enet, "enet.safetensors holds weights of enet, not of squeeze_segnet"),
        (renamed, "renamed.safetensors has the classes of other"),
        (tmp_path / "nothing", "no weights file at"),
    ):
        assert main(["average", str(file), str(second), "--output", str(output)]) == 2
        assert message in capsys.readouterr().err
        assert not output.exists()


def test_missing_file(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file at .*nothing"):
        weights.load(tmp_path / "nothing.safetensors")


def test_truncated_file(file):
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        weights.load(file)


def test_garbage(file):
    file.write_bytes(b"\xff" * 5000)
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        weights.load(file)


def header(**entries):
    """Return a safetensors file with this header and 16 bytes of data."""
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


def metadata(classes):
    """Return our metadata with a label set of these classes."""
    text = {"model": "squeeze_segnet", "label_set": {"name": "x", "classes": classes}}
    return {"squeeze_segnet_ros": json.dumps(text)}


@pytest.mark.parametrize(
    "content",
    [
        (2**63 - 1).to_bytes(8, "little") + b"{}",
        (10**9).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        header(x={"dtype": "F32", "shape": [4], "data_offsets": [0, 10**12]}),
        header(x={"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}),
        header(x={"dtype": "F32", "shape": [4], "data_offsets": [8, 4]}),
        header(x={"dtype": "F99", "shape": [4], "data_offsets": [0, 16]}),
        header(__metadata__={"squeeze_segnet_ros": "[" * 100_000}, x=TENSOR),
        header(__metadata__={"squeeze_segnet_ros": '"text"'}, x=TENSOR),
        header(__metadata__=metadata([[0, "x", [0, 0, 0]]] * 300), x=TENSOR),
        header(__metadata__=metadata([[7, "x", [0, 0, 0]]]), x=TENSOR),
        header(__metadata__=metadata([[0, "x", [0, 0, 999]]]), x=TENSOR),
    ],
)
def test_headers_that_lie(file, content):
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=r"not a complete safetensors file|damaged 'squeeze_segnet_ros'"):
        weights.load(file)


def test_tensors_outlive_the_file(file):
    weights.save(file, models.build("enet"), weights.WeightsMetadata("enet"), torch.float32)
    tensors, _ = weights.load(file)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    file.write_bytes(b"")
    assert all(torch.equal(tensors[name], tensor) for name, tensor in before.items())


def test_foreign_safetensors(file):
    save_file({"x": torch.zeros(3)}, file)
    with pytest.raises(WeightsError, match="not written by this package"):
        weights.load(file)


def test_weights_of_another_network(file):
    with pytest.raises(WeightsError, match="holds weights of squeeze_segnet, not of squeeze_segnet_v11"):
        weights.load_into(models.build("squeeze_segnet_v11"), "squeeze_segnet_v11", file)


def test_tensors_that_do_not_fit(file):
    _, metadata = weights.load(file)
    weights.save(
        file, models.build("squeeze_segnet_v11"), dataclasses.replace(metadata, model="squeeze_segnet")
    )
    with pytest.raises(WeightsError, match="do not fit squeeze_segnet"):
        weights.load_into(models.build("squeeze_segnet"), "squeeze_segnet", file)


def test_unknown_network_lists_the_known_ones():
    with pytest.raises(UnknownModelError, match=r"unknown model 'squeezenet'.*squeeze_segnet_v11"):
        models.build("squeezenet")
