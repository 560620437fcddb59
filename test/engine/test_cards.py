"""Networks from outside: a card is all it takes, and their labels are those of the file run by hand."""

import gc
import io
import re
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import UNLABELLED, LabelSet, label_set
from squeeze_segnet_ros.engine import Request
from squeeze_segnet_ros.engine.backends import onnx
from squeeze_segnet_ros.errors import ConfigError, DeviceError, SegmentationError
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.memory import resident_bytes
from squeeze_segnet_ros.models import weights
from support import foreign

SIZES = ((61, 83), (96, 160), (120, 97))


def image_of(size, seed=0):
    """Return blobs of color, uint8 (H, W, 3)."""
    coarse = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(seed)) * 255
    smooth = F.interpolate(coarse, size, mode="bicubic").clamp(0, 255)
    return smooth[0].permute(1, 2, 0).to(torch.uint8).contiguous().numpy()


def runner(card):
    """Run the file by hand: array in, array out."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(card.with_suffix(".onnx")), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"image": x})[0]


@pytest.fixture(scope="module")
def networks(foreign_networks):
    return foreign_networks


@pytest.fixture(scope="module")
def nets(networks):
    return {name: ssr.load(each.card, device="cpu") for name, each in networks.items()}


@pytest.fixture
def changed(networks, tmp_path):
    """Write the card of a network with some keys changed; None drops one. Keys are dotted."""

    def change(network, **keys):
        card = networks[network].card
        content = yaml.safe_load(card.read_text())
        content["file"] = str(card.with_suffix(".onnx"))
        for key, value in keys.items():
            place = content
            *parents, last = key.split("__")
            for parent in parents:
                place = place.setdefault(parent, {})
            if value is None:
                place.pop(last)
            else:
                place[last] = value
        path = tmp_path / "card.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return change


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", foreign.NAMES)
def test_labels_are_those_of_the_file_run_by_hand(networks, nets, name, size):
    image = image_of(size)
    wanted = networks[name].by_hand(runner(networks[name].card), image)
    labels = nets[name](image)
    assert labels.dtype == np.uint8 and labels.shape == size
    assert len(np.unique(wanted)) > 1
    assert (labels == wanted).mean() > 0.999


@pytest.mark.parametrize("name", foreign.NAMES)
def test_three_cameras_of_two_sizes(nets, name):
    images = [image_of(size, i) for i, size in enumerate((SIZES[0], SIZES[1], SIZES[0]))]
    for image, labels in zip(images, nets[name](images), strict=True):
        assert (labels == nets[name](image)).mean() > 0.999


def test_what_a_card_says_of_its_network(networks, nets):
    net = nets["raspp"]
    assert (net.model, net.device, net.precision) == ("raspp", "cpu", "file")
    assert net.label_set == label_set("cityscapes")
    assert net.weights == networks["raspp"].card.with_suffix(".onnx")
    assert len(net.weights_sha256) == 64
    assert "raspp" in repr(net)


def test_confidence_is_the_probability_of_the_class(networks, nets):
    image = image_of(SIZES[0])
    x = ((image / np.float32(255) - np.float32(foreign.MEAN)) / np.float32(foreign.STD)).transpose(2, 0, 1)
    logits = torch.from_numpy(runner(networks["raspp"].card)(np.ascontiguousarray(x[None], np.float32)))
    found = nets["raspp"].segment(image).confidence
    assert np.abs(found - 255 * logits.softmax(1)[0].amax(0).numpy()).max() < 1.5
    overlay = nets["raspp"].segment(image, Request(overlay=True)).overlay
    assert overlay.shape == image.shape


def test_probabilities_are_not_squashed_again(networks, nets):
    image = image_of((96, 160))
    x = np.ascontiguousarray(image.transpose(2, 0, 1)[None] / np.float32(255), np.float32)
    probabilities = torch.from_numpy(runner(networks["unet"].card)(x))
    wanted = F.interpolate(probabilities, (96, 160), mode="bilinear", align_corners=False)[0].amax(0)
    assert np.abs(nets["unet"].segment(image).confidence - 255 * wanted.numpy()).max() < 1.5


def test_a_network_of_labels_alone_has_no_confidence(nets):
    net, image = nets["labels"], image_of(SIZES[0])
    assert net.segment(image).confidence is None
    with pytest.raises(ConfigError, match="labels gives labels without scores: a confidence image takes"):
        net.segment(image, Request(confidence=True))
    with pytest.raises(ConfigError, match=r"min_confidence 0\.5 takes a network that gives logits"):
        net.segment(image, Request(min_confidence=0.5))


def test_padding_up_to_a_multiple(changed):
    net = ssr.load(changed("raspp", input__multiple_of=32), device="cpu")
    plain = ssr.load(changed("raspp"), device="cpu")
    whole = image_of((64, 96))
    assert np.array_equal(net(whole), plain(whole))
    labels = net(image_of((61, 83)))
    assert labels.shape == (61, 83)
    assert (labels[:40, :60] == plain(image_of((61, 83)))[:40, :60]).mean() > 0.9


def test_bgr_is_the_other_way_round(changed):
    image = image_of(SIZES[0])
    swapped = ssr.load(changed("raspp", input__color="bgr"), device="cpu")
    plain = ssr.load(changed("raspp"), device="cpu")
    assert np.array_equal(swapped(image), plain(np.ascontiguousarray(image[:, :, ::-1])))


def test_joined_classes_add_their_probabilities(networks, changed):
    image = image_of((96, 160))
    x = np.ascontiguousarray(image.transpose(2, 0, 1)[None] / np.float32(255), np.float32)
    p = torch.from_numpy(runner(networks["unet"].card)(x))
    p = F.interpolate(p, (96, 160), mode="bilinear", align_corners=False)[0]
    camvid = label_set("camvid").names
    card = changed("unet", remap="camvid", map={"rider": "bicyclist", "bicycle": "bicyclist", "sky": None})
    net = ssr.load(card, device="cpu")
    assert net.label_set.names == camvid
    joined = torch.stack([p[1], p[2], p[3] + p[4], p[0]])  # road, car, bicyclist, nothing
    ids = np.array([camvid.index("road"), camvid.index("car"), camvid.index("bicyclist"), UNLABELLED])
    wanted = ids[joined.argmax(0).numpy()]
    found = net.segment(image)
    assert (found.labels == wanted).mean() > 0.999
    labelled = found.labels != UNLABELLED
    probability = (joined / joined.sum(0)).amax(0).numpy()
    assert np.abs(found.confidence - 255 * probability)[labelled & (wanted != UNLABELLED)].max() < 1.5
    assert not found.confidence[~labelled].any()


def test_labels_are_remapped_too(changed):
    classes = [{"name": f"class {i}", "rgb": [0, 0, i]} for i in range(7)]
    mapping = {f"class {i}": "low" if i < 3 else None for i in range(7)}
    image = image_of(SIZES[0])
    before = ssr.load(changed("labels"), device="cpu")(image)
    net = ssr.load(
        changed("labels", classes=classes, remap=[{"name": "low", "rgb": [9, 9, 9]}], map=mapping),
        device="cpu",
    )
    assert np.array_equal(net(image), np.where(before < 3, 0, UNLABELLED))


def test_openvino_gives_the_labels_of_onnx_runtime(networks, nets):
    pytest.importorskip("openvino", reason="OpenVINO comes with the openvino extra")
    image = image_of(SIZES[0])
    for name in foreign.NAMES:
        net = ssr.load(networks[name].card, device="openvino", precision="fp32")
        assert (net.device, net.precision) == ("openvino", "fp32")
        assert (net(image) == nets[name](image)).mean() > 0.99
        assert (net([image, image])[1] == net(image)).all()
    rounded = ssr.load(networks["raspp"].card, device="openvino", precision="bf16")
    assert (rounded(image) == nets["raspp"](image)).mean() > 0.9


def exported_card(path, network, example, shapes=None, **card):
    torch.export.save(torch.export.export(network.eval(), (example,), dynamic_shapes=shapes), path)
    content = {"name": "exported", "file": path.name, **card}
    path.with_suffix(".yaml").write_text(yaml.safe_dump(content))
    return path.with_suffix(".yaml")


def test_a_file_of_torch_export(tmp_path):
    torch.manual_seed(0)
    network = foreign.LiteRaspp()
    any_length = torch.export.Dim.AUTO
    card = exported_card(
        tmp_path / "net.pt2", network, torch.zeros(2, 3, 64, 96), (dict.fromkeys((0, 2, 3), any_length),),
        input={"scale": 1 / 255}, output={"kind": "logits"}, classes="cityscapes",
    )  # fmt: skip
    net = ssr.load(card, device="cpu")
    images = [image_of(SIZES[0]), image_of(SIZES[0], 1), image_of(SIZES[2])]
    for image, labels in zip(images, net(images), strict=True):
        with torch.no_grad():
            logits = network(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
        assert (labels == logits[0].argmax(0).numpy()).mean() > 0.999
    with pytest.raises(DeviceError, match="runs as it was exported"):
        ssr.load(card, device="cpu", precision="bf16")


class RunsWhenUnpickled:
    def __reduce__(self):
        return (exec, ("raise SystemExit('it ran')",))


def with_graph(change):
    """Change the graph's text in a .pt2."""

    def rewrite(name, content):
        return change(content.decode()).encode() if "/models/" in name else content

    return rewrite


def pickled_sample(name, content):
    if "/sample_inputs/" not in name:
        return content
    stream = io.BytesIO()
    torch.save(RunsWhenUnpickled(), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("rewrite", "added", "message"),
    [
        (
            with_graph(lambda text: text.replace("torch.ops.aten.relu.default", "torch.hub.load")),
            None,
            "hub.load",
        ),
        (
            with_graph(lambda text: text.replace("Symbol('", "__import__('os').getcwd() or Symbol('")),
            None,
            "size",
        ),
        (pickled_sample, None, "sample inputs are more than tensors"),
        (
            lambda name, content: content.replace(b'"use_pickle": false', b'"use_pickle": true'),
            None,
            "pickled",
        ),
        (None, "net/data/aotinductor/model/model.so", "code or an object"),
        (None, "net/data/constants/custom_obj_0", "code or an object"),
        (None, "net/models/other.json", "holds 2 graphs"),
    ],
)
def test_a_pt2_that_asks_for_more_than_a_graph_is_refused(tmp_path, rewrite, added, message):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU())
    shapes = ({0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO},)
    classes = [{"name": name, "rgb": [0, 0, 0]} for name in "abc"]
    file = tmp_path / "net.pt2"
    card = exported_card(
        file, network, torch.zeros(2, 3, 64, 96), shapes, output={"kind": "logits"}, classes=classes
    )
    assert ssr.load(card, device="cpu")(image_of((64, 96))).shape == (64, 96)
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, rewrite(name, content) if rewrite else content)
        if added:
            archive.writestr(added, b"{}")
    with pytest.raises(ConfigError, match=message) as caught:
        ssr.load(card, device="cpu")
    assert "net.pt2" in str(caught.value) and "\n" not in str(caught.value)


def test_weights_of_ours_with_normalization_and_classes_of_their_own(tmp_path):
    torch.manual_seed(0)
    network = models.build("enet", 3).eval()
    classes = LabelSet("three", tuple(label_set("camvid").classes[:3]))
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
    metadata = weights.WeightsMetadata("enet", classes, mean=mean, std=std)
    weights.save(tmp_path / "mine.safetensors", network, metadata, torch.float32)
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nfile: mine.safetensors\n")
    image = image_of((64, 96))
    net = ssr.load(path, device="cpu", precision="fp32")
    with torch.no_grad():
        logits = network(normalize(torch.from_numpy(image).permute(2, 0, 1)[None], mean, std))
    assert (net(image) == logits[0].argmax(0).numpy()).mean() > 0.99
    assert (net.model, net.classes) == ("mine", classes.classes)
    path.write_text(
        "name: mine\nfile: mine.safetensors\n"
        "input: {scale: 1, mean: [127.5, 102, 76.5], std: [51, 76.5, 63.75]}\n"
        "classes: [{name: a, rgb: [1, 2, 3]}, {name: b, rgb: [1, 2, 3]}, {name: c, rgb: [1, 2, 3]}]\n"
        "remap: [{name: b, rgb: [0, 0, 9]}]\nmap: {a: b, c: null}\n"
    )
    remapped = ssr.load(path, device="cpu", precision="fp32")
    assert remapped.classes[0].name == "b"
    p = logits.softmax(1)[0]
    assert (remapped(image) == np.where(p[0] + p[1] >= p[2], 0, UNLABELLED)).mean() > 0.99


def test_the_card_of_the_documentation(networks, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "how_to" / "use_your_network.md").read_text()
    (text,) = re.findall(r"   ```yaml\n(.*?)   ```", page, re.DOTALL)
    file = networks["raspp"].card.with_suffix(".onnx")
    path = tmp_path / "my_net.yaml"
    path.write_text(textwrap.dedent(text).replace("my_net.onnx", str(file)))
    net = ssr.load(path, device="cpu")
    assert (net.model, net.label_set.names) == ("my_net", label_set("camvid").names)
    assert net(image_of(SIZES[0])).shape == SIZES[0]


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("raspp", {"file": "nothing.onnx"}, "line 2, file: there is no file"),
        ("raspp", {"file": "net.h5"}, r"line 2, file: found 'net.h5': expected a file that ends in .onnx"),
        ("raspp", {"input__colour": "rgb"}, "unknown key 'colour': known are"),
        ("raspp", {"input__color": "grb"}, "input.color: found 'grb': choose rgb, bgr"),
        ("raspp", {"input__std": [1, 0, 1]}, r"std\[1\]: found 0.0: a standard deviation is more than 0"),
        ("raspp", {"input__scale": "1/255"}, "input.scale: found '1/255': expected a number"),
        ("raspp", {"input__dtype": "uint8"}, "found beside dtype uint8, which takes pixels as they are"),
        (
            "raspp",
            {"input__dtype": "float16"},
            r"float16, but the file's input is 'image' float32 \(any, 3, any",
        ),
        ("raspp", {"input__layout": "NHWC"}, "NHWC, but the file's input is .* expected 3 channels"),
        ("raspp", {"output__kind": "labels"}, "line .*, output.kind: labels, but the file's output is"),
        ("raspp", {"output__name": "scores"}, "has no output 'scores': it has 'logits' float32"),
        ("raspp", {"output": None}, "the key 'output' is missing"),
        ("raspp", {"classes": None}, "the key 'classes' is missing"),
        ("raspp", {"classes": "camvid"}, "classes: 11 in NCHW is not the 19 of the file's output"),
        ("raspp", {"classes": "citiscapes"}, "classes: unknown class set 'citiscapes'"),
        ("raspp", {"map": {"car": "car"}}, "found a map without remap"),
        ("raspp", {"remap": "camvid"}, "remap: class 'wall' leads nowhere: map it to one of .* or to null"),
        ("unet", {"input__size": None}, r"input: the file's input is .*: add size: \[96, 160\]"),
        ("unet", {"input__size": [96, 128]}, r"input.size: \[96, 128\], but the file's input is"),
        ("unet", {"input__size": [90, 160]}, "expected multiples of 32, see multiple_of"),
        ("unet", {"remap": "camvid", "map": {"rider": "cyclist"}}, "map.rider: found 'cyclist': choose"),
        (
            "unet",
            {"remap": "camvid", "map": {"riders": "car"}},
            "map: found 'riders': the network's classes are",
        ),
        ("labels", {"output__kind": "logits"}, "logits, but the file's output is .*: are they labels"),
        ("labels", {"name": "two\nlines"}, "line 1, name: found .*: expected one line"),
    ],
)
def test_cards_that_do_not_fit_say_where(changed, name, keys, message):
    with pytest.raises(ConfigError, match=message) as caught:
        ssr.load(changed(name, **keys), device="cpu")
    assert "\n" not in str(caught.value)


def test_files_that_are_not_what_they_end_in(networks, changed, tmp_path):
    whole = networks["raspp"].card.with_suffix(".onnx").read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\xff" * 5000, b"PK\x03\x04 no onnx"):
        for suffix in (".onnx", ".pt2", ".safetensors"):
            file = tmp_path / f"broken{suffix}"
            file.write_bytes(content)
            keys = {"output": None, "input": None, "classes": None} if suffix == ".safetensors" else {}
            for device in ("cpu", "openvino") if suffix == ".onnx" else ("cpu",):
                if device == "openvino":
                    pytest.importorskip("openvino", reason="OpenVINO comes with the openvino extra")
                with pytest.raises(SegmentationError, match="broken") as caught:
                    ssr.load(changed("raspp", file=str(file), **keys), device=device)
                assert "\n" not in str(caught.value)


def one_node_model(tmp_path, opset=18, outputs=1, value=None, external=None):
    """Write an ONNX file that adds a constant to its image, once for each output, and its card."""
    onnx = pytest.importorskip("onnx", reason="reading ONNX needs the export extra")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    constant = helper.make_tensor("c", kind, [1], [0.0 if value is None else value])
    if external:
        constant.ClearField("float_data")
        constant.data_location = onnx.TensorProto.EXTERNAL
        constant.external_data.add(key="location", value=external)
    names = [f"out{i}" for i in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "c"], [name]) for name in names],
        "g",
        [helper.make_tensor_value_info("image", kind, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(name, kind, ["n", 3, "h", "w"]) for name in names],
        [constant],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    path = tmp_path / "folder" / "one.onnx"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(model.SerializeToString())
    classes = [{"name": name, "rgb": [0, 0, 0]} for name in "abc"]
    card = {"name": "one", "file": "one.onnx", "output": {"kind": "logits"}, "classes": classes}
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card))
    return path.with_suffix(".yaml")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": 2}, r"has 2 outputs \('out0' .*, 'out1' .*\): name one in the card"),
        ({"opset": 99}, "no file that ONNX Runtime .* runs"),
        ({"value": float("nan")}, "gives scores that are not numbers"),
        ({"external": "../secret.bin"}, "no file that ONNX Runtime .* runs"),
        ({"external": "missing.bin"}, "no file that ONNX Runtime .* runs"),
    ],
)
def test_files_that_no_runtime_should_take(tmp_path, options, message):
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    with pytest.raises(ConfigError, match=message) as caught:
        ssr.load(one_node_model(tmp_path, **options), device="cpu")
    assert "\n" not in str(caught.value)


def test_what_a_card_does_not_go_with(networks, tmp_path):
    card = networks["unet"].card
    with pytest.raises(ConfigError, match=r"the card .* names its own file: leave weights out"):
        ssr.load(card, weights="x.safetensors")
    with pytest.raises(ConfigError, match="has a size of its own"):
        ssr.load(card, input_size=(64, 64))
    with pytest.raises(DeviceError, match=r"'bf16' is not for unet\.onnx on cpu"):
        ssr.load(card, device="cpu", precision="bf16")
    with pytest.raises(DeviceError, match="unknown device 'openvino'"):
        ssr.load("enet", device="openvino")
    with pytest.raises(ConfigError, match="no file"):
        ssr.load(tmp_path / "nothing.yaml")


@pytest.mark.slow
def test_twenty_loads_leave_nothing_behind(networks):
    def resident():
        gc.collect()
        return resident_bytes() / 2**20

    def load_and_run(times):
        for i in range(times):
            ssr.load(networks[foreign.NAMES[i % 3]].card, device="cpu")(image_of(SIZES[0]))

    load_and_run(9)
    before = resident()
    load_and_run(21)
    assert resident() - before < 20


class FakeOnnxRuntime:
    """ONNX Runtime as its package for GPUs looks, without a GPU: what sessions are asked for is kept."""

    __version__ = "1.99"

    def __init__(self, real, providers):
        self.real, self.providers, self.asked = real, providers, []
        self.SessionOptions = real.SessionOptions

    def get_available_providers(self):
        return self.providers

    def InferenceSession(self, file, options, providers):
        self.asked.append(providers)
        return self.real.InferenceSession(file, options, ["CPUExecutionProvider"])


@pytest.fixture
def gpu_runtime(monkeypatch, tmp_path):
    import onnxruntime

    fake = FakeOnnxRuntime(
        onnxruntime, ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(onnx, "choose_device", lambda device: torch.device("cuda", 1))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    return fake


def test_providers_of_a_gpu(networks, gpu_runtime):
    file = networks["raspp"].card.with_suffix(".onnx")
    opened = onnx.open_onnx(file, None, "cuda:1", "fp16", "abc")
    assert (opened.name, opened.precision) == ("cuda:1", "fp16")
    assert [name for name, _ in gpu_runtime.asked[0][:-1]] == ["CUDAExecutionProvider"]
    opened._session_for((1, 3, 64, 96))
    opened._session_for((2, 3, 64, 96))
    opened._session_for((1, 3, 64, 96))
    assert len(gpu_runtime.asked) == 3
    (tensorrt, options), (cuda, _), cpu = gpu_runtime.asked[1]
    assert (tensorrt, cuda, cpu) == (
        "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider",
    )  # fmt: skip
    assert options["device_id"] == 1 and options["trt_fp16_enable"]
    assert options["trt_profile_opt_shapes"] == "image:1x3x64x96"
    folders = {gpu_runtime.asked[i][0][1]["trt_engine_cache_path"] for i in (1, 2)}
    assert len(folders) == 2 and all(Path(folder).is_dir() for folder in folders)
    with pytest.raises(DeviceError, match="'bf16' is not for raspp"):
        onnx.open_onnx(file, None, "cuda:1", "bf16", "abc")


def test_an_engine_is_kept_for_each_file_version_gpu_and_shape(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    keys = [
        ("a", "10.0", "GPU", (1, 3, 64, 96), "fp16"),
        ("b", "10.0", "GPU", (1, 3, 64, 96), "fp16"),
        ("a", "10.1", "GPU", (1, 3, 64, 96), "fp16"),
        ("a", "10.0", "other", (1, 3, 64, 96), "fp16"),
        ("a", "10.0", "GPU", (2, 3, 64, 96), "fp16"),
        ("a", "10.0", "GPU", (1, 3, 64, 96), "fp32"),
    ]
    assert len({onnx.engine_cache(*key) for key in keys}) == len(keys)
    assert onnx.engine_cache(*keys[0]) == onnx.engine_cache(*keys[0])
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert onnx.engine_cache(*keys[0]) is None
    assert "built again at every start" in caplog.text


def test_a_runtime_without_its_gpu(networks):
    with pytest.raises(DeviceError, match="cuda"):
        ssr.load(networks["raspp"].card, device="cuda")


def test_a_runtime_that_is_missing_names_its_extra(networks, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        ConfigError, match=r'onnxruntime is not installed .*pip install "squeeze_segnet_ros\[onnx\]"'
    ):
        ssr.load(networks["unet"].card, device="cpu")


def test_the_engine_goes_on_after_a_card_was_refused(nets, changed):
    wanted = nets["unet"](image_of(SIZES[0]))
    with pytest.raises(ConfigError):
        ssr.load(changed("unet", classes="camvid"), device="cpu")
    assert np.array_equal(nets["unet"](image_of(SIZES[0])), wanted)
