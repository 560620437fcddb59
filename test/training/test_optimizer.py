"""The optimizers of a training run: which parameters Muon steps, how, and that a run can go on."""

import copy

import pytest
import torch
from torch import nn

from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.training.config import OptimizerConfig
from squeeze_segnet_ros.training.optimizer import make_optimizer

MUON = OptimizerConfig("muon", lr=0.01, weight_decay=0.1, encoder_lr_factor=0.2)


def a_network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.Conv2d(6, 4, (3, 5)),
        nn.BatchNorm2d(4),
        nn.ConvTranspose2d(4, 8, 3),
        nn.Conv2d(8, 2, 1),
    )


def descend(network, optimizer, steps):
    torch.manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        network(torch.randn(2, 3, 16, 16)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_muon_steps_the_kernels_inside_as_matrices(memory_format):
    network = a_network().to(memory_format=memory_format)
    before = copy.deepcopy(network)
    descend(network, make_optimizer(network, MUON, pretrained=()), 1)
    for i in (1, 3):
        change = (network[i].weight - before[i].weight * (1 - 0.01 * 0.1)).flatten(1)
        scale = 0.01 * 0.2 * max(change.shape) ** 0.5
        # What makes it Muon: a step has singular values that are almost alike.
        alike = torch.linalg.svdvals(change / scale)
        assert alike.min() > 0.5 and alike.max() < 1.5
    for i in (0, 4):
        change = network[i].weight - before[i].weight * (1 - 0.01 * 0.1)
        torch.testing.assert_close(change.abs(), torch.full_like(change, 0.01), rtol=0.01, atol=0)


def test_the_order_of_a_kernels_elements_does_not_matter():
    one, other = a_network(), a_network().to(memory_format=torch.channels_last)
    for network in (one, other):
        descend(network, make_optimizer(network, MUON, pretrained=()), 1)
    for i in (1, 3):
        # Muon computes in bf16.
        torch.testing.assert_close(one[i].weight, other[i].weight, rtol=0.02, atol=2e-4)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_muon_in_fp32_takes_the_same_steps_and_goes_on_from_the_state_of_bf16(memory_format):
    in_bf16 = a_network().to(memory_format=memory_format)
    in_fp32 = copy.deepcopy(in_bf16)
    one = make_optimizer(in_bf16, MUON, pretrained=())
    other = make_optimizer(in_fp32, MUON, (), torch.float32)
    start = copy.deepcopy(in_bf16)
    for network, optimizer in ((in_bf16, one), (in_fp32, other)):
        descend(network, optimizer, 3)
    for before, rounded, exact in zip(start, in_bf16, in_fp32, strict=True):
        if isinstance(before, nn.BatchNorm2d):
            continue
        change, wanted = rounded.weight - before.weight, exact.weight - before.weight
        assert (change - wanted).norm() < 0.02 * wanted.norm()
    copy_of_bf16 = copy.deepcopy(in_bf16)
    other = make_optimizer(copy_of_bf16, MUON, (), torch.float32)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    descend(in_bf16, one, 1)
    descend(copy_of_bf16, other, 1)
    for rounded, exact in zip(in_bf16.parameters(), copy_of_bf16.parameters(), strict=True):
        torch.testing.assert_close(rounded, exact, rtol=0.02, atol=2e-4)


def test_groups_have_their_rates_and_decays():
    network = a_network()
    optimizer = make_optimizer(network, MUON, pretrained=("0.weight", "0.bias", "1.weight", "1.bias"))
    groups = optimizer.param_groups
    found = {(each["lr_factor"], each["weight_decay"], len(each["params"])) for each in groups}
    # AdamW: first kernel; biases beside it; last kernel; norm and biases. Muon: a kernel of either rate.
    assert found == {(0.2, 0.1, 1), (0.2, 0.0, 2), (1.0, 0.1, 1), (1.0, 0.0, 4)}
    assert sum(len(each["params"]) for each in groups) == len(list(network.parameters()))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_goes_on_from_its_state(name):
    config = OptimizerConfig(name, lr=0.01)
    network = a_network()
    optimizer = make_optimizer(network, config, pretrained=())
    descend(network, optimizer, 2)
    other = copy.deepcopy(network)
    resumed = make_optimizer(other, config, pretrained=())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    descend(network, optimizer, 2)
    descend(other, resumed, 2)
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_the_rate_that_is_set_after_a_state_is_taken_over_counts(name):
    network = a_network()
    optimizer = make_optimizer(network, OptimizerConfig(name, lr=0.01), pretrained=())
    descend(network, optimizer, 2)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    before = copy.deepcopy(network)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    descend(network, optimizer, 1)
    for one, two in zip(network.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_options_are_the_configurations_own_after_a_state_is_taken_over():
    network = a_network()
    state = make_optimizer(network, MUON, pretrained=("0.weight",)).state_dict()
    changed = OptimizerConfig("muon", lr=0.03, weight_decay=0.4, encoder_lr_factor=0.5)
    optimizer = make_optimizer(network, changed, pretrained=("0.weight",))
    optimizer.load_state_dict(state)
    assert {each["lr"] for each in optimizer.param_groups} == {0.03}
    assert {each["weight_decay"] for each in optimizer.param_groups} == {0.4, 0.0}
    assert {each["lr_factor"] for each in optimizer.param_groups} == {0.5, 1.0}


def test_the_state_of_another_optimizer_is_refused():
    network = a_network()
    other = make_optimizer(network, OptimizerConfig("sgd"), pretrained=()).state_dict()
    with pytest.raises(ConfigError, match="a run with sgd, the configuration has adamw and muon"):
        make_optimizer(network, MUON, pretrained=()).load_state_dict(other)


def test_an_old_pytorch_is_told(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(ConfigError, match=r"muon needs PyTorch 2\.9 or later"):
        make_optimizer(a_network(), MUON, pretrained=())
