"""Names of topics: where a camera's outputs are, whether they come from the node or from a recording."""

from __future__ import annotations

from collections.abc import Sequence

COMPRESSED_SUFFIX = "/compressed"
SEGMENTATION = "segmentation"
"""Last part of the namespace of a camera's outputs."""
OUTPUTS = ("label", "label/compressed", "overlay", "confidence", "label_info", "camera_info", "stats")
"""Every output of a camera, by its topic below ``.../segmentation/``."""


def output_base(camera: str) -> str:
    """Return where a camera's outputs are: ``/camera/front/segmentation`` for ``/camera/front/image_raw``."""
    parent = camera.rpartition("/")[0]
    return f"{parent}/{SEGMENTATION}" if parent or camera.startswith("/") else SEGMENTATION


def output_bases(cameras: Sequence[str]) -> tuple[str, ...]:
    """Return where the outputs of each of several cameras are.

    Cameras that would share one place have their own name in it: ``/cam0/segmentation`` for ``/cam0``, where
    ``/cam1`` is beside it.
    """
    bases = [output_base(camera) for camera in cameras]
    while shared := {base for base in bases if bases.count(base) > 1}:
        own = [
            f"{camera}/{SEGMENTATION}" if base in shared else base
            for camera, base in zip(cameras, bases, strict=True)
        ]
        if own == bases:  # the same camera twice
            break
        bases = own
    return tuple(bases)


def camera_info_topic(camera: str) -> str:
    """Return where a camera publishes its CameraInfo, by ROS's convention."""
    return output_base(camera).removesuffix(SEGMENTATION) + "camera_info"


def is_output(topic: str) -> bool:
    """Return whether a topic is an output of ours, by its name."""
    return any(f"/{topic}".endswith(f"/{SEGMENTATION}/{output}") for output in OUTPUTS)
