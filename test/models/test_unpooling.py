"""Max-unpooling: one contract for all ways, held against a plain loop."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from squeeze_segnet_ros.models.unpooling import (
    COMPARISONS,
    RANK,
    SCATTER,
    MaxPool,
    Way,
    max_unpool,
    triton_way,
)
from squeeze_segnet_ros.models.unpooling.contract import pooled_length


def sparse_image(shape):
    """Return peaks on a zero background: neighboring windows name the same peak, and ties are common."""
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    image = image.where(image > 0.8, 0.0)
    # Windows that meet at the even pixels share them most often.
    image[:, :, ::2, ::2] *= 2
    return image


def pooled_in_a_loop(image, kernel_size, ceil_mode):
    """Do as the definition says: of each window the first maximum, and its flat position in the plane."""
    n, c, height, width = image.shape
    size = [pooled_length(length, kernel_size, ceil_mode) for length in (height, width)]
    maxima, found = np.zeros((n, c, *size), np.float32), np.zeros((n, c, *size), np.int64)
    for i, j in np.ndindex(*size):
        window = image[:, :, 2 * i : 2 * i + kernel_size, 2 * j : 2 * j + kernel_size]
        rows, columns = window.shape[2:]
        first = window.reshape(n, c, rows * columns).argmax(2)
        maxima[:, :, i, j] = window.max((2, 3))
        found[:, :, i, j] = (2 * i + first // columns) * width + 2 * j + first % columns
    return torch.from_numpy(maxima), found


def unpooled_in_a_loop(values, found, size):
    """Do as the definition says: windows in row-major order, each writes its value."""
    n, c = values.shape[:2]
    plane = np.zeros((n, c, size[0] * size[1]), np.float32)
    for image, channel in np.ndindex(n, c):
        for value, index in zip(
            values[image, channel].flatten(), found[image, channel].flatten(), strict=True
        ):
            plane[image, channel, index] = value
    return torch.from_numpy(plane).reshape(n, c, *size)


class UnpoolingContract:
    """What every way does."""

    way: Way
    device = "cpu"
    dtypes = (torch.float32, torch.bfloat16)

    @pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
    @pytest.mark.parametrize("size", [(17, 22), (32, 33), (9, 41)])
    @pytest.mark.parametrize(("kernel_size", "ceil_mode"), [(2, False), (2, True), (3, True)])
    def test_first_maximum_and_later_window(self, kernel_size, ceil_mode, size, memory_format):
        image = sparse_image((2, 5, *size))
        maxima, found = pooled_in_a_loop(image.numpy(), kernel_size, ceil_mode)
        values = torch.randn(maxima.shape, generator=torch.Generator().manual_seed(1))
        for dtype in self.dtypes:
            given = image.to(self.device, dtype, memory_format=memory_format)
            pooled, places = MaxPool(kernel_size, ceil_mode, self.way)(given)
            assert torch.equal(pooled.cpu(), maxima.to(dtype))
            rounded = values.to(dtype)
            unpooled = max_unpool(rounded.to(self.device, memory_format=memory_format), places)
            assert unpooled.dtype == dtype
            # Maxima that differ may round to the same value, of which another is the first.
            if dtype == torch.float32:
                assert torch.equal(unpooled.cpu(), unpooled_in_a_loop(rounded.numpy(), found, size))

    def test_an_image_alone_is_as_in_a_batch(self):
        image = sparse_image((3, 4, 17, 22)).to(self.device)
        pooled, places = MaxPool(3, True, self.way)(image)
        together = max_unpool(pooled, places)
        for i in range(3):
            pooled, places = MaxPool(3, True, self.way)(image[i : i + 1])
            assert torch.equal(max_unpool(pooled, places), together[i : i + 1])

    def test_pooling_again_gives_the_maxima(self):
        image = torch.rand(1, 3, 20, 20).to(self.device)
        values, places = MaxPool(2, way=self.way)(image)
        assert torch.equal(F.max_pool2d(max_unpool(values, places), 2), values)


class TestScatter(UnpoolingContract):
    way = SCATTER


class TestRank(UnpoolingContract):
    way = RANK


class TestComparisons(UnpoolingContract):
    way = COMPARISONS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
class TestRankOnAGpu(UnpoolingContract):
    way = RANK
    device = "cuda"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
class TestTriton(UnpoolingContract):
    device = "cuda"
    dtypes = (torch.float32, torch.float16)

    @pytest.fixture(autouse=True)
    def works(self):
        type(self).way = triton_way(torch.device("cuda"), torch.float32)
        if self.way is None:
            pytest.skip("Triton does not work here")


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request):
    """Run PyTorch with that many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_threads_share_a_plane(threads, memory_format):
    size = (90, 119)
    image = sparse_image((1, 32, *size)).to(memory_format=memory_format)
    _, places = MaxPool(3, ceil_mode=True)(image)
    values = torch.randn(places.where.shape).to(torch.bfloat16, memory_format=memory_format)
    expected = unpooled_in_a_loop(values.float().numpy(), places.where.numpy(), size)
    for _ in range(5):
        assert torch.equal(max_unpool(values, places).float(), expected)
    assert max_unpool(values, places).is_contiguous(memory_format=memory_format)


def test_the_windows_of_the_tests_share_pixels():
    _, found = pooled_in_a_loop(sparse_image((1, 5, 17, 22)).numpy(), 3, True)
    distinct = sum(len(np.unique(plane)) for plane in found[0])
    assert distinct < 0.8 * found.size


def test_gradient_reaches_every_window(threads):
    image = sparse_image((1, 4, 33, 40)).to(memory_format=torch.channels_last)
    _, places = MaxPool(3, ceil_mode=True)(image)
    x = torch.randn(places.where.shape, requires_grad=True)
    upstream = torch.randn(1, 4, 33, 40).to(memory_format=torch.channels_last)
    (max_unpool(x, places) * upstream).sum().backward()
    expected = upstream.flatten(2).gather(2, places.where.flatten(2)).view_as(x)
    assert torch.equal(x.grad, expected)


@pytest.mark.parametrize("kernel_size", [2, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_the_pooled_size_is_pytorchs(kernel_size, ceil_mode):
    for length in range(3, 20):
        pooled, _ = MaxPool(kernel_size, ceil_mode)(torch.zeros(1, 1, length, length))
        assert pooled.shape[2] == pooled_length(length, kernel_size, ceil_mode)
