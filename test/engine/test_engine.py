"""The engine: arrays in, labels out, on a CPU."""

import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import CAMVID, UNLABELLED
from squeeze_segnet_ros.engine import Request
from squeeze_segnet_ros.errors import (
    ConfigError,
    DeviceError,
    InvalidImageError,
    UnknownModelError,
    WeightsError,
)
from squeeze_segnet_ros.images.pixels import normalize, resize
from squeeze_segnet_ros.models import weights

SIZE = (61, 82)
PRECISIONS = ("fp32", "bf16")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return weights files with random weights, made when first asked for by network."""
    folder = tmp_path_factory.mktemp("weights")

    def file(model):
        path = folder / f"{model}.safetensors"
        if not path.exists():
            torch.manual_seed(0)
            network = models.build(model)
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.1)
                    module.running_var.uniform_(0.5, 1.5)
            weights.save(path, network, weights.WeightsMetadata(model), torch.float32)
        return path

    return file


@pytest.fixture(scope="module", params=PRECISIONS)
def segmenter(request, files):
    return ssr.load(weights=files("squeeze_segnet"), device="cpu", precision=request.param)


@pytest.fixture(scope="module")
def reference(files):
    return ssr.load(weights=files("squeeze_segnet"), device="cpu", precision="fp32")


def image_of(size=SIZE, channels=3, seed=0):
    """Return blobs rather than noise: neighboring pixels of a camera image are alike."""
    coarse = torch.from_numpy(np.random.default_rng(seed).random((1, channels, size[0] // 8, size[1] // 8)))
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    return (smooth[0].permute(1, 2, 0) * 255).byte().contiguous().numpy()


def plain_logits(path, model, image):
    """Return what the network as it was trained says: no folding, no fusing, fp32."""
    network = models.build(model)
    weights.load_into(network, model, path)
    with torch.inference_mode():
        return network.eval()(normalize(torch.from_numpy(image).permute(2, 0, 1)[None]))


def _slow_if_large(model):
    """Return a mark for networks of more parameters than the others together."""
    return [pytest.mark.slow] if model == "segnet" or "vgg" in model else []


@pytest.mark.parametrize(
    ("model", "size"),
    [pytest.param(model, (32, 33), marks=_slow_if_large(model)) for model in models.names()]
    + [
        (model, size)
        for model in ("squeeze_segnet", "squeeze_segnet_v11", "enet")
        for size in (SIZE, (64, 96))
    ],
)
def test_labels_are_those_of_the_plain_network(files, model, size):
    image = image_of(size)
    labels = ssr.load(model, files(model), "cpu", "fp32")(image)
    assert labels.shape == size and labels.dtype == np.uint8
    logits = plain_logits(files(model), model, image)
    best = logits.topk(2, 1).values[0]
    clear = (best[0] - best[1] > 1e-3 * logits.abs().max()).numpy()
    assert clear.mean() > 0.5
    assert np.array_equal(labels[clear], logits.argmax(1)[0].numpy()[clear])


def test_confidence_is_the_probability_of_the_class(files, reference):
    image = image_of()
    result = reference.segment(image)
    probability = plain_logits(files("squeeze_segnet"), "squeeze_segnet", image).softmax(1)[0].amax(0).numpy()
    assert result.confidence.shape == SIZE and result.confidence.dtype == np.uint8
    assert np.abs(result.confidence - probability * 255).max() < 1
    assert result.overlay is None
    assert set(result.seconds) == {"upload", "network", "download"}


def test_bf16_agrees_where_the_reference_is_sure(files, reference):
    image = image_of((96, 128))
    wanted = reference.segment(image)
    labels = ssr.load(weights=files("squeeze_segnet"), device="cpu", precision="bf16")(image)
    logits = plain_logits(files("squeeze_segnet"), "squeeze_segnet", image)[0]
    best = logits.topk(2, 0).values
    sure = (best[0] - best[1]).numpy() > 0.5 * float(logits.std())
    assert sure.mean() > 0.05
    assert (labels == wanted.labels)[sure].mean() > 0.98


@pytest.mark.slow
def test_bf16_agrees_on_camvid():
    frames = sorted(Path(os.environ.get("CAMVID_ROOT", "-")).glob("val/*"))[::17]
    if not frames:
        pytest.skip("CAMVID_ROOT does not name a CamVid folder")
    try:
        exact, rounded = (ssr.load(device="cpu", precision=precision) for precision in ("fp32", "bf16"))
    except WeightsError as error:
        pytest.skip(str(error))
    images = [cv2.cvtColor(cv2.imread(str(frame)), cv2.COLOR_BGR2RGB) for frame in frames]
    agreement = [(exact(image) == rounded(image)).mean() for image in images]
    assert np.mean(agreement) >= 0.995


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_batch_gives_the_labels_of_one_by_one(segmenter, count):
    sizes = [SIZE, (64, 64), SIZE, (32, 40), SIZE][:count]
    images = [image_of(size, seed=i) for i, size in enumerate(sizes)]
    batch = segmenter.segment(images, Request(overlay=True))
    for image, result in zip(images, batch, strict=True):
        alone = segmenter.segment(image, Request(overlay=True))
        assert np.array_equal(result.labels, alone.labels)
        assert np.array_equal(result.confidence, alone.confidence)
        assert np.array_equal(result.overlay, alone.overlay)


@pytest.mark.parametrize("model", ["segnet_basic", "enet"])
def test_a_batch_through_other_networks(files, model):
    net = ssr.load(model, files(model), "cpu", "fp32")
    images = [image_of(seed=i) for i in range(3)]
    for image, labels in zip(images, net(images), strict=True):
        assert np.array_equal(labels, net(image))


def test_many_sizes_in_turn(segmenter, files):
    images = [image_of((32 + 4 * i, 40), seed=i) for i in range(10)]
    first = [segmenter(image) for image in images]
    assert all(np.array_equal(segmenter(image), labels) for image, labels in zip(images, first, strict=True))
    alone = ssr.load(weights=files("squeeze_segnet"), device="cpu", precision=segmenter.precision)
    assert np.array_equal(alone(images[-1]), first[-1])


def test_another_number_of_threads_gives_the_same_labels(segmenter):
    image = image_of()
    threads = torch.get_num_threads()
    labels = segmenter(image)
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        assert (segmenter(image) == labels).mean() > 0.99
    finally:
        torch.set_num_threads(threads)


def test_an_empty_batch(segmenter):
    assert segmenter([]) == []


def test_the_same_image_gives_the_same_labels_from_several_threads(segmenter):
    images = [image_of(seed=i) for i in range(4)]
    alone = [segmenter(image) for image in images]
    found = [[] for _ in images]

    def work(i):
        for _ in range(3):
            found[i].append(segmenter(images[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for wanted, labels in zip(alone, found, strict=True):
        assert len(labels) == 3
        assert all(np.array_equal(wanted, each) for each in labels)


def test_encodings_show_the_same_scene(segmenter):
    rgb = image_of()
    opaque = np.full((*SIZE, 1), 255, np.uint8)
    same = [
        (rgb, "rgb8"),
        (np.ascontiguousarray(rgb[:, :, ::-1]), "bgr8"),
        (np.concatenate((rgb, opaque), 2), "rgba8"),
        (np.concatenate((rgb[:, :, ::-1], opaque), 2), "bgra8"),
    ]
    images, encodings = zip(*same, strict=True)
    results = segmenter.segment(images, Request(overlay=True), encodings)
    for result in results[1:]:
        assert np.array_equal(result.labels, results[0].labels)
        assert np.array_equal(result.overlay, results[0].overlay)


@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 1)])
def test_mono8_is_gray(segmenter, shape):
    gray = image_of(channels=1)
    labels = segmenter.segment(gray.reshape(shape), encodings="mono8").labels
    assert np.array_equal(labels, segmenter(np.repeat(gray, 3, 2)))


def test_views_of_message_buffers(segmenter):
    image = image_of()
    wanted = segmenter(image)
    padded = np.zeros((SIZE[0], SIZE[1] * 3 + 10), np.uint8)
    padded[:, : SIZE[1] * 3] = image.reshape(SIZE[0], -1)
    view = np.lib.stride_tricks.as_strided(padded, image.shape, (padded.shape[1], 3, 1))
    assert np.array_equal(segmenter(view), wanted)
    assert np.array_equal(segmenter(np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape)), wanted)
    upside_down = np.ascontiguousarray(image[::-1])[::-1]
    assert np.array_equal(segmenter(upside_down), wanted)


def test_the_image_is_left_as_it_is(segmenter):
    image = image_of()
    before = image.copy()
    segmenter.segment(image, Request(overlay=True))
    assert np.array_equal(image, before)


def test_overlay_mixes_the_class_colors_in(segmenter):
    image = image_of()
    result = segmenter.segment(image, Request(overlay=True, overlay_alpha=0.25))
    mixed = 0.75 * image + 0.25 * CAMVID.palette[result.labels]
    assert result.overlay.dtype == np.uint8
    assert np.abs(result.overlay - mixed).max() <= 1


def test_overlay_of_chosen_classes(segmenter):
    image = image_of()
    labels = segmenter(image)
    chosen = int(np.bincount(labels.ravel()).argmax())
    overlay = segmenter.segment(image, Request(overlay=True, shown_classes=[chosen])).overlay
    assert np.array_equal(overlay[labels != chosen], image[labels != chosen])
    assert not np.array_equal(overlay[labels == chosen], image[labels == chosen])


def test_minimum_confidence_unlabels(segmenter):
    image = image_of()
    every = segmenter.segment(image)
    some = segmenter.segment(image, Request(min_confidence=np.median(every.confidence) / 255))
    unlabelled = some.labels == UNLABELLED
    assert 0 < unlabelled.mean() < 1
    assert every.confidence[unlabelled].max() <= every.confidence[~unlabelled].min()
    assert np.array_equal(some.labels[~unlabelled], every.labels[~unlabelled])
    assert np.array_equal(some.confidence, every.confidence)


def test_input_size_is_what_the_network_sees(files, reference):
    image = image_of((96, 128))
    path = files("squeeze_segnet")
    smaller = ssr.load(weights=path, device="cpu", precision="fp32", input_size=(48, 64))
    result = smaller.segment(image)
    assert result.labels.shape == result.confidence.shape == (96, 128)
    shrunk = resize(torch.from_numpy(image).permute(2, 0, 1)[None].float(), (48, 64))
    network = models.build("squeeze_segnet")
    weights.load_into(network, "squeeze_segnet", path)
    with torch.inference_mode():
        logits = resize(network.eval()(normalize(shrunk)), (96, 128))
    assert (result.labels == logits.argmax(1)[0].numpy()).mean() > 0.99


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("size", [(40, 56), (40, 128), (96, 128)])
def test_images_of_any_size_beside_the_input_size(files, precision, size):
    net = ssr.load(weights=files("squeeze_segnet"), device="cpu", precision=precision, input_size=(64, 96))
    result = net.segment(image_of(size))
    assert result.labels.shape == result.confidence.shape == size


def test_what_a_segmenter_says_of_itself(files, segmenter):
    assert segmenter.model == "squeeze_segnet"
    assert segmenter.device == "cpu"
    assert segmenter.precision in PRECISIONS
    assert segmenter.classes == CAMVID.classes
    assert segmenter.weights == files("squeeze_segnet")
    assert len(segmenter.weights_sha256) == 64
    assert repr(segmenter) == (
        f"<Segmenter squeeze_segnet (squeeze_segnet.safetensors) on cpu in {segmenter.precision}: "
        "11 classes of camvid>"
    )


def test_another_normalization_is_that_of_the_weights_file(files, tmp_path):
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)
    network = models.build("squeeze_segnet")
    weights.load_into(network, "squeeze_segnet", files("squeeze_segnet"))
    metadata = weights.WeightsMetadata("squeeze_segnet", mean=mean, std=std)
    weights.save(tmp_path / "other.safetensors", network, metadata, torch.float32)
    image = image_of()
    labels = ssr.load(weights=tmp_path / "other.safetensors", device="cpu", precision="fp32")(image)
    with torch.inference_mode():
        rgb = torch.from_numpy(image).permute(2, 0, 1)[None]
        wanted = network.eval()(normalize(rgb, mean, std)).argmax(1)[0].numpy()
    assert (labels == wanted).mean() > 0.995
    assert (labels == ssr.load(weights=files("squeeze_segnet"), device="cpu")(image)).mean() < 0.995


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((*SIZE, 3), np.float32) * np.nan, "float32 array: a rgb8 image is uint8"),
        (np.zeros((*SIZE, 3), np.int64), "int64 array"),
        (np.zeros(SIZE, np.uint8), r"shape \(61, 82\)"),
        (np.zeros((1, *SIZE, 3), np.uint8), r"shape \(1, 61, 82, 3\)"),
        (np.zeros((*SIZE, 4), np.uint8), r"uint8 \(height, width, 3\)"),
        (np.zeros((0, 82, 3), np.uint8), "82x0: at least 32x32"),
        (np.zeros((31, 82, 3), np.uint8), "82x31: at least 32x32"),
        (np.array(7, np.uint8), "shape"),
    ],
)
def test_bad_images_are_named_and_the_engine_goes_on(segmenter, image, message):
    with pytest.raises(InvalidImageError, match=message) as caught:
        segmenter(image)
    assert "\n" not in str(caught.value)
    assert segmenter(image_of()).shape == SIZE


def test_one_bad_image_of_a_batch(segmenter):
    with pytest.raises(InvalidImageError, match="at least"):
        segmenter([image_of(), image_of((24, 40))])


def test_no_array_at_all(segmenter):
    with pytest.raises(InvalidImageError, match="str"):
        segmenter(["image.png"])


def test_none_is_what_opencv_gives_for_a_file_it_cannot_read(segmenter):
    with pytest.raises(InvalidImageError, match=r"the image is None, as cv2.imread gives it"):
        segmenter(cv2.imread("nowhere.png"))
    with pytest.raises(InvalidImageError, match="the image is None"):
        segmenter([image_of(), None])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_pillow_images(segmenter, mode):
    pillow = pytest.importorskip("PIL.Image", reason="Pillow, which matplotlib brings, is not installed")
    image = pillow.fromarray(image_of()).convert(mode)
    wanted = segmenter(np.array(image.convert("RGB")))
    assert np.array_equal(segmenter(image), wanted)
    assert np.array_equal(segmenter([image])[0], wanted)


def test_bad_encodings(segmenter):
    with pytest.raises(InvalidImageError, match="'yuv422' is not one of rgb8, bgr8"):
        segmenter.segment(image_of(), encodings="yuv422")
    with pytest.raises(InvalidImageError, match="2 images came with 1 encodings"):
        segmenter.segment([image_of(), image_of()], encodings=["rgb8"])


@pytest.mark.parametrize(
    "options",
    [
        {"shown_classes": [11]},
        {"shown_classes": [-1]},
        {"overlay_alpha": 1.5},
        {"min_confidence": 2},
        {"min_confidence": float("nan")},
    ],
)
def test_bad_requests(segmenter, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        segmenter.segment(image_of(), Request(overlay=True, **options))


def test_a_device_as_pytorch_has_it(files):
    net = ssr.load(weights=files("squeeze_segnet"), device=torch.device("cpu"))
    assert net.device == "cpu"
    with pytest.raises(DeviceError, match="meta"):
        ssr.load(weights=files("squeeze_segnet"), device=torch.device("meta"))


@pytest.mark.parametrize("size", [240, (240.5, 320), (240,), "240x320", (16, 64), (-64, 64)])
def test_input_sizes_that_are_none(files, size):
    with pytest.raises(ConfigError, match=r"input_size is .*: give height and width as whole numbers"):
        ssr.load(weights=files("squeeze_segnet"), input_size=size)


@pytest.mark.parametrize("device", ["tpu", "cpu:1", "cuda:x", "cuda:99"])
def test_devices_that_are_not_there(files, device):
    with pytest.raises(DeviceError, match=device):
        ssr.load(weights=files("squeeze_segnet"), device=device)


@pytest.mark.parametrize("precision", ["int3", "fp16"])
def test_precisions_that_are_not_there(files, precision):
    with pytest.raises(DeviceError, match=precision):
        ssr.load(weights=files("squeeze_segnet"), device="cpu", precision=precision)


def test_other_things_that_cannot_be_loaded(files, tmp_path):
    with pytest.raises(UnknownModelError, match="'lenet': choose one of squeeze_segnet"):
        ssr.load("lenet")
    with pytest.raises(WeightsError, match="holds weights of squeeze_segnet, not of enet"):
        ssr.load("enet", weights=files("squeeze_segnet"))
    with pytest.raises(WeightsError, match="no weights file at"):
        ssr.load(weights=tmp_path / "none.safetensors")


class OutOfMemory(torch.nn.Module):
    """A network on a device that holds so many images at once."""

    def __init__(self, network, room):
        super().__init__()
        self.network, self.room, self.batches = network, room, []

    def forward(self, rgb):
        self.batches.append(len(rgb))
        if len(rgb) > self.room:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 20.00 GiB.")
        return self.network(rgb)


def test_out_of_memory_halves_the_batch(files, monkeypatch):
    net = ssr.load(weights=files("squeeze_segnet"), device="cpu", precision="fp32")
    images = [image_of(seed=i) for i in range(5)]
    wanted = net(images)
    limited = OutOfMemory(net.backend.network, room=2)
    monkeypatch.setattr(net.backend, "network", limited)
    for labels, each in zip(net(images), wanted, strict=True):
        assert np.array_equal(labels, each)
    assert limited.batches == [5, 2, 3, 1, 2]


def test_what_fits_once_cached_memory_is_free_is_not_halved(files, monkeypatch):
    net = ssr.load(weights=files("squeeze_segnet"), device="cpu", precision="fp32")
    images = [image_of(seed=i) for i in range(3)]
    wanted = net(images)
    limited = OutOfMemory(net.backend.network, room=0)

    def drop_what_is_cached():
        limited.room = 3
        return True

    monkeypatch.setattr(net.backend, "network", limited)
    monkeypatch.setattr(net.backend, "free_memory", drop_what_is_cached)
    for labels, each in zip(net(images), wanted, strict=True):
        assert np.array_equal(labels, each)
    assert limited.batches == [3, 3]


def test_out_of_memory_for_one_image(files, monkeypatch):
    net = ssr.load(weights=files("squeeze_segnet"), device="cpu", precision="fp32")
    wanted = net(image_of())
    limited = OutOfMemory(net.backend.network, room=0)
    monkeypatch.setattr(net.backend, "network", limited)
    with pytest.raises(DeviceError, match="too little memory for squeeze_segnet on 82x61"):
        net(image_of())
    limited.room = 1
    assert np.array_equal(net(image_of()), wanted)
