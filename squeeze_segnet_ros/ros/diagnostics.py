"""What the node says about itself on /diagnostics."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from squeeze_segnet_ros.images.health import Level
from squeeze_segnet_ros.memory import resident_bytes
from squeeze_segnet_ros.ros.camera_line import CameraLine
from squeeze_segnet_ros.ros.frame_queue import Fate
from squeeze_segnet_ros.ros.statistics import PERCENTILES

if TYPE_CHECKING:
    from squeeze_segnet_ros.engine import Segmenter

_ALARMING = (Fate.TOO_OLD, Fate.INVALID, Fate.FAILED)
_LEVELS = {
    Level.OK: DiagnosticStatus.OK,
    Level.WARN: DiagnosticStatus.WARN,
    Level.ERROR: DiagnosticStatus.ERROR,
}
_MIB = 2**20


def network_status(
    node: str, state: str, trouble: str | None, cautions: Sequence[str], segmenter: Segmenter | None
) -> DiagnosticStatus:
    """Report on the node.

    Args:
        node: its full name.
        state: the lifecycle state.
        trouble: why it did not come further.
        cautions: what works otherwise than one would think.
        segmenter: the network, once it is loaded.
    """
    values = {"state": state, "memory MiB": f"{resident_bytes() / _MIB:.0f}"}
    if segmenter is not None:
        values |= {
            "model": segmenter.model,
            "weights": str(segmenter.weights),
            "weights sha256": segmenter.weights_sha256,
            "device": segmenter.device,
            "precision": segmenter.precision,
            "input size": "the images' own"
            if segmenter.input_size is None
            else "{}x{}".format(*segmenter.input_size),
            **_device_memory(segmenter.device),
        }
    return DiagnosticStatus(
        name=f"{node}: network",
        hardware_id=segmenter.device if segmenter else "",
        level=_LEVELS[Level.ERROR if trouble else Level.WARN if cautions else Level.OK],
        message="; ".join([f"{state}: {trouble}" if trouble else state, *cautions]),
        values=_key_values(values),
    )


def camera_status(node: str, camera: CameraLine, active: bool) -> DiagnosticStatus:
    """Report on one camera, and on what has changed since its last report."""
    record, counts, before = camera.record, camera.slot.counts(), camera.reported
    camera.reported = counts
    arriving, labelled = record.received.rate(), record.labelled.rate()
    # Once: another thread adds to them.
    findings = record.findings()
    level = max((finding.level for finding in findings), default=Level.OK)
    words = [str(finding) for finding in findings]
    for fate in _ALARMING:
        new = getattr(counts, fate.value) - getattr(before, fate.value)
        if new > 0:
            level = max(level, Level.WARN)
            words.append(f"{new} frames dropped as {fate.value}")
    if counts.lost > before.lost:
        level = max(level, Level.WARN)
        words.append(f"{counts.lost - before.lost} frames sent and not received")
    if active and not arriving:
        level = max(level, Level.WARN)
        words.append(f"no frames arrive: {camera.silence}" if camera.silence else "no frames arrive")
    if not words:
        words.append(f"{arriving:.1f} Hz in, {labelled:.1f} Hz labelled" if active else "not active")
    values = {
        "rate in Hz": f"{arriving:.2f}",
        "rate labelled Hz": f"{labelled:.2f}",
        "frames received": str(counts.received),
        "frames labelled": str(counts.labelled),
        "frames waiting": str(counts.waiting),
        "frames unwatched": str(counts.unwatched),
        "frames lost": str(counts.lost),
        **{f"dropped {cause}": str(count) for cause, count in counts.drops.items()},
    }
    for stage, times in record.stages.percentiles().items():
        for percentile, seconds in zip(PERCENTILES, times, strict=True):
            values[f"{stage} p{percentile} ms"] = f"{seconds * 1e3:.2f}"
    return DiagnosticStatus(
        name=f"{node}: {camera.input.topic}",
        hardware_id=camera.input.topic,
        level=_LEVELS[level],
        message="; ".join(words),
        values=_key_values(values),
    )


def _device_memory(device: str) -> dict[str, str]:
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return {}
    return {"device memory MiB": f"{torch.cuda.memory_reserved(device) / _MIB:.0f}"}


def _key_values(values: dict[str, str]) -> Sequence[KeyValue]:
    return [KeyValue(key=key, value=value) for key, value in values.items()]
