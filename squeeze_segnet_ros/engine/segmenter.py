"""The engine's front: checks images, runs them through the network, and hands out results."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor

from squeeze_segnet_ros.classes import LabelClass
from squeeze_segnet_ros.engine.loading import Loaded, load_card, load_network
from squeeze_segnet_ros.engine.request import LABELS, Request, Segmentation
from squeeze_segnet_ros.engine.scores import Labels, Scores
from squeeze_segnet_ros.errors import ConfigError, DeviceError, InvalidImageError
from squeeze_segnet_ros.images.encodings import CHANNELS
from squeeze_segnet_ros.images.pixels import blend, resize
from squeeze_segnet_ros.models.card import is_card

if TYPE_CHECKING:
    from PIL import Image

    Picture: TypeAlias = np.ndarray | Image.Image
    Pictures: TypeAlias = Sequence[Picture]

MIN_SIZE = 32
"""Smallest height and width in pixels that every network takes."""

ENCODINGS = tuple(CHANNELS)
"""The encodings, as sensor_msgs names them, of the images that a Segmenter takes as they are."""

_SCORES_AND_LABELS = Request()


def load(
    model: str | Path = "squeeze_segnet",
    weights: str | Path | None = None,
    device: str | torch.device = "auto",
    precision: str = "auto",
    input_size: tuple[int, int] | None = None,
) -> Segmenter:
    """Load a network for inference.

    Args:
        model: a name out of ``models.names()``, or the path of a card, which ends in ``.yaml``.
        weights: a safetensors file; None takes the released weights of the network. A card names its own.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``, or ``openvino`` for the .onnx of a card.
        precision: ``auto``, ``fp32``, ``bf16``, ``fp16``, or ``int8`` on a CPU; other runtimes' files have
            their own. With fp32 on a GPU, PyTorch's TF32, which rounds to 10 bits, is switched off for
            convolutions of the whole process.
        input_size: height and width in pixels at which the network sees the images; None for their own, or
            for a card's ``size``.

    Raises:
        UnknownModelError, WeightsError, DeviceError, ConfigError: see the message.
    """
    size = _checked_size(input_size)
    name, path = str(model), None if weights is None else Path(weights)
    if not is_card(name):
        return Segmenter(load_network(name, path, str(device), precision), size)
    if path is not None:
        raise ConfigError(f"weights is {path}, but the card {name} names its own file: leave weights out")
    loaded = load_card(Path(name).expanduser(), str(device), precision)
    if size is not None and not loaded.any_size:
        raise ConfigError(f"input_size is {size}, but the card {name} has a size of its own: leave it out")
    return Segmenter(loaded, size)


@dataclass(frozen=True)
class _Group:
    """Images of one size that go through the network together: uint8 (H, W, C), with their encodings."""

    images: tuple[np.ndarray, ...]
    encodings: tuple[str, ...]

    def __getitem__(self, part: slice) -> _Group:
        return _Group(self.images[part], self.encodings[part])


class Segmenter:
    """A network, ready to segment images; :func:`load` makes it. It may be used from several threads.

    Attributes:
        model, device, precision, input_size: what was chosen.
        weights: path of the file with its parameters; weights_sha256: that file's hash.
        label_set: the classes.
        backend: what runs it.
    """

    def __init__(self, loaded: Loaded, input_size: tuple[int, int] | None = None) -> None:
        self.model = loaded.name
        self.weights = loaded.file
        self.weights_sha256 = loaded.sha256
        self.label_set = loaded.label_set
        self.backend = loaded.backend
        self.device = loaded.device
        self.precision = loaded.backend.precision
        self.input_size = input_size
        self._palette = torch.from_numpy(self.label_set.palette).to(loaded.backend.device)  # (256, 3)

    def __repr__(self) -> str:
        return (
            f"<Segmenter {self.model} ({self.weights.name}) on {self.device} in {self.precision}: "
            f"{len(self.classes)} classes of {self.label_set.name}>"
        )

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        """The classes in the order of their ids, each (id, name, rgb); printed as a table."""
        return self.label_set.classes

    @property
    def passes(self) -> int:
        """How many passes are worth having at a time.

        A GPU uploads the next batch beside the computing of this one, a CPU has no time to spare.
        """
        return 2 if self.device.startswith("cuda") else 1

    @property
    def gives_scores(self) -> bool:
        """Whether the network gives scores, from which a confidence follows, or labels alone."""
        return self.backend.gives_scores

    @overload
    def __call__(self, images: Picture) -> np.ndarray: ...
    @overload
    def __call__(self, images: Pictures) -> list[np.ndarray]: ...
    def __call__(self, images: Picture | Pictures) -> np.ndarray | list[np.ndarray]:
        """Return the labels of an image, or of a list of images as one batch.

        Args:
            images: uint8 (H, W, 3) RGB or a Pillow image, or a list of such; sizes may differ.

        Returns:
            uint8 (H, W) class ids, or a list of such.

        Raises:
            InvalidImageError: an image is not of that kind.
        """
        if isinstance(images, Sequence):
            return [result.labels for result in self.segment(images, LABELS)]
        return self.segment(images, LABELS).labels

    @overload
    def segment(
        self, images: Picture, ask: Request = ..., encodings: str | Sequence[str] = ...
    ) -> Segmentation: ...
    @overload
    def segment(
        self, images: Pictures, ask: Request = ..., encodings: str | Sequence[str] = ...
    ) -> list[Segmentation]: ...
    def segment(
        self,
        images: Picture | Pictures,
        ask: Request = _SCORES_AND_LABELS,
        encodings: str | Sequence[str] = "rgb8",
    ) -> Segmentation | list[Segmentation]:
        """Segment an image, or a list of images as one batch.

        Args:
            images: uint8 (H, W, C), or (H, W) for mono8, or Pillow images; views with padded rows are taken
                as they are.
            ask: what to give for each.
            encodings: one of ``ENCODINGS``, for all images or for each.

        Raises:
            InvalidImageError: an image has the wrong type, rank, channels or size.
            ConfigError: something is asked for that the network does not give.
            DeviceError: not even one image fits into the device's memory; the next call starts afresh.
            DeviceLostError: the GPU has failed; only a new process can use it again.
        """
        single = not isinstance(images, Sequence)
        batch = list(images) if isinstance(images, Sequence) else [images]
        names = [encodings] * len(batch) if isinstance(encodings, str) else list(encodings)
        if len(names) != len(batch):
            raise InvalidImageError(
                f"{len(batch)} images came with {len(names)} encodings: give one for each"
            )
        ask = self.check(ask)
        checked = [_checked(image, encoding) for image, encoding in zip(batch, names, strict=True)]
        results: list[Segmentation | None] = [None] * len(batch)
        sizes: dict[tuple[int, ...], list[int]] = {}
        for i, (image, _) in enumerate(checked):
            sizes.setdefault(image.shape[:2], []).append(i)
        with torch.inference_mode():
            for members in sizes.values():
                group = _Group(*zip(*(checked[i] for i in members), strict=True))
                for i, result in zip(members, self._segment_group(group, ask), strict=True):
                    results[i] = result
        complete = [result for result in results if result is not None]
        return complete[0] if single else complete

    def check(self, ask: Request) -> Request:
        """Return ``ask`` with ``confidence`` decided.

        Raises:
            ConfigError: something is asked for that the network does not give.
        """
        if not self.gives_scores and (ask.confidence or ask.min_confidence):
            asked = "a confidence image" if ask.confidence else f"min_confidence {ask.min_confidence}"
            raise ConfigError(
                f"{self.model} gives labels without scores: {asked} takes a network that gives logits or "
                "probabilities"
            )
        ask.overlay_weight(len(self.label_set))
        if ask.confidence is not None:
            return ask
        return dataclasses.replace(ask, confidence=self.gives_scores)

    def _segment_group(self, group: _Group, ask: Request) -> list[Segmentation]:
        """Run one pass over images of one size; over half of them and then the rest where memory is short."""
        for _ in range(2):
            try:
                return self._pass(group, ask)
            except torch.OutOfMemoryError as error:
                shortage = str(error).split(". ")[0]
            # Outside of the except block, whose exception would keep the failed pass's tensors alive.
            if not self.backend.free_memory():
                break
        if len(group.images) == 1:
            height, width = group.images[0].shape[:2]
            raise DeviceError(
                f"{self.device} has too little memory for {self.model} on {width}x{height}: "
                f"give input_size a smaller size ({shortage})"
            )
        half = len(group.images) // 2
        return self._segment_group(group[:half], ask) + self._segment_group(group[half:], ask)

    def _pass(self, group: _Group, ask: Request) -> list[Segmentation]:
        count = len(group.images)
        inputs = [torch.from_numpy(image) for image in group.images]
        if ask.overlay:
            inputs.append(torch.from_numpy(ask.overlay_weight(len(self.label_set))))

        def compute(*tensors: Tensor) -> tuple[Tensor | None, ...]:
            rgb = _as_rgb(tensors[:count], group.encodings)  # uint8 (N, 3, H, W)
            labels, confidence = self._outcome(rgb).decide(bool(ask.confidence), ask.min_confidence)
            overlay = None
            if ask.overlay:
                overlay = blend(rgb.permute(0, 2, 3, 1), labels, self._palette, tensors[-1])
            return labels, confidence, overlay  # uint8 (N, H, W), (N, H, W), (N, H, W, 3)

        key = (group.encodings, ask.confidence, ask.overlay, ask.min_confidence)
        results, seconds = self.backend.run(compute, inputs, key)
        each_kind = ([None] * count if kind is None else list(kind.numpy()) for kind in results)
        return [
            Segmentation(labels, confidence, overlay, seconds, self.classes)
            for labels, confidence, overlay in zip(*each_kind, strict=True)
        ]

    def _outcome(self, rgb: Tensor) -> Scores | Labels:
        """Return what the network says, at the images' size."""
        if self.input_size is None:
            return self.backend.network(rgb)
        seen = resize(rgb.float(), self.input_size)  # (N, 3, h, w)
        return self.backend.network(seen).at((rgb.shape[2], rgb.shape[3]))


def _as_rgb(images: Sequence[Tensor], encodings: Sequence[str]) -> Tensor:
    """Return images (H, W, C) of one size as (N, 3, H, W) RGB, channels last."""
    parts = []
    for image, encoding in zip(images, encodings, strict=True):
        part = image[:, :, :3]
        parts.append(part.flip(2) if encoding.startswith("bgr") else part.expand(-1, -1, 3))
    return (parts[0][None] if len(parts) == 1 else torch.stack(parts)).permute(0, 3, 1, 2)


def _checked(image: Picture, encoding: str) -> tuple[np.ndarray, str]:
    """Return the image as (H, W, C) and its encoding, or raise an InvalidImageError that says why not."""
    if encoding not in ENCODINGS:
        raise InvalidImageError(f"encoding '{encoding}' is not one of {', '.join(ENCODINGS)}")
    if type(image).__module__.partition(".")[0] == "PIL":
        # Pillow's images know their colors.
        image, encoding = np.asarray(image.convert("RGB")), "rgb8"  # type: ignore[union-attr]
    channels = CHANNELS[encoding]
    wanted = f"uint8 (height, width, {channels})"
    if image is None:
        raise InvalidImageError(
            f"the image is None, as cv2.imread gives it for a file that it cannot read: give {wanted}"
        )
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = f"{image.dtype} array" if isinstance(image, np.ndarray) else type(image).__name__
        raise InvalidImageError(f"the image is a {kind}: a {encoding} image is {wanted}")
    if image.ndim == 2 and channels == 1:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] != channels:
        raise InvalidImageError(f"the image has shape {image.shape}: a {encoding} image is {wanted}")
    if min(image.shape[:2]) < MIN_SIZE:
        raise InvalidImageError(
            f"the image is {image.shape[1]}x{image.shape[0]}: at least {MIN_SIZE}x{MIN_SIZE} is needed"
        )
    if min(image.strides) < 0 or not image.flags.writeable:
        # PyTorch takes neither reversed nor read-only memory as it is.
        image = image.copy()
    return image, encoding


def _checked_size(size: object) -> tuple[int, int] | None:
    """Return an input_size that is height and width in whole pixels, or None."""
    if size is None:
        return None
    try:
        height, width = (operator.index(length) for length in size)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < MIN_SIZE:
        raise ConfigError(
            f"input_size is {size}: give height and width as whole numbers of at least {MIN_SIZE} pixels"
        )
    return height, width
