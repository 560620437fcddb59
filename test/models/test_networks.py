"""Every network of the papers: shape, size, determinism, files, and that it learns."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from squeeze_segnet_ros import models
from support.networks_base import LearningCheck, NetworkTests

# FCN-8s on VGG16 has 134 M parameters (arXiv 1411.4038, table 1).
FCN8S_PARAMETERS = 134e6


class TestSqueezeSegNet(NetworkTests):
    name = "squeeze_segnet"
    parameters = 2.7e6  # arXiv 1711.05491, table 2
    learning = LearningCheck((48, 64), "adamw", 2e-2, 140)


@pytest.mark.parametrize("name", ["squeeze_segnet", "squeeze_segnet_v11"])
@pytest.mark.parametrize("size", [(48, 64), (49, 63)])
def test_squeeze_segnet_averages_its_scores(name: str, size: tuple[int, int]) -> None:
    network = models.build(name).eval()
    deconvolved = []
    network.inverse_conv1.register_forward_hook(lambda _module, _inputs, output: deconvolved.append(output))
    with torch.no_grad():
        logits = network(torch.rand(2, 3, *size))
    height, width = size
    # The image's first pixel is the third row and column of the deconvolution's output.
    around = [
        deconvolved[0][:, :, y : y + height, x : x + width]
        for y, x in itertools.product((1, 2, 3), (1, 2, 3))
    ]
    torch.testing.assert_close(logits, torch.stack(around).mean(0))


class TestSqueezeSegNetV11(NetworkTests):
    name = "squeeze_segnet_v11"
    parameters = 2.69e6  # no paper's: its docstring's
    learning = LearningCheck((48, 64), "adamw", 2e-2, 120)


class TestSegNet(NetworkTests):
    name = "segnet"
    parameters = 29.4e6  # arXiv 1711.05491, table 2
    learning = LearningCheck((32, 48), "adamw", 3e-3, 20)


class TestSegNetBasic(NetworkTests):
    name = "segnet_basic"
    parameters = 1.425e6  # arXiv 1511.00561, table 1
    learning = LearningCheck((32, 48), "adamw", 5e-3, 30)


class TestENet(NetworkTests):
    name = "enet"
    parameters = 0.36e6  # arXiv 1711.05491, table 2
    learning = LearningCheck((48, 64), "adamw", 2e-2, 120)


class TestFCN2sDilatedVGG16(NetworkTests):
    name = "fcn2s_dilated_vgg16"
    # VGG16's convolutions, fc6 as 3x3 from 512 to 4096, fc7 as 1x1 from 4096 to 4096, each with biases.
    parameters = 14_714_688 + (9 * 512 + 1) * 4096 + (4096 + 1) * 4096
    learning = LearningCheck((32, 32), "sgd", 3e-2, 20)

    def test_is_about_a_third_of_fcn_8s(self, network: nn.Module) -> None:
        parameters = sum(p.numel() for p in network.parameters())
        assert 1 / 3 < parameters / FCN8S_PARAMETERS < 0.4


@pytest.mark.slow  # VGG16 with three more layers
class TestFCN2sDilatedVGG19(NetworkTests):
    name = "fcn2s_dilated_vgg19"
    parameters = 20_024_384 + (9 * 512 + 1) * 4096 + (4096 + 1) * 4096
    learning = LearningCheck((32, 32), "sgd", 3e-2, 20)


def test_every_network_is_tested() -> None:
    tested = {subclass.name for subclass in NetworkTests.__subclasses__()}
    assert tested == set(models.names())
