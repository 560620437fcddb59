"""Max-unpooling: on every path the later window wins, as in a plain loop."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from squeeze_segnet_ros.models import blocks


def unpool_in_a_loop(x, indices, output_size):
    """Unpool by definition: windows in row-major order, each writes its value."""
    n, c = x.shape[:2]
    plane = np.zeros((n, c, output_size[0] * output_size[1]), np.float32)
    for image, channel in np.ndindex(n, c):
        for value, index in zip(x[image, channel].flatten(), indices[image, channel].flatten(), strict=True):
            plane[image, channel, index] = value
    return torch.from_numpy(plane).reshape(n, c, *output_size)


def sparse_image(shape):
    """Return peaks on a zero background: neighboring windows name the same peak, and ties are common."""
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    image = image.where(image > 0.8, 0.0)
    # Windows that meet at the even pixels share them most often.
    image[:, :, ::2, ::2] *= 2
    return image


def pooled(shape, kernel_size, memory_format, dtype=torch.float32):
    """Return pooling indices with many windows that share a maximum, and values that tell windows apart."""
    image = sparse_image(shape).to(memory_format=memory_format)
    _, indices = blocks.MaxPool(kernel_size, ceil_mode=True)(image)
    values = torch.randn(indices.shape, generator=torch.Generator().manual_seed(1))
    return values.to(dtype).to(memory_format=memory_format), indices


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request):
    """Let PyTorch have that many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(17, 22), (32, 33), (9, 41)])
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_the_later_window_wins(threads, kernel_size, size, memory_format):
    x, indices = pooled((2, 5, *size), kernel_size, memory_format)
    unpooled = blocks.max_unpool(x, indices, size)
    assert torch.equal(unpooled, unpool_in_a_loop(x.numpy(), indices.numpy(), size))
    assert unpooled.is_contiguous(memory_format=memory_format)


def test_the_windows_of_the_test_share_pixels():
    _, indices = pooled((1, 5, 17, 22), 3, torch.channels_last)
    distinct = sum(len(plane.unique()) for plane in indices[0].flatten(1))
    assert distinct < 0.8 * indices.numel()


def test_threads_on_a_plane_that_takes_them_a_while(threads):
    size = (90, 119)
    x, indices = pooled((1, 32, *size), 3, torch.channels_last, torch.bfloat16)
    expected = unpool_in_a_loop(x.float().numpy(), indices.numpy(), size)
    for _ in range(5):
        assert torch.equal(blocks.max_unpool(x, indices, size).float(), expected)


@pytest.mark.parametrize("size", [(17, 22), (32, 33)])
def test_the_path_for_devices_whose_scatter_has_no_order(size):
    x, indices = pooled((2, 5, *size), 3, torch.contiguous_format)
    unpooled = blocks._max_unpool_by_rank(x, indices, size)
    assert torch.equal(unpooled, unpool_in_a_loop(x.numpy(), indices.numpy(), size))


@pytest.mark.parametrize("size", [(17, 22), (32, 33), (33, 40)])
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_the_form_without_a_scatter(kernel_size, size):
    x, indices = pooled((2, 5, *size), kernel_size, torch.contiguous_format)
    image = sparse_image((2, 5, *size))
    maxima, _ = blocks.MaxPool(kernel_size, ceil_mode=True)(image)
    unpooled = blocks.unpool_by_place(x, blocks.max_pool_place(image, maxima, kernel_size), size)
    assert torch.equal(unpooled, unpool_in_a_loop(x.numpy(), indices.numpy(), size))


def test_gradient_reaches_every_window(threads):
    x, indices = pooled((1, 4, 33, 40), 3, torch.channels_last)
    x.requires_grad_()
    upstream = torch.randn(1, 4, 33, 40).to(memory_format=torch.channels_last)
    (blocks.max_unpool(x, indices, (33, 40)) * upstream).sum().backward()
    expected = upstream.flatten(2).gather(2, indices.flatten(2)).view_as(x)
    assert torch.equal(x.grad, expected)


def test_pooling_and_unpooling_keep_the_maxima():
    image = torch.rand(1, 3, 20, 20)
    values, indices = blocks.MaxPool(2)(image)
    assert torch.equal(F.max_pool2d(blocks.max_unpool(values, indices, (20, 20)), 2), values)
