"""ImageNet weights for the encoders: what fits is taken, what does not is listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from squeeze_segnet_ros import models
from squeeze_segnet_ros.errors import WeightsError
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.models import encoder_weights
from squeeze_segnet_ros.models.squeeze_segnet import FIRES

# Positions of the convolutions among the layers of torchvision's `features`, and their widths.
VGG16 = dict(
    zip(
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
        strict=True,
    )
)
VGG16_BN = dict(zip((0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40), VGG16.values(), strict=True))
VGG19 = dict(
    zip(
        (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
        (64, 64, 128, 128, *[256] * 4, *[512] * 8),
        strict=True,
    )
)


def vgg_tensors(layers: dict[int, int], with_norms: bool = False) -> dict[str, Tensor]:
    """Return a VGG's convolutions (and batch norms) under torchvision's names, random."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    channels = 3
    for position, width in layers.items():
        std = (2 / (9 * channels)) ** 0.5
        tensors[f"features.{position}.weight"] = std * torch.randn(width, channels, 3, 3, generator=generator)
        tensors[f"features.{position}.bias"] = torch.randn(width, generator=generator)
        if with_norms:
            for kind in ("weight", "bias", "running_mean", "running_var"):
                tensors[f"features.{position + 1}.{kind}"] = 0.5 + torch.rand(width, generator=generator)
            tensors[f"features.{position + 1}.num_batches_tracked"] = torch.tensor(7)
        channels = width
    return tensors


def first_stage(tensors: dict[str, Tensor], image: Tensor, second: int, with_norms: bool) -> Tensor:
    """Return both convolutions of a VGG's first stage, computed from the file's tensors."""
    x = image
    for position in (0, second):
        x = F.conv2d(
            x, tensors[f"features.{position}.weight"], tensors[f"features.{position}.bias"], padding=1
        )
        if with_norms:
            mean, var, weight, bias = (
                tensors[f"features.{position + 1}.{kind}"]
                for kind in ("running_mean", "running_var", "weight", "bias")
            )
            x = F.batch_norm(x, mean, var, weight, bias)
        x = x.relu()
    return x


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".npz"])
def test_reads_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"vgg16{suffix}"
    tensors = {
        name: t for name, t in vgg_tensors(VGG16).items() if name.startswith(("features.0", "features.2."))
    }
    if suffix == ".safetensors":
        save_file(tensors, path)
    elif suffix == ".pth":
        torch.save(tensors, path)
    else:
        np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    network = models.build("fcn2s_dilated_vgg16").eval()
    report = encoder_weights.load(network, path)
    assert len(report.taken) == 4
    assert report.unused == ()
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = F.max_pool2d(first_stage(tensors, image, 2, with_norms=False), 2)
        torch.testing.assert_close(network.stages[0](image), expected)


@pytest.mark.parametrize(("name", "layers"), [("fcn2s_dilated_vgg16", VGG16), ("fcn2s_dilated_vgg19", VGG19)])
def test_every_convolution_of_a_vgg_finds_its_place(name: str, layers: dict[int, int]) -> None:
    with torch.device("meta"):
        network = models.build(name)
        tensors = {key: torch.empty_like(value, device="meta") for key, value in vgg_tensors(layers).items()}
        converted = network.convert_encoder_weights(tensors)
    own = network.state_dict()
    assert set(converted) == set(tensors)
    assert all(own[here].shape == tensors[there].shape for there, (here, _) in converted.items())
    assert {here for here, _ in converted.values()} == {key for key in own if key.startswith("stages.")}


def test_a_vgg_with_batch_norm_gives_segnet_the_same_function(tmp_path: Path) -> None:
    tensors = vgg_tensors(VGG16_BN, with_norms=True)
    save_file(tensors | {"classifier.6.bias": torch.zeros(1000)}, tmp_path / "vgg16_bn.safetensors")
    network = models.build("segnet").eval()
    report = encoder_weights.load(network, tmp_path / "vgg16_bn.safetensors")
    # Weight, and the norm's weight, bias, mean and variance: the convolution's bias is in the mean.
    assert len(report.taken) == 13 * 5
    assert {name for name in report.unused if "num_batches" not in name} == {"classifier.6.bias"}
    assert "classifier.6.bias" in str(report)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = first_stage(tensors, image, 3, with_norms=True)
        torch.testing.assert_close(network.encoder[0](image), expected)


def test_a_vgg_without_batch_norm_gives_segnet_its_kernels(tmp_path: Path) -> None:
    tensors = vgg_tensors(VGG16)
    save_file(tensors, tmp_path / "vgg16.safetensors")
    network = models.build("segnet")
    report = encoder_weights.load(network, tmp_path / "vgg16.safetensors")
    assert len(report.taken) == 13
    assert set(report.unused) == {f"features.{position}.bias" for position in VGG16}
    assert torch.equal(network.get_parameter(report.taken[-1]), tensors["features.28.weight"])


def test_fc6_takes_every_third_tap_of_the_7x7_kernel() -> None:
    with torch.device("meta"):
        network = models.build("fcn2s_dilated_vgg16")
    taps = torch.arange(512 * 7 * 7.0)
    tensors = {
        "classifier.0.weight": taps.expand(4096, -1),
        "classifier.3.weight": torch.arange(4096.0).expand(4096, -1),
    }
    converted = network.convert_encoder_weights(tensors)
    name, fc6 = converted["classifier.0.weight"]
    assert name == "fc6.weight"
    assert fc6.shape == network.get_parameter(name).shape
    assert fc6[17, 5].tolist() == [[5 * 49 + 7 * y + x for x in (0, 3, 6)] for y in (0, 3, 6)]
    name, fc7 = converted["classifier.3.weight"]
    assert fc7.shape == network.get_parameter(name).shape


def test_a_caffe_squeezenet_sees_the_same_image_through_conv1(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "conv1.weight": torch.randn(96, 3, 7, 7, generator=generator) / 1000,
        "conv1.bias": torch.randn(96, generator=generator),
        "fire2/squeeze1x1.weight": torch.randn(16, 96, 1, 1, generator=generator),
        "conv10.weight": torch.zeros(1000, 512, 1, 1),
    }
    np.savez(tmp_path / "squeezenet.npz", **{name: tensor.numpy() for name, tensor in tensors.items()})
    network = models.build("squeeze_segnet")
    report = encoder_weights.load(network, tmp_path / "squeezenet.npz")
    assert len(report.taken) == 3
    assert report.unused == ("conv10.weight",)
    image = torch.randint(256, (1, 3, 40, 40), generator=generator).float()
    bgr = image.flip(1) - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
    expected = F.conv2d(bgr, tensors["conv1.weight"], tensors["conv1.bias"], stride=2)
    with torch.no_grad():
        torch.testing.assert_close(network.conv1(normalize(image)), expected, atol=1e-4, rtol=1e-4)


def test_squeezenet_1_0_gives_the_v11_layout_its_fires(tmp_path: Path) -> None:
    tensors = {"conv1.weight": torch.zeros(96, 3, 7, 7), "conv1.bias": torch.zeros(96)}
    inputs = 96
    for name, squeeze, expand in FIRES:
        for layer, shape in (
            ("squeeze1x1", (squeeze, inputs, 1, 1)),
            ("expand1x1", (expand, squeeze, 1, 1)),
            ("expand3x3", (expand, squeeze, 3, 3)),
        ):
            tensors[f"{name}/{layer}.weight"] = torch.full(shape, 0.5)
            tensors[f"{name}/{layer}.bias"] = torch.full(shape[:1], 0.5)
        inputs = 2 * expand
    save_file(tensors, tmp_path / "squeezenet.safetensors")
    report = encoder_weights.load(models.build("squeeze_segnet_v11"), tmp_path / "squeezenet.safetensors")
    # The stem is another one, and with it what the first squeeze takes.
    assert set(report.unused) == {"conv1.weight", "conv1.bias", "fire2/squeeze1x1.weight"}
    assert len(report.taken) == 8 * 6 - 1


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    tensors = vgg_tensors(VGG16)
    tensors["features.5.weight"] = torch.zeros(128, 64, 5, 5)
    tensors["head.weight"] = torch.zeros(3)
    save_file(tensors, tmp_path / "odd.safetensors")
    report = encoder_weights.load(models.build("segnet"), tmp_path / "odd.safetensors")
    assert {"features.5.weight", "head.weight"} <= set(report.unused)
    assert len(report.taken) == 12


def test_bad_files_give_one_clear_line(tmp_path: Path) -> None:
    network = models.build("fcn2s_dilated_vgg16")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not tensors")
    pickled = tmp_path / "object.pth"
    torch.save({"epoch": 3}, pickled)
    cut = tmp_path / "cut.pth"
    cut.write_bytes(pickled.read_bytes()[:100])
    norms = tmp_path / "vgg16_bn.safetensors"
    save_file(
        {"features.0.weight": torch.zeros(64, 3, 3, 3), "features.1.running_mean": torch.zeros(64)}, norms
    )
    for path, expected in (
        (tmp_path / "none.safetensors", "no encoder weights at"),
        (damaged, "is not a complete"),
        (cut, "is not a complete"),
        (pickled, "is not a state dict"),
        (norms, "nothing in"),
    ):
        with pytest.raises(WeightsError, match=expected) as caught:
            encoder_weights.load(network, path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_network_without_imagenet_encoder_says_so(tmp_path: Path) -> None:
    save_file(vgg_tensors(VGG16), tmp_path / "vgg16.safetensors")
    with pytest.raises(WeightsError, match="ENet has no encoder"):
        encoder_weights.load(models.build("enet"), tmp_path / "vgg16.safetensors")
