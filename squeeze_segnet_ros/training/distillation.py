"""Training a network on what a better one says, beside the labels (Hinton et al., arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import LabelSet
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.models import weights
from squeeze_segnet_ros.training.config import DistillationConfig


class Teacher:
    """A trained network that sees the student's images, and says how far the student is from it."""

    def __init__(
        self, config: DistillationConfig, student: nn.Module, label_set: LabelSet, device: torch.device
    ) -> None:
        """Load the teacher and join it to the student.

        Raises:
            ConfigError: joints do not fit.
            WeightsError: the teacher's weights cannot be loaded.
        """
        self.config = config
        self.student = student
        path = Path(config.weights) if config.weights else weights.released(config.teacher)
        tensors, metadata = weights.load(path)
        if metadata.label_set.names != label_set.names:
            raise ConfigError(
                f"distillation: {path} has the classes of {metadata.label_set.name}, the data set "
                f"those of {label_set.name}: a teacher needs the same"
            )
        self.network = models.build(config.teacher, len(label_set))
        weights.fill(self.network, config.teacher, tensors, metadata, path)
        self.network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._check_joints(device)

    def _check_joints(self, device: torch.device) -> None:
        for network in (self.student, self.network):
            missing = set(self.config.joints) - {name for name, _ in network.named_modules()}
            if missing:
                raise ConfigError(
                    f"distillation: {type(network).__name__} has no {', '.join(sorted(missing))}"
                )
        image = torch.zeros(1, 3, 64, 64, device=device)
        was_training = self.student.training
        with torch.no_grad():
            _, ours = _run(self.student.eval(), image, self.student, self.config.joints)
            _, theirs = _run(self.network, image, self.network, self.config.joints)
        self.student.train(was_training)
        for name in self.config.joints:
            if ours[name].shape[1] != theirs[name].shape[1]:
                raise ConfigError(
                    f"distillation: {name} has {ours[name].shape[1]} channels in the student and "
                    f"{theirs[name].shape[1]} in the teacher: choose joints of equal width"
                )

    def teach(self, network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Run the student on a batch beside the teacher.

        Args:
            network: the student, or what wraps it.
            images: normalized float (N, 3, H, W).

        Returns:
            the student's logits (N, K, H, W), and the loss (): the divergence of the teacher's softened
            probabilities from the student's, and 1 minus the cosine of their features, each weighted.
        """
        config = self.config
        logits, ours = _run(network, images, self.student, config.joints)
        with torch.no_grad():
            wanted, theirs = _run(self.network, images, self.network, config.joints)
        loss = config.logits_weight * divergence(logits, wanted, config.temperature)
        for name in config.joints:
            share = config.features_weight / len(config.joints)
            loss = loss + share * feature_distance(ours[name], theirs[name])
        return logits, loss


def divergence(logits: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return the Kullback-Leibler divergence between softened class probabilities, its mean over pixels.

    Args:
        logits: the student's, (N, K, H, W).
        wanted: the teacher's, (N, K, H, W).
        temperature: divides both; the result is multiplied by its square, which keeps its gradients' size.
    """
    ours, theirs = ((scores.float() / temperature).log_softmax(1) for scores in (logits, wanted))
    per_pixel = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(1)
    return temperature**2 * per_pixel.mean()


def feature_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return 1 minus the cosine between features (N, C, h, w) of any scale, its mean over pixels.

    The teacher's are resized to the student's: the same stride gives a row or a column more or less.
    """
    theirs = F.interpolate(theirs.float(), ours.shape[2:], mode="bilinear", align_corners=False)
    return 1 - F.cosine_similarity(ours.float(), theirs, dim=1).mean()


def _run(
    network: nn.Module, images: Tensor, modules: nn.Module, names: Sequence[str]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return what ``network`` gives, and what the named modules within gave on the way."""
    with _outputs(modules, names) as outputs:
        return network(images), outputs


@contextmanager
def _outputs(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    outputs: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        return module.register_forward_hook(lambda _module, _inputs, output: outputs.update({name: output}))

    handles = [keep(name, network.get_submodule(name)) for name in names]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
