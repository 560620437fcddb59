"""What every network must do, as a class of tests that each network's own class inherits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from squeeze_segnet_ros import models
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.models import weights

FITTED_ACCURACY = 0.95
"""Pixel accuracy that a network which learns passes on four images that it was trained on."""


class LearningCheck(NamedTuple):
    """How a network is trained on four images: their (height, width), the optimizer, its rate, the steps."""

    size: tuple[int, int]
    optimizer: str
    lr: float
    steps: int


class NetworkTests:
    """Tests of one network; a subclass names it and gives its paper's parameter count."""

    name: ClassVar[str]
    parameters: ClassVar[float]
    learning: ClassVar[LearningCheck]

    @pytest.fixture(autouse=True)
    def _same_conditions(self) -> Iterator[None]:
        # On images this small a second thread gains little, and on a busy machine it waits for the first.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            yield
        torch.set_num_threads(threads)

    @pytest.fixture(scope="class")
    def network(self) -> nn.Module:
        """Return a fresh network in evaluation mode, shared by the tests that leave it as it is."""
        with torch.random.fork_rng():
            torch.manual_seed(1)
            return models.build(self.name).eval()

    def test_is_listed(self) -> None:
        assert self.name in models.names()

    def test_has_the_parameters_of_its_paper(self) -> None:
        with torch.device("meta"):
            network = models.build(self.name, 11)
        assert sum(p.numel() for p in network.parameters()) == pytest.approx(self.parameters, rel=0.01)

    @pytest.mark.parametrize("size", [(32, 32), (33, 32), (47, 61), (64, 96), (32, 127)])
    def test_logits_have_the_size_of_the_image(self, network: nn.Module, size: tuple[int, int]) -> None:
        with torch.inference_mode():
            logits = network(torch.randn(1, 3, *size))
        assert logits.shape == (1, 11, *size)
        assert logits.isfinite().all()

    @pytest.mark.parametrize("num_classes", [1, 4, 255])
    def test_scores_the_number_of_classes_asked_for(self, num_classes: int) -> None:
        with torch.device("meta"):
            network = models.build(self.name, num_classes)
            logits = network.eval()(torch.randn(3, 3, 35, 50))
        assert logits.shape == (3, num_classes, 35, 50)

    def test_looks_at_every_image_of_a_batch_alone(self, network: nn.Module) -> None:
        first, second, third = torch.randn(3, 1, 3, 40, 50)
        with torch.inference_mode():
            together = network(torch.cat((first, second)))
            with_another = network(torch.cat((first, third)))
        assert torch.equal(together[0], with_another[0])
        assert not torch.equal(together[1], with_another[1])

    def test_two_runs_agree(self, network: nn.Module) -> None:
        image = torch.randn(2, 3, 45, 38)
        torch.manual_seed(1)
        other = models.build(self.name).eval()
        with torch.inference_mode():
            logits = network(image)
            assert torch.equal(network(image), logits)
            assert torch.equal(other(image), logits)

    def test_gradients_reach_every_parameter(self) -> None:
        network = models.build(self.name).train()
        logits = network(torch.randn(2, 3, 37, 45))
        F.cross_entropy(logits, torch.randint(11, (2, 37, 45))).backward()
        unreached = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert unreached == []
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())

    def test_survives_a_weights_file(self, tmp_path: Path) -> None:
        network = models.build(self.name)
        network.train()(torch.randn(2, 3, 64, 64))  # so that batch norms have statistics to save
        network.half().float().eval()
        path = tmp_path / "weights.safetensors"
        weights.save(path, network, weights.WeightsMetadata(self.name))
        restored = models.build(self.name).eval()
        metadata = weights.load_into(restored, self.name, path)
        path.unlink()  # pytest keeps the folders of three runs
        assert metadata.model == self.name
        image = torch.randn(1, 3, 40, 52)
        with torch.inference_mode():
            assert torch.equal(restored(image), network(image))

    @pytest.mark.slow
    def test_fits_four_images(self) -> None:
        images, labels = street_like_images(4, self.learning.size)
        network = models.build(self.name, 4).train()
        before = pixel_accuracy(network, images, labels)
        train(network, images, labels, self.learning)
        after = pixel_accuracy(network, images, labels)
        assert before < 0.7
        assert after > FITTED_ACCURACY


def street_like_images(count: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return simple scenes: sky (0) over a road (1), a tree (2), a car (3), in changing places and light.

    Returns:
        normalized float (count, 3, H, W) and int64 labels (count, H, W).
    """
    generator = torch.Generator().manual_seed(0)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    y, x = torch.meshgrid(*(torch.linspace(0, 1, length) for length in size), indexing="ij")
    colors = torch.tensor(
        [[150.0, 180.0, 230.0], [90.0, 85.0, 90.0], [50.0, 110.0, 40.0], [190.0, 50.0, 40.0]]
    )
    images, labels = [], []
    for _ in range(count):
        scene = (y > uniform(0.5, 0.6)).long()
        tree_x, radius = uniform(0.2, 0.8), uniform(0.2, 0.3)
        scene[(1.5 * (x - tree_x)) ** 2 + (y - 0.3) ** 2 < radius**2] = 2
        car_x, car_y = uniform(0.05, 0.6), uniform(0.55, 0.65)
        scene[(x > car_x) & (x < car_x + 0.35) & (y > car_y) & (y < car_y + 0.25)] = 3
        light = uniform(0.8, 1.1) + uniform(-0.2, 0.2) * x
        noise = 8 * torch.randn(3, *size, generator=generator)
        images.append((colors[scene].permute(2, 0, 1) * light + noise).clamp(0, 255))
        labels.append(scene)
    return normalize(torch.stack(images)), torch.stack(labels)


def train(network: nn.Module, images: Tensor, labels: Tensor, check: LearningCheck) -> None:
    """Train on one batch, the images: a short warm-up, then a linear decay of the rate."""
    optimizer: torch.optim.Optimizer
    if check.optimizer == "sgd":
        optimizer = torch.optim.SGD(network.parameters(), check.lr, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(network.parameters(), check.lr)
    for step in range(check.steps):
        optimizer.param_groups[0]["lr"] = check.lr * min(
            1.0, (step + 1) / 5, (check.steps - step) / (0.3 * check.steps)
        )
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def pixel_accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of pixels that the network labels right in evaluation mode.

    So few steps leave the running statistics of batch norms behind: they are measured anew on the images.
    """
    network.eval()
    with torch.no_grad():
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.train()
            norm.momentum = 1.0
        network(images)
        for norm in norms:
            norm.eval()
            norm.momentum = 0.1
        right = network(images).argmax(1) == labels
    network.train()
    return float(right.float().mean())
