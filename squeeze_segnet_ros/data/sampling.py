"""Which images of a data set a batch shows, and which part of each.

Everything follows from the seed and the number of the step: a run that was interrupted goes on as it would
have.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import torch
from torch import Tensor

from squeeze_segnet_ros.classes import LabelSet
from squeeze_segnet_ros.data.augment import AugmentConfig, augment, draw_crop, warp
from squeeze_segnet_ros.data.crops import Crop, Cut, cut, region
from squeeze_segnet_ros.data.loading import Images
from squeeze_segnet_ros.errors import ConfigError

_RARE = 0.02
"""Share of the labelled pixels below which a class is rare where no names are given."""
_STEPS_AHEAD = 2
_SHARE_OF_GPU_MEMORY = 0.4
"""How much of a GPU's free memory decoded images may take."""


class CropSampler:
    """Draws augmented crops of images; ``rare_class_share`` of them show a pixel of a rare class.

    Each image comes once, in a new random order, before any comes again; but for those whose place an image
    with a rare class takes.
    """

    def __init__(
        self,
        images: Images,
        classes: LabelSet,
        config: AugmentConfig,
        n: int,
        seed: int,
        device: torch.device,
        pixels: np.ndarray | None = None,
    ) -> None:
        """Make a sampler.

        Args:
            images: what to draw from.
            classes: what their ids mean.
            config: how strongly crops are changed.
            n: crops of a batch.
            seed: whatever is drawn follows from it.
            device: where the crops are wanted.
            pixels: int64 (N, 256), pixels of each class id of all images, those of other processes too; None
                where there are no others.

        Raises:
            ConfigError: a rare or pasted class is not one of ``classes``.
        """
        self.images, self.config, self.n, self.device = images, config, n, device
        self._seed = seed
        total = (images.pixels if pixels is None else pixels).sum(0)[: len(classes)]
        rare_ids = class_ids("rare_classes", config.rare_classes, classes, total)
        self.pasted = class_ids("pasted_classes", config.pasted_classes, classes, total)
        # For each rare class that occurs: its id, and the images that show it.
        self.rare: list[tuple[int, np.ndarray]] = []
        if config.rare_class_share:
            showing = ((k, np.flatnonzero(images.pixels[:, k])) for k in rare_ids)
            self.rare = [(k, found) for k, found in showing if len(found)]
        self._ahead: dict[int, list[Future[Cut]]] = {}
        self.on_gpu = self._on_gpu()
        self.waited = 0.0

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the crops of a step.

        Returns:
            float (n, 3, h, w) RGB in 0..255 and uint8 (n, h, w) on the device, with (h, w) the crops' size;
            what lies outside the image is black and 255.
        """
        if self.on_gpu:
            parts = [self._cut_on_gpu(index, crop) for index, crop in self.plan(step)]
        else:
            start = time.monotonic()
            for later in range(step, step + 1 + _STEPS_AHEAD):
                if later not in self._ahead:
                    self._ahead[later] = [
                        self.images.loader.submit(cut, self.images.places[index], crop)
                        for index, crop in self.plan(later)
                    ]
                if not self.images.loader.workers:
                    break
            cuts = [future.result() for future in self._ahead.pop(step)]
            self.waited += time.monotonic() - start
            parts = [
                (self._tensor(each.image), self._tensor(each.labels), self._tensor(each.theta))
                for each in cuts
            ]
        warped = [warp(image, labels, theta, self.config.crop) for image, labels, theta in parts]
        images, labels = (torch.cat(tensors) for tensors in zip(*warped, strict=True))
        return augment(images, labels, self.config, self._generator(step, 1), self.pasted)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def plan(self, step: int) -> list[tuple[int, Crop]]:
        """Return which images a step shows, and which part of each."""
        generator = self._generator(step, 0)
        planned = []
        for place in range(step * self.n, (step + 1) * self.n):
            index, shows = self._index(place), -1
            if self.rare and _uniform(generator) < self.config.rare_class_share:
                # Every rare class has the same chance, then every image with it, then every pixel of it.
                shows, showing = self.rare[_pick(len(self.rare), generator)]
                index = int(showing[_pick(len(showing), generator)])
            planned.append((index, draw_crop(self.config, generator, shows)))
        return planned

    def _index(self, place: int) -> int:
        epoch, position = divmod(place, len(self.images))
        # The order of the last epoch asked for is kept: a batch lies in one, or in two.
        if getattr(self, "_order", (None,))[0] != epoch:
            order = torch.randperm(len(self.images), generator=self._generator(epoch, 2))
            self._order = (epoch, order.tolist())
        return int(self._order[1][position])

    def _generator(self, number: int, purpose: int) -> torch.Generator:
        mixed = np.random.SeedSequence([self._seed, purpose, number]).generate_state(2, np.uint32)
        return torch.Generator().manual_seed(int(mixed[0]) << 31 | int(mixed[1]) >> 1)

    def _on_gpu(self) -> list[tuple[Tensor, Tensor]]:
        """Return images and labels on the GPU, where there is one that has room for them all."""
        if self.device.type != "cuda":
            return []
        if self.images.most_bytes > _SHARE_OF_GPU_MEMORY * torch.cuda.mem_get_info(self.device)[0]:
            return []
        return [(self._tensor(image.copy()), self._tensor(labels.copy())) for image, labels in self.images]

    def _cut_on_gpu(self, index: int, crop: Crop) -> tuple[Tensor, Tensor, Tensor]:
        image, labels = self.on_gpu[index]
        pixel = None
        if crop.shows >= 0:
            found = (labels.view(-1) == crop.shows).nonzero()[:, 0]
            pixel = divmod(int(found[int(crop.pixel * len(found))]), labels.shape[1])
        theta, rows, columns = region(tuple(labels.shape), crop, pixel)
        return image[rows, columns], labels[rows, columns], self._tensor(theta)


def class_ids(key: str, chosen: Sequence[str], classes: LabelSet, pixels: np.ndarray) -> tuple[int, ...]:
    """Return the ids of the classes of some names; of those that are rare where there are no names.

    Args:
        key: what the names stand under, for the message.
        chosen: names of classes.
        classes: the class set.
        pixels: int64 (K,), how many labelled pixels each class has.

    Raises:
        ConfigError: there is no class of such a name.
    """
    for name in chosen:
        if name not in classes.names:
            raise ConfigError(
                f"augment: {key}: there is no class '{name}' in {classes.name}: choose from "
                f"{', '.join(classes.names)}, or leave {key} out for those with few pixels"
            )
    if chosen:
        return tuple(classes.names.index(name) for name in chosen)
    return tuple(int(k) for k in np.flatnonzero((pixels > 0) & (pixels < _RARE * pixels.sum())))


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def _pick(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
