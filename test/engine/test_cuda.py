"""The engine on a GPU: the labels of the CPU, whatever runs beside it, in memory that stays flat."""

import threading

import numpy as np
import pytest
import torch

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros.engine import Request

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]
SIZE = (96, 128)


@pytest.fixture(scope="module")
def weights_file(untrained):
    return untrained()


@pytest.fixture
def images():
    return list(np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), np.uint8))


def test_fp32_labels_are_those_of_the_cpu(weights_file, images):
    on_gpu = ssr.load(weights=weights_file, device="cuda", precision="fp32")
    on_cpu = ssr.load(weights=weights_file, device="cpu", precision="fp32")
    for mine, reference in zip(on_gpu(images), on_cpu(images), strict=True):
        assert (mine == reference).mean() > 0.999


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_every_pass_of_a_shape_gives_the_same(weights_file, images, precision):
    # The first pass runs kernel by kernel, the second captures a graph, the third replays it.
    net = ssr.load(weights=weights_file, device="cuda", precision=precision)
    first, second, third = (net.segment(images, Request(overlay=True)) for _ in range(3))
    for results in zip(first, second, third, strict=True):
        for other in results[1:]:
            assert np.array_equal(other.labels, results[0].labels)
            assert np.array_equal(other.overlay, results[0].overlay)


def test_a_replay_sees_the_new_image(weights_file, images):
    net = ssr.load(weights=weights_file, device="cuda", precision="fp32")
    fresh = ssr.load(weights=weights_file, device="cuda", precision="fp32")
    for _ in range(3):
        net(images[0])
    assert np.array_equal(net(images[1]), fresh(images[1]))


def test_threads_do_not_get_each_others_labels(weights_file, images):
    net = ssr.load(weights=weights_file, device="cuda")
    wanted = [[net(image) for _ in range(3)][-1] for image in images]
    wrong = []

    def work(i):
        wrong.extend(i for _ in range(50) if not np.array_equal(net(images[i]), wanted[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong


def test_memory_is_flat(weights_file, images):
    net = ssr.load(weights=weights_file, device="cuda")
    for _ in range(3):
        net.segment(images, Request(overlay=True))
    before = torch.cuda.memory_reserved()
    for _ in range(20):
        net.segment(images, Request(overlay=True))
    assert torch.cuda.memory_reserved() == before
