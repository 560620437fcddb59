"""Which images of a data set a batch shows, and which part of each."""

from __future__ import annotations

import torch
from torch import Tensor

from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.data.augment import AugmentConfig, augment
from squeeze_segnet_ros.data.camvid import LabelledImages


class CropSampler:
    """Draws augmented crops of a data set; ``rare_class_share`` of them show a pixel of a rare class."""

    def __init__(self, data: LabelledImages, config: AugmentConfig) -> None:
        self.data = data
        self.config = config
        # For each rare class that occurs: its id, and the images that show it.
        self.rare: list[tuple[int, Tensor]] = []
        if config.rare_class_share:
            for k in map(CAMVID.names.index, config.rare_classes):
                showing = torch.stack([(labels == k).any() for labels in data.labels]).nonzero()[:, 0]
                if len(showing):
                    self.rare.append((k, showing.cpu()))

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return ``n`` images and their labels, as :func:`augment` returns them."""
        chosen = torch.randint(len(self.data), (n,), generator=generator)
        points = self._move_to_rare(chosen, generator) if self.rare else None
        chosen = chosen.to(self.data.images.device)
        return augment(self.data.images[chosen], self.data.labels[chosen], self.config, generator, points)

    def _move_to_rare(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Replace a share of the chosen images, and say which pixel each must show: (n, 2), NaN for any.

        Every rare class has the same chance, then every image that shows it, then every pixel of it.
        """
        points = torch.full((len(chosen), 2), torch.nan)
        for i in (torch.rand(len(chosen), generator=generator) < self.config.rare_class_share).nonzero():
            k, showing = self.rare[_pick(len(self.rare), generator)]
            chosen[i] = showing[_pick(len(showing), generator)]
            pixels = (self.data.labels[int(chosen[i])] == k).nonzero()
            points[i] = pixels[_pick(len(pixels), generator)].float().cpu()
        return points


def _pick(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
