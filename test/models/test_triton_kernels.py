"""The GPU's pooling kernels, run by Triton's interpreter: they give what the CPU gives."""

import importlib

import pytest
import torch

from squeeze_segnet_ros.models.unpooling import COMPARISONS, MaxPool, max_unpool
from squeeze_segnet_ros.models.unpooling import triton_kernels as kernels


@pytest.fixture(scope="module")
def interpreted():
    pytest.importorskip("triton", reason="Triton, which comes with PyTorch for CUDA, is not installed")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TRITON_INTERPRET", "1")
        yield importlib.reload(kernels)
    importlib.reload(kernels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(
    ("kernel_size", "ceil_mode", "size"),
    [(3, True, (13, 18)), (3, True, (12, 7)), (3, False, (9, 33)), (2, False, (8, 10)), (2, True, (7, 9))],
)
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_pooling_and_unpooling_are_those_of_the_cpu(
    interpreted, dtype, kernel_size, ceil_mode, size, memory_format
):
    # Few different values, so that many maxima tie and many windows name the same pixel.
    image = torch.randint(0, 4, (2, 70, *size), generator=torch.manual_seed(0)).to(dtype)
    image = image.contiguous(memory_format=memory_format)
    wanted, places = MaxPool(kernel_size, ceil_mode)(image.float())
    pooled, place = interpreted.pool(image, kernel_size, ceil_mode)
    assert torch.equal(pooled.float(), wanted)
    assert torch.equal(place.float(), COMPARISONS.pool(image.float(), kernel_size, ceil_mode)[1])
    values = torch.rand(wanted.shape, generator=torch.manual_seed(1)).to(dtype)
    unpooled = interpreted.unpool(values.contiguous(memory_format=memory_format), place, size)
    assert torch.equal(unpooled.float(), max_unpool(values.float(), places))
    assert unpooled.dtype == dtype


def refuse(*_arguments):
    raise RuntimeError("no C compiler\nat all")


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("triton", None, "Triton is not installed: "), ("pool", refuse, "(RuntimeError: no C compiler): ")],
)
def test_a_triton_that_is_missing_or_broken_is_said_once(name, value, reason, monkeypatch, caplog):
    monkeypatch.setattr(kernels, "triton", "there")
    monkeypatch.setattr(kernels, name, value)
    kernels.available.cache_clear()
    asked = torch.device("cpu"), torch.bfloat16
    assert not kernels.available(*asked) and not kernels.available(*asked)
    (message,) = [record.message for record in caplog.records]
    assert reason in message and "\n" not in message
    kernels.available.cache_clear()
