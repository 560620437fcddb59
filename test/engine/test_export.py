"""Exported files: they give our labels, in the operators that other runtimes have."""

import numpy as np
import pytest
import torch

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros import models
from squeeze_segnet_ros.__main__ import main
from squeeze_segnet_ros.engine import export

SIZE = (48, 67)
FORBIDDEN = {"MaxUnpool", "ScatterElements", "ScatterND", "GatherElements", "GatherND"}


@pytest.fixture(scope="module")
def weights_file(untrained):
    return untrained()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def labels(weights_file, images):
    return np.stack(ssr.load(weights=weights_file, device="cpu", precision="fp32")(list(images)))


@pytest.fixture(scope="module")
def onnx_file(weights_file, tmp_path_factory):
    pytest.importorskip("onnxscript", reason="writing ONNX needs the export extra")
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    arguments = ["--format", "onnx", "--weights", str(weights_file), "--size", "67x48", "--batch", "2"]
    assert main(["export", *arguments, "--output", str(path)]) == 0
    return path


def agreement(found, wanted):
    assert found.shape == wanted.shape and found.dtype == np.uint8
    return (found == wanted).mean()


@pytest.mark.slow
def test_torch_export_gives_our_labels(weights_file, images, labels, tmp_path, capsys):
    path = tmp_path / "below" / "network.pt2"
    arguments = [
        "--format",
        "torch-export",
        "--weights",
        str(weights_file),
        "--size",
        "67x48",
        "--batch",
        "2",
    ]
    assert main(["export", *arguments, "--output", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    program = torch.export.load(path)
    called = {str(node.target) for node in program.graph.nodes}
    assert not [name for name in called if "scatter" in name or "unpool" in name or "index" in name]
    assert agreement(program.module()(torch.from_numpy(images)).numpy(), labels) > 0.999


@pytest.mark.slow
@pytest.mark.parametrize("model", ["segnet_basic", "enet", "squeeze_segnet_v11"])
def test_other_networks_export(model):
    torch.manual_seed(0)
    network = export.LabelsNetwork(models.build(model)).eval()
    image = torch.randint(0, 256, (1, *SIZE, 3), dtype=torch.uint8)
    with torch.no_grad():
        found = export.exported(network, SIZE).module()(image)
        assert agreement(found.numpy(), network(image).numpy()) > 0.999


@pytest.mark.slow
def test_the_onnx_operators_are_everywhere(onnx_file):
    onnx = pytest.importorskip("onnx", reason="reading ONNX needs the export extra")
    model = onnx.load(onnx_file)
    onnx.checker.check_model(model)
    assert not FORBIDDEN & {node.op_type for node in model.graph.node}


def test_onnx_runtime_gives_our_labels(onnx_file, images, labels):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime comes with the export extra")
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    (found,) = session.run(["labels"], {"image": images})
    assert agreement(found, labels) > 0.999


def test_openvino_gives_our_labels(onnx_file, images, labels):
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    network = openvino.Core().compile_model(str(onnx_file), "CPU", exact)
    assert agreement(network(images)[0], labels) > 0.999


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "480"], "--size is '480'"),
        (["--size", "16x480"], "at least 32"),
        (["--batch", "0"], "--batch is 0"),
        (["--model", "lenet"], "unknown model 'lenet'"),
        (["--weights", "nowhere.safetensors"], "no weights file at nowhere.safetensors"),
    ],
)
def test_bad_input_is_one_line_and_2(arguments, message, capsys, tmp_path):
    output = tmp_path / "network.pt2"
    assert main(["export", "--format", "torch-export", "--output", str(output), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not output.exists()
