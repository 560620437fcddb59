"""A network from outside, as its card describes it: from images to its tensor, from its tensor to scores."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.engine.backends.base import Network, Runtime
from squeeze_segnet_ros.engine.scores import Joining, Labels, Scores
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.models.card import Card, CardInput

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "uint8": torch.uint8}
_TRIAL_SIZE = (192, 256)
"""Height and width, at least, of the image that a network is tried with."""


class CardNetwork:
    """Maps RGB in 0..255, uint8 or float (N, 3, H, W), to :class:`Scores` or :class:`Labels`.

    Raises:
        ConfigError: the file's input or output is not as the card says.
    """

    def __init__(self, card: Card, runtime: Runtime) -> None:
        assert card.classes is not None
        self.card = card
        self.runtime = runtime
        self.num_classes = len(card.classes)
        self.joining = None if card.targets is None else Joining.of(card.targets, runtime.device)
        self.as_it_is = all(
            getattr(card.input, key) == getattr(CardInput(), key) for key in ("scale", "mean", "std")
        )
        self.batch = self._checked_input()
        self._checked_output()
        self._try_it()

    def __call__(self, rgb: Tensor, /) -> Scores | Labels:
        """Return what the network says about images."""
        size = (rgb.shape[2], rgb.shape[3])
        rgb = _resized(rgb, self.card.input.size)  # (N, 3, h, w): the card's size
        inside = (rgb.shape[2], rgb.shape[3])
        x = self._as_input(rgb)  # as the network takes it, padded
        height, width = x.shape[1:3] if self.card.input.layout == "NHWC" else x.shape[2:4]
        out = self._run(x)
        if self.card.output.kind == "labels":
            return self._as_labels(out, inside, (height, width)).at(size)
        return self._as_scores(out, size, inside, (height, width))

    def raw(self, rgb: Tensor) -> Tensor:
        """Return the file's own output for images."""
        return self._run(self._as_input(_resized(rgb, self.card.input.size)))

    def _as_input(self, rgb: Tensor) -> Tensor:
        card = self.card.input
        x = rgb if card.color == "rgb" else rgb.flip(1)
        if card.layout == "NCHW":
            # Bytes are brought into the file's order faster than the floats that they become.
            x = x.contiguous()
        dtype = _DTYPES[card.dtype]
        if not self.as_it_is:
            x = normalize(x, card.mean, card.std, card.scale)
        elif dtype == torch.uint8 and x.is_floating_point():
            x = x.round().clamp(0, 255)
        x = x.to(dtype)
        below, right = (-length % card.multiple_of for length in x.shape[2:])
        if below or right:
            x = F.pad(x, (0, right, 0, below))
        return (x.permute(0, 2, 3, 1) if card.layout == "NHWC" else x).contiguous()

    def _run(self, x: Tensor) -> Tensor:
        """Run the file over (N, ...), in parts where it takes a number of its own."""
        if self.batch is None:
            return self.runtime(x)
        parts = []
        for part in x.split(self.batch):
            missing = self.batch - len(part)
            full = torch.cat((part, part.new_zeros((missing, *part.shape[1:])))) if missing else part
            parts.append(self.runtime(full)[: len(part)])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _as_scores(
        self, out: Tensor, size: tuple[int, int], inside: tuple[int, int], padded: tuple[int, int]
    ) -> Scores:
        out = (out.permute(0, 3, 1, 2) if self.card.output.layout == "NHWC" else out).float()  # (N, K, h, w)
        if inside != padded:
            out = _bilinear(out, padded)[:, :, : inside[0], : inside[1]]
        out = _bilinear(out, size)
        scores = Scores.of_logits(out.log() if self.card.output.kind == "probabilities" else out)
        return scores if self.joining is None else scores.joined(self.joining)

    def _as_labels(self, out: Tensor, inside: tuple[int, int], padded: tuple[int, int]) -> Labels:
        layout = self.card.output.layout
        out = out if layout == "NHW" else out.select(layout.index("C"), 0)  # (N, h, w)
        # Neither a negative number nor one behind the last class is a label.
        labels = torch.where((out >= 0) & (out < self.num_classes), out, UNLABELLED).to(torch.uint8)
        labels = Labels(labels).at(padded).labels[:, : inside[0], : inside[1]]
        return Labels(labels if self.joining is None else self.joining.of_class[labels.int()])

    def _checked_input(self) -> int | None:
        """Return how many images the file takes at once; None for any number."""
        card, kind = self.card.input, self.runtime.input
        if kind.dtype != card.dtype:
            self.card.fail("input.dtype", f"{card.dtype}, but the file's input is {kind}")
        if len(kind.shape) != 4:
            self.card.fail("input.layout", f"{card.layout}, but the file's input is {kind}")
        lengths = dict(zip(card.layout, kind.shape, strict=True))
        if lengths["C"] != 3 and (lengths["C"] is not None or 3 in kind.shape[1:]):
            self.card.fail(
                "input.layout", f"{card.layout}, but the file's input is {kind}: expected 3 channels there"
            )
        fixed = (lengths["H"], lengths["W"])
        if card.size is not None and any(a not in (b, None) for a, b in zip(fixed, card.size, strict=True)):
            self.card.fail("input.size", f"{list(card.size)}, but the file's input is {kind}")
        if card.size is None and fixed != (None, None):
            height, width = ("..." if length is None else length for length in fixed)
            self.card.fail("input.size", f"the file's input is {kind}: add size: [{height}, {width}]")
        return lengths["N"]

    def _checked_output(self) -> None:
        card, kind = self.card.output, self.runtime.output
        floating = kind.dtype.startswith(("float", "bfloat"))
        if floating and card.kind == "labels":
            self.card.fail("output.kind", f"labels, but the file's output is {kind}: expected whole numbers")
        if not floating and card.kind != "labels":
            self.card.fail("output.kind", f"{card.kind}, but the file's output is {kind}: are they labels?")
        if kind.shape:
            self._check_output_shape(kind.shape, str(kind))

    def _check_output_shape(self, shape: tuple[int | None, ...], shown: str) -> None:
        layout = self.card.output.layout
        if len(shape) != len(layout):
            self.card.fail("output.layout", f"{layout}, but the file's output is {shown}")
        wanted = 1 if self.card.output.kind == "labels" else self.num_classes
        channels = shape[layout.index("C")] if "C" in layout else wanted
        if channels not in (wanted, None):
            self.card.fail(
                "output.layout" if self.card.output.kind == "labels" else "classes",
                f"{wanted} in {layout} is not the {channels} of the file's output, {shown}",
            )

    def _try_it(self) -> None:
        """Run once, so that what does not fit is said before the first frame."""
        card = self.card.input
        size = card.size or tuple(
            -(-max(least, 32) // card.multiple_of) * card.multiple_of for least in _TRIAL_SIZE
        )
        ramp = torch.arange(3 * size[0] * size[1], dtype=torch.int64).mul_(251).view(1, 3, *size) >> 4
        rgb = (ramp % 256).to(torch.uint8).to(self.runtime.device)
        with torch.inference_mode():
            out = self._run(self._as_input(rgb))
            shown = f"{str(out.dtype).removeprefix('torch.')} {tuple(out.shape)}"
            self._check_output_shape(tuple(out.shape), f"{shown} for an image of {size[1]}x{size[0]}")
            if len(out) != 1:
                self.card.fail("output", f"the file's output is {shown} for one image")
            if out.is_floating_point() and bool(out.isnan().any()):
                self.card.fail(
                    "file", f"{self.card.file} gives scores that are not numbers: they make no labels"
                )


class FittedNetwork:
    """A network of ours as a card wants it: at a size of its own, with other classes."""

    def __init__(self, network: Network, card: Card, device: torch.device) -> None:
        self.network = network
        self.card = card
        self.joining = None if card.targets is None else Joining.of(card.targets, device)

    def __call__(self, rgb: Tensor, /) -> Scores | Labels:
        """Return what the network says about images."""
        scores = self.network(_resized(rgb, self.card.input.size))
        if self.card.input.size is not None:
            scores = scores.at((rgb.shape[2], rgb.shape[3]))
        return scores if self.joining is None or isinstance(scores, Labels) else scores.joined(self.joining)


def _resized(rgb: Tensor, size: tuple[int, int] | None) -> Tensor:
    """Resize (N, 3, H, W) to a card's size, bilinearly and without antialiasing."""
    if size is None or tuple(rgb.shape[2:]) == size:
        return rgb
    if rgb.device.type != "cpu":
        resized = F.interpolate(rgb.float(), size, mode="bilinear", align_corners=False)
        return resized.round_().to(torch.uint8) if rgb.dtype == torch.uint8 else resized
    # OpenCV's own, so that a user who runs the file by hand gets the same pixels.
    images = rgb.permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, 3)
    resized_images = [cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR) for image in images]
    return torch.from_numpy(np.stack(resized_images)).permute(0, 3, 1, 2)


def _bilinear(out: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(out.shape[2:]) == size:
        return out
    return F.interpolate(out, size, mode="bilinear", align_corners=False)
