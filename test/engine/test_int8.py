"""int8 on a CPU: bytes between the convolutions, chosen layer by layer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros import models
from squeeze_segnet_ros.engine import quantization
from squeeze_segnet_ros.engine.backends.int8 import ByteScale, QuantizedConvolution, is_supported
from squeeze_segnet_ros.engine.backends.plain import Normalization
from squeeze_segnet_ros.engine.fold import fold_batch_norm
from squeeze_segnet_ros.errors import ConfigError, DeviceError, WeightsError
from squeeze_segnet_ros.images.pixels import MEAN, STD
from squeeze_segnet_ros.models import weights
from squeeze_segnet_ros.models.unpooling import MaxPool, max_unpool

pytestmark = pytest.mark.skipif(not is_supported(), reason="this PyTorch has no oneDNN convolutions in int8")

NORMALIZATION = Normalization(MEAN, STD)
SIZE = (75, 98)


def images(count: int, seed: int) -> list[torch.Tensor]:
    """Return smooth pictures: uint8 (1, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((count, 3, 10, 13), generator=generator)
    smooth = nn.functional.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 1)
    return list((smooth * 255).byte().split(1))


@pytest.fixture(scope="module", params=["squeeze_segnet", "enet"])
def quantized(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a weights file with scales, of the released weights."""
    network, metadata, _ = weights.network_with(request.param, None)
    with torch.inference_mode():
        found = quantization.quantize(
            fold_batch_norm(network), NORMALIZATION, images(2, 0), images(1, 1), agreement=0.8
        )
    assert found.agreement >= 0.8
    path = tmp_path_factory.mktemp("weights") / f"{request.param}.safetensors"
    weights.save(path, network, dataclasses.replace(metadata, int8=found.scales))
    return path


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("kernel", "padding", "stride", "dilation", "groups"),
    [(1, 0, 1, 1, 1), (3, 1, 1, 1, 1), (3, 1, 1, 1, 2), (3, 2, 1, 2, 1), (5, 2, 2, 1, 1)],
)
def test_a_convolution_in_int8_is_the_convolution_but_for_rounding(
    kernel: int, padding: int, stride: int, dilation: int, groups: int, signed: bool
) -> None:
    generator = torch.Generator().manual_seed(1)
    convolution = nn.Conv2d(16, 32, kernel, stride, padding, dilation, groups)
    # Channels that differ by a hundred, as behind conv10: one scale for all would lose the small ones.
    x = torch.randn((2, 16, 20, 22), generator=generator) * torch.logspace(0, 2, 16).view(1, -1, 1, 1)
    x = x if signed else x.relu()
    with torch.inference_mode():
        exact = convolution(x).relu()
        takes = ByteScale.of(x.abs().amax((0, 2, 3)), signed)
        numbers = QuantizedConvolution(convolution, takes)(x)
        gives = ByteScale.of(exact.amax((0, 2, 3)), False)
        in_bytes = QuantizedConvolution(convolution, takes, gives)(x)
    assert in_bytes.dtype == torch.uint8
    limit = 0.03 * float(exact.max())
    torch.testing.assert_close(numbers, exact, atol=limit, rtol=0)
    torch.testing.assert_close(in_bytes / gives.factor.view(1, -1, 1, 1), exact, atol=limit, rtol=0)


def test_bytes_are_rounded_and_end_where_the_scale_ends() -> None:
    scale = ByteScale.of(torch.tensor([1.0, 10.0, 0.0]), signed=False)
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert scale.to_bytes(x)[0, :2, 0].tolist() == [[0, 0, 128, 255, 255], [0, 0, 13, 26, 51]]
    both = ByteScale.of(torch.tensor([1.0]), signed=True)
    assert both.to_bytes(x[:, :1]).flatten().tolist() == [1, 128, 192, 255, 255]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_pooled_becomes_bytes_behind_the_pooling(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn((1, 16, 20, 22), generator=generator)
    first, second = nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1)
    with torch.inference_mode():
        exact = nn.functional.max_pool2d(first(x).relu(), 2)
        takes = ByteScale.of(x.abs().amax((0, 2, 3)), True)
        # Half of what is there, so that much lies beyond the scale.
        between = ByteScale.of(exact.amax((0, 2, 3)) / 2, False)
        numbers = QuantizedConvolution(first, takes, between, dtype, gives_pooled=True)(x)
        pooled = nn.functional.max_pool2d(numbers, 2).to(memory_format=torch.channels_last)
        second.weight.copy_(torch.eye(16)[:, :, None, None])
        second.bias.zero_()
        taken = QuantizedConvolution(second, between, takes_pooled=True, relu=False)(pooled)
    assert numbers.dtype == dtype
    factor = between.factor.view(1, -1, 1, 1)
    in_bytes = taken * factor
    torch.testing.assert_close(in_bytes, in_bytes.round(), atol=1e-3, rtol=0)
    torch.testing.assert_close(in_bytes, (exact * factor).clamp(0, 255), atol=6.0, rtol=0)
    difference = (in_bytes - exact * factor)[exact * factor < 240]
    # Rounded, neither up nor down; bf16 holds only whole numbers above 128.
    assert -0.1 < float(difference.mean()) < (0.1 if dtype == torch.float32 else 0.5)


def test_unpooled_bytes_are_the_bytes_of_unpooled_numbers() -> None:
    x = torch.rand((2, 8, 21, 34)).to(memory_format=torch.channels_last)
    pooled, places = MaxPool(3, ceil_mode=True)(x)
    values = torch.randint(0, 256, pooled.shape, dtype=torch.uint8).to(memory_format=torch.channels_last)
    assert torch.equal(max_unpool(values, places).float(), max_unpool(values.float(), places))


def test_labels_are_nearly_those_of_fp32(quantized: Path) -> None:
    model = quantized.stem
    exact = ssr.load(model, quantized, "cpu", "fp32")
    int8 = ssr.load(model, quantized, "cpu", "int8")
    assert int8.precision == "int8"
    picture = images(1, 1)[0][0].permute(1, 2, 0).contiguous().numpy()
    agreement = float((exact(picture) == int8(picture)).mean())
    assert agreement >= 0.8
    result = int8.segment(picture)
    assert result.confidence is not None and result.confidence.shape == SIZE


def test_labels_do_not_depend_on_batch_or_threads(quantized: Path) -> None:
    net = ssr.load(quantized.stem, quantized, "cpu", "int8")
    pictures = [each[0].permute(1, 2, 0).contiguous().numpy() for each in images(3, 2)]
    alone = [net(picture) for picture in pictures]
    together = net(pictures)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        by_one = net(pictures)
    finally:
        torch.set_num_threads(threads)
    for labels in (together, by_one):
        assert all(np.array_equal(a, b) for a, b in zip(labels, alone, strict=True))


def test_the_file_says_what_is_in_int8(quantized: Path) -> None:
    tensors, metadata = weights.load(quantized)
    assert metadata.int8 is not None and set(metadata.int8.layers) <= set(metadata.int8.largest)
    assert not any(name.startswith("int8.") for name in tensors)
    again = quantized.with_name("again.safetensors")
    weights.save(again, models.build(metadata.model), metadata)
    same = weights.load(again)[1].int8
    assert same is not None and (same.layers, same.signed) == (metadata.int8.layers, metadata.int8.signed)


def test_parts_that_change_too_many_labels_are_left_out() -> None:
    network, _, _ = weights.network_with("squeeze_segnet", None)
    folded = fold_batch_norm(network)
    found = quantization.quantize(folded, NORMALIZATION, images(1, 0), images(1, 1), agreement=0.97)
    assert found.agreement >= 0.97
    last, first = found.parts[-1], found.parts[0]
    assert last.cost / last.work >= first.cost / first.work
    assert set(first.layers) <= set(found.scales.layers)
    assert not set(last.layers) & set(found.scales.layers)


def test_what_cannot_be_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, metadata, _ = weights.network_with("squeeze_segnet", None)
    without = tmp_path / "without.safetensors"
    weights.save(without, network, dataclasses.replace(metadata, int8=None))
    with pytest.raises(WeightsError, match=r"without\.safetensors has no scales for int8: .* quantize"):
        ssr.load(weights=without, device="cpu", precision="int8")
    wrong = tmp_path / "wrong.safetensors"
    scales = weights.Int8Scales({"conv10": torch.ones(3)}, frozenset(), ("conv10",))
    weights.save(wrong, network, dataclasses.replace(metadata, int8=scales))
    with pytest.raises(WeightsError, match="'conv10' has 3 channels: the layer takes 512"):
        ssr.load(weights=wrong, device="cpu", precision="int8")
    folded = fold_batch_norm(network)
    with pytest.raises(ConfigError, match="give a share between 0 and 1"):
        quantization.quantize(folded, NORMALIZATION, images(1, 0), images(1, 0), 1.0)
    with pytest.raises(ConfigError, match="no images"):
        quantization.quantize(folded, NORMALIZATION, [], [], 0.9)
    monkeypatch.setattr(quantization, "is_supported", lambda: False)
    with pytest.raises(DeviceError, match="no convolutions in int8"):
        quantization.quantize(folded, NORMALIZATION, images(1, 0), images(1, 0), 0.9)
