"""A card tried on an image: the labels with a legend, the colors in both orders, and what looks wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from squeeze_segnet_ros.classes import UNLABELLED, LabelSet
from squeeze_segnet_ros.engine import Request, Segmentation, Segmenter
from squeeze_segnet_ros.engine.backends.card_network import CardNetwork

_ALMOST_ALL, _CONFUSED, _MORE_SURE = 0.98, 0.35, 0.05
_LINE, _LEGEND_WIDTH, _MOST_CLASSES = 22, 300, 24


@dataclass(frozen=True)
class Look:
    """What a check found.

    Attributes:
        findings: what looks wrong, a line each.
        facts: what was seen, a line each.
        picture: uint8 (H, W, 3) RGB: the overlay as the card says, with the colors swapped, the legend.
    """

    findings: tuple[str, ...]
    facts: tuple[str, ...]
    picture: np.ndarray


def look(net: Segmenter, image: np.ndarray) -> Look:
    """Run a card's network on an image, uint8 (H, W, 3) RGB, as it is and with red and blue swapped."""
    ask = Request(overlay=True)
    swapped = net.segment(np.ascontiguousarray(image[:, :, ::-1]), ask)
    result = net.segment(image, ask)
    shares = np.bincount(result.labels.ravel(), minlength=UNLABELLED + 1) / result.labels.size
    top = int(shares.argmax())
    findings, facts = [], [f"{_name(net.label_set, top)} on {shares[top]:.0%} of the pixels"]
    if shares[top] > _ALMOST_ALL:
        findings.append(
            f"almost all is {_name(net.label_set, top)}: are scale, mean and std those of its training?"
        )
    elif shares[UNLABELLED] > 0.5:
        findings.append(f"{shares[UNLABELLED]:.0%} has no class: do classes and map fit the file's ids?")
    findings += _score_findings(net, image)
    sure, sure_swapped = _mean_confidence(result), _mean_confidence(swapped)
    if sure is not None and sure_swapped is not None:
        facts.append(f"mean confidence {sure:.2f}; with red and blue swapped {sure_swapped:.2f}")
        if sure_swapped > sure + _MORE_SURE:
            findings.append("surer with red and blue swapped: is input.color the other one?")
        if sure < _CONFUSED:
            findings.append("unsure nearly everywhere: are scale, mean and std those of its training?")
    same = float((result.labels == swapped.labels).mean())
    facts.append(f"{same:.0%} of the labels stay with red and blue swapped")
    return Look(tuple(findings), tuple(facts), _picture(net.label_set, image, result, swapped, shares))


def write(look: Look, path: Path) -> None:
    """Write the picture of a check."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(look.picture, cv2.COLOR_RGB2BGR))


def _score_findings(net: Segmenter, image: np.ndarray) -> list[str]:
    network = net.backend.network
    if not isinstance(network, CardNetwork) or not net.gives_scores:
        return []
    rgb = torch.from_numpy(image).permute(2, 0, 1)[None].to(net.backend.device)
    with torch.inference_mode():
        scores = network.raw(rgb).float()  # (1, K, h, w) or (1, h, w, K)
    sums = scores.sum(network.card.output.layout.index("C"))
    normalized = bool((scores >= 0).all()) and bool(((sums - 1).abs() < 1e-2).all())
    if normalized and network.card.output.kind == "logits":
        return ["the scores are probabilities already, they add up to 1: output.kind is probabilities"]
    if not normalized and network.card.output.kind == "probabilities":
        low, high = float(scores.min()), float(scores.max())
        return [f"the scores, {low:.2f} to {high:.2f}, do not add up to 1: is output.kind logits?"]
    return []


def _mean_confidence(result: Segmentation) -> float | None:
    return None if result.confidence is None else float(result.confidence.mean()) / 255


def _name(label_set: LabelSet, label: int) -> str:
    return "unlabelled" if label == UNLABELLED else f"'{label_set.names[label]}'"


def _picture(
    label_set: LabelSet, image: np.ndarray, result: Segmentation, swapped: Segmentation, shares: np.ndarray
) -> np.ndarray:
    assert result.overlay is not None
    palette = label_set.palette.astype(np.uint16)
    other = ((image + palette[swapped.labels]) // 2).astype(np.uint8)
    panels = [_titled(result.overlay, "as the card says"), _titled(other, "red and blue swapped")]
    legend = np.full((panels[0].shape[0], _LEGEND_WIDTH, 3), 255, np.uint8)
    seen = [int(label) for label in np.argsort(shares)[::-1] if shares[label] > 0][:_MOST_CLASSES]
    for i, label in enumerate(seen):
        y = 8 + i * _LINE
        color = tuple(int(part) for part in label_set.palette[label])
        cv2.rectangle(legend, (8, y), (26, y + 16), color, -1)
        text = f"{_name(label_set, label)[:24]} {shares[label]:.1%}"
        cv2.putText(legend, text, (34, y + 13), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.hstack([*panels, legend])


def _titled(image: np.ndarray, title: str) -> np.ndarray:
    bar = np.full((_LINE, image.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, title, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, image])
