"""The engine's front: checks images, runs them through the network, and hands out results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
import torch
from torch import Tensor

from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import LabelClass
from squeeze_segnet_ros.engine.backends.execution import CpuExecution, CudaExecution
from squeeze_segnet_ros.engine.backends.torch_cpu import Plain, for_cpu
from squeeze_segnet_ros.engine.device import PRECISIONS, choose_device, choose_precision, without_tf32
from squeeze_segnet_ros.engine.fold import fold_batch_norm
from squeeze_segnet_ros.engine.scores import Scores
from squeeze_segnet_ros.errors import ConfigError, DeviceError, InvalidImageError
from squeeze_segnet_ros.images.encodings import CHANNELS
from squeeze_segnet_ros.images.pixels import blend, resize
from squeeze_segnet_ros.memory import keep_freed_memory
from squeeze_segnet_ros.models import weights as weights_files

MIN_SIZE = 32
"""Smallest height and width in pixels that every network takes."""

ENCODINGS = tuple(CHANNELS)
"""The encodings, as sensor_msgs names them, of the images that a Segmenter takes as they are."""


@dataclass(frozen=True)
class Segmentation:
    """What the network says about one image of H x W pixels.

    Attributes:
        labels: uint8 (H, W), class ids; 255 where the confidence is below the minimum asked for.
        confidence: uint8 (H, W), the probability of the chosen class times 255; None when not asked for.
        overlay: uint8 (H, W, 3) RGB, the image with the class colors blended in; None when not asked for.
        seconds: wall time of the stages of the pass that this image was in, by name.
    """

    labels: np.ndarray
    confidence: np.ndarray | None = None
    overlay: np.ndarray | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def load(
    model: str = "squeeze_segnet",
    weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    input_size: tuple[int, int] | None = None,
) -> Segmenter:
    """Load a network for inference.

    Args:
        model: a name out of ``models.names()``.
        weights: a safetensors file; None takes the released weights of the network.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``. With fp32 on a GPU, PyTorch's TF32, which rounds
            to 10 bits, is switched off for convolutions of the whole process.
        input_size: height and width in pixels at which the network sees the images; None for their own.

    Raises:
        UnknownModelError, WeightsError, DeviceError, ConfigError: see the message.
    """
    return Segmenter(model, weights, device, precision, input_size)


class Segmenter:
    """A network, ready to segment images; see :func:`load`. It may be used from several threads.

    Attributes:
        model, device, precision, input_size: what was chosen.
        weights: path of the weights file; weights_sha256: its hash.
        metadata: what the weights file says about itself.
    """

    def __init__(
        self,
        model: str = "squeeze_segnet",
        weights: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        input_size: tuple[int, int] | None = None,
    ) -> None:
        if input_size is not None and (len(input_size) != 2 or min(input_size) < MIN_SIZE):
            raise ConfigError(
                f"input_size is {input_size}: give height and width of at least {MIN_SIZE} pixels"
            )
        self.model = model
        self._device = choose_device(device)
        self.device = str(self._device)
        self.precision = choose_precision(precision, self._device)
        self.input_size = input_size
        models.check(model)
        self.weights = weights_files.released(model) if weights is None else Path(weights)
        tensors, self.metadata = weights_files.load(self.weights)
        network = models.build(model, len(self.metadata.label_set))
        weights_files.fill(network, model, tensors, self.metadata, self.weights)
        self.weights_sha256 = hashlib.sha256(self.weights.read_bytes()).hexdigest()
        self.label_set = self.metadata.label_set
        folded, dtype = fold_batch_norm(network), PRECISIONS[self.precision]
        if self._device.type == "cpu":
            keep_freed_memory()
            self._execution: CpuExecution | CudaExecution = CpuExecution()
            self._network = for_cpu(folded, dtype)
        else:
            if self.precision == "fp32":
                without_tf32()
            self._execution = CudaExecution(self._device)
            self._network = Plain(folded.to(self._device), dtype)
        self._palette = torch.from_numpy(self.label_set.palette).to(self._device)

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        """The classes in the order of their ids."""
        return self.label_set.classes

    @overload
    def __call__(self, images: np.ndarray) -> np.ndarray: ...
    @overload
    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]: ...
    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
        """Label an image, or a list of images as one batch.

        Args:
            images: uint8 (H, W, 3) RGB, or a list of such; sizes may differ.

        Returns:
            uint8 (H, W) class ids, or a list of such.

        Raises:
            InvalidImageError: an image is not of that kind.
        """
        if isinstance(images, np.ndarray):
            return self.segment(images, confidence=False).labels
        return [result.labels for result in self.segment(images, confidence=False)]

    @overload
    def segment(self, images: np.ndarray, **options: object) -> Segmentation: ...
    @overload
    def segment(self, images: Sequence[np.ndarray], **options: object) -> list[Segmentation]: ...
    def segment(  # type: ignore[misc]
        self,
        images: np.ndarray | Sequence[np.ndarray],
        *,
        encodings: str | Sequence[str] = "rgb8",
        confidence: bool = True,
        overlay: bool = False,
        overlay_alpha: float = 0.5,
        min_confidence: float = 0.0,
        shown_classes: Iterable[int] | None = None,
    ) -> Segmentation | list[Segmentation]:
        """Segment an image, or a list of images as one batch.

        Args:
            images: uint8 (H, W, C), or (H, W) for mono8; views with padded rows are taken as they are.
            encodings: one of ``ENCODINGS``, for all images or for each.
            confidence: whether to give a confidence image.
            overlay: whether to give an overlay.
            overlay_alpha: share of the class color in the overlay, 0..1.
            min_confidence: labels with a lower probability, 0..1, become 255.
            shown_classes: ids of the classes that the overlay colors; None for all.

        Raises:
            InvalidImageError: an image has the wrong type, rank, channels or size.
            ConfigError: an option is out of range.
            DeviceError: not even one image fits into the device's memory; the next call starts afresh.
            DeviceLostError: the GPU has failed; only a new process can use it again.
        """
        single = isinstance(images, np.ndarray)
        batch = [images] if isinstance(images, np.ndarray) else list(images)
        names = [encodings] * len(batch) if isinstance(encodings, str) else list(encodings)
        if len(names) != len(batch):
            raise InvalidImageError(
                f"{len(batch)} images came with {len(names)} encodings: give one for each"
            )
        batch = [_checked(image, encoding) for image, encoding in zip(batch, names, strict=True)]
        weight = self._overlay_weight(overlay_alpha, shown_classes) if overlay else None
        results: list[Segmentation | None] = [None] * len(batch)
        groups: dict[tuple[int, int], list[int]] = {}
        for i, image in enumerate(batch):
            groups.setdefault((image.shape[0], image.shape[1]), []).append(i)
        with torch.inference_mode():
            for members in groups.values():
                passed = self._segment_group(
                    [batch[i] for i in members], [names[i] for i in members],
                    confidence, weight, min_confidence,
                )  # fmt: skip
                for i, result in zip(members, passed, strict=True):
                    results[i] = result
        complete = [result for result in results if result is not None]
        return complete[0] if single else complete

    def _segment_group(
        self,
        images: list[np.ndarray],
        encodings: list[str],
        confidence: bool,
        overlay_weight: Tensor | None,
        min_confidence: float,
    ) -> list[Segmentation]:
        """Pass over images of one size; over half of them and then the rest where memory is short."""
        for _ in range(2):
            try:
                return self._pass(images, encodings, confidence, overlay_weight, min_confidence)
            except torch.OutOfMemoryError as error:
                shortage = str(error).split(". ")[0]
            # Outside of the except block, whose exception would keep the failed pass's tensors alive.
            if not self._execution.free_memory():
                break
        if len(images) == 1:
            height, width = images[0].shape[:2]
            raise DeviceError(
                f"{self.device} has too little memory for {self.model} on {width}x{height}: "
                f"give input_size a smaller size ({shortage})"
            )
        half = len(images) // 2
        return [
            result
            for part in (slice(None, half), slice(half, None))
            for result in self._segment_group(
                images[part], encodings[part], confidence, overlay_weight, min_confidence
            )
        ]

    def _pass(
        self,
        images: list[np.ndarray],
        encodings: list[str],
        confidence: bool,
        overlay_weight: Tensor | None,
        min_confidence: float,
    ) -> list[Segmentation]:
        inputs = [torch.from_numpy(image) for image in images]
        if overlay_weight is not None:
            inputs.append(overlay_weight)

        def compute(*tensors: Tensor) -> tuple[Tensor | None, ...]:
            rgb = _as_rgb(tensors[: len(images)], encodings)
            labels, certainty = self._scores(rgb).decide(confidence, min_confidence)
            colored = None
            if overlay_weight is not None:
                colored = blend(rgb.permute(0, 2, 3, 1), labels, self._palette, tensors[-1])
            return labels, certainty if confidence else None, colored

        key = (tuple(encodings), confidence, overlay_weight is not None, min_confidence)
        results, seconds = self._execution.run(compute, inputs, key)
        labels, certainty, colored = (np.empty(0) if each is None else each.numpy() for each in results)
        return [
            Segmentation(
                labels[i],
                certainty[i] if certainty.size else None,
                colored[i] if colored.size else None,
                seconds,
            )
            for i in range(len(images))
        ]

    def _scores(self, rgb: Tensor) -> Scores:
        """Return the class scores at the images' size."""
        if self.input_size is None:
            return self._network(rgb)
        logits = self._network(resize(rgb.float(), self.input_size)).logits()
        return Scores.of_logits(resize(logits, (rgb.shape[2], rgb.shape[3])))

    def _overlay_weight(self, alpha: float, shown_classes: Iterable[int] | None) -> Tensor:
        """Return the share of each label's color in an overlay, (256,)."""
        if not 0 <= alpha <= 1:
            raise ConfigError(f"overlay_alpha is {alpha}: give a share of 0 to 1")
        shown = list(range(len(self.label_set)) if shown_classes is None else shown_classes)
        wrong = [i for i in shown if i not in range(len(self.label_set))]
        if wrong:
            raise ConfigError(
                f"shown_classes has {wrong[0]}: class ids go from 0 to {len(self.label_set) - 1}"
            )
        weight = torch.zeros(256)
        weight[shown] = alpha
        return weight


def _as_rgb(images: Sequence[Tensor], encodings: Sequence[str]) -> Tensor:
    """Return images (H, W, C) of one size as (N, 3, H, W) RGB, channels last."""
    parts = []
    for image, encoding in zip(images, encodings, strict=True):
        part = image[:, :, :3]
        parts.append(part.flip(2) if encoding.startswith("bgr") else part.expand(-1, -1, 3))
    return (parts[0][None] if len(parts) == 1 else torch.stack(parts)).permute(0, 3, 1, 2)


def _checked(image: np.ndarray, encoding: str) -> np.ndarray:
    """Return the image as (H, W, C), or raise an InvalidImageError that says what is wrong with it."""
    if encoding not in ENCODINGS:
        raise InvalidImageError(f"encoding '{encoding}' is not one of {', '.join(ENCODINGS)}")
    channels = CHANNELS[encoding]
    wanted = f"uint8 (height, width, {channels})"
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
    return image
