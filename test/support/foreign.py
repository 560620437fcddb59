"""Three networks from outside, as users have them: random weights, exported to ONNX, with their cards.

They have the structure of what is used most, in plain PyTorch: torchvision's LR-ASPP MobileNetV3 and
segmentation_models_pytorch's U-Net need a torchvision that fits the PyTorch at hand, which its package on the
index does not always do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class LiteRaspp(nn.Module):
    """LR-ASPP on two depths of features (1905.02244, section 6.4): logits at the image's size, any size."""

    def __init__(self, num_classes: int = 19) -> None:
        super().__init__()
        self.low = _strided(3, 16, 8)
        self.high = _strided(16, 32, 2)
        self.mix = nn.Sequential(nn.Conv2d(32, 24, 1), nn.BatchNorm2d(24), nn.ReLU())
        self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(32, 24, 1), nn.Sigmoid())
        self.low_scores, self.high_scores = nn.Conv2d(16, num_classes, 1), nn.Conv2d(24, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map float (N, 3, H, W) to logits (N, K, H, W)."""
        low = self.low(image)
        high = self.high(low)
        x = self.mix(high) * self.attention(high)
        x = F.interpolate(x, low.shape[-2:], mode="bilinear", align_corners=False)
        logits = self.low_scores(low) + self.high_scores(x)
        return F.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=False)


class UNet(nn.Module):
    """A U-Net of five levels, for images in multiples of 32: probabilities at a quarter of the size."""

    def __init__(self, num_classes: int = 5) -> None:
        super().__init__()
        widths = (3, 8, 12, 16, 20, 24)
        self.down = nn.ModuleList(_strided(a, b, 2) for a, b in zip(widths, widths[1:], strict=False))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in ((24, 20), (20, 16), (16, 12))
        )
        self.scores = nn.Conv2d(12, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map float (N, 3, H, W) to probabilities (N, K, H / 4, W / 4)."""
        features = [image]
        for stage in self.down:
            features.append(stage(features[-1]))
        x = features[5]
        for stage, skipped in zip(self.up, (features[4], features[3], features[2]), strict=True):
            x = stage(x) + skipped
        return self.scores(x).softmax(1)


class LabelsInside(nn.Module):
    """Bytes in, labels out: uint8 (N, H, W, 3) BGR to int64 (N, H, W)."""

    def __init__(self, num_classes: int = 7) -> None:
        super().__init__()
        self.layers = nn.Sequential(_strided(3, 12, 1), nn.Conv2d(12, num_classes, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Map uint8 (N, H, W, 3) to labels (N, H, W)."""
        return self.layers(image.permute(0, 3, 1, 2).float() / 127.5 - 1).argmax(1)


def _strided(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(
        inputs, outputs, 2 * (stride // 2) + 3, stride, padding=stride // 2 + 1, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.Hardswish())


_Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Foreign:
    """A network's card and how its user runs the file by hand.

    ``by_hand`` takes the file's runner, array in and array out, and an RGB image.
    """

    card: Path
    by_hand: Callable[[_Run, np.ndarray], np.ndarray]


_Recipe = tuple[nn.Module, dict[str, Any], Tensor, Any, Callable[[_Run, np.ndarray], np.ndarray]]


def make(name: str, folder: Path) -> Foreign:
    """Write network ``name`` with its card into a folder, the network as .onnx."""
    torch.manual_seed(5)
    network, card, example, axes, by_hand = _RECIPES[name]()
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.02, 0.1)  # type: ignore[union-attr]
    folder.mkdir(parents=True, exist_ok=True)
    outputs = [card["output"].get("name", "out")]
    with torch.no_grad():
        program = torch.onnx.export(
            network, (example,), dynamo=True, verbose=False, input_names=["image"], output_names=outputs,
            dynamic_shapes=(axes,) if axes else None, opset_version=18,
        )  # fmt: skip
    assert program is not None
    program.save(str(folder / f"{name}.onnx"), external_data=False)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "file": f"{name}.onnx", **card}, sort_keys=False))
    return Foreign(path, by_hand)


def _raspp() -> _Recipe:
    batch, height, width = torch.export.Dim("n"), torch.export.Dim("h"), torch.export.Dim("w")
    card = {
        "input": {"scale": 1 / 255, "mean": list(MEAN), "std": list(STD)},
        "output": {"kind": "logits", "name": "logits"},
        "classes": "cityscapes",
    }

    def by_hand(run: _Run, rgb: np.ndarray) -> np.ndarray:
        x = ((rgb / np.float32(255) - np.asarray(MEAN, np.float32)) / np.asarray(STD, np.float32)).transpose(
            2, 0, 1
        )[None]
        return run(np.ascontiguousarray(x, np.float32))[0].argmax(0)

    return LiteRaspp(), card, torch.zeros(2, 3, 64, 96), {0: batch, 2: height, 3: width}, by_hand


def _unet() -> _Recipe:
    names = ("sky", "road", "car", "rider", "bicycle")
    card = {
        "input": {"scale": 1 / 255, "size": [96, 160], "multiple_of": 32},
        "output": {"kind": "probabilities"},
        "classes": [{"name": name, "rgb": [40 * i, 10, 20]} for i, name in enumerate(names)],
    }

    def by_hand(run: _Run, rgb: np.ndarray) -> np.ndarray:
        x = cv2.resize(rgb, (160, 96), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)[None]
        probabilities = torch.from_numpy(run(np.ascontiguousarray(x / np.float32(255), np.float32)))
        size = rgb.shape[:2]
        return F.interpolate(probabilities, size, mode="bilinear", align_corners=False)[0].argmax(0).numpy()

    return UNet(), card, torch.zeros(1, 3, 96, 160), None, by_hand


def _labels() -> _Recipe:
    card = {
        "input": {"layout": "NHWC", "dtype": "uint8", "color": "bgr", "size": [64, 96]},
        "output": {"kind": "labels"},
        "classes": [{"name": f"class {i}", "rgb": [30 * i, 30, 0]} for i in range(7)],
    }

    def by_hand(run: _Run, rgb: np.ndarray) -> np.ndarray:
        bgr = cv2.resize(rgb, (96, 64), interpolation=cv2.INTER_LINEAR)[None, :, :, ::-1]
        labels = torch.from_numpy(run(np.ascontiguousarray(bgr)))[:, None].to(torch.uint8)
        return F.interpolate(labels, rgb.shape[:2], mode="nearest-exact")[0, 0].numpy()

    return LabelsInside(), card, torch.zeros(1, 64, 96, 3, dtype=torch.uint8), None, by_hand


_RECIPES: dict[str, Callable[[], _Recipe]] = {"raspp": _raspp, "unet": _unet, "labels": _labels}
NAMES = tuple(_RECIPES)
