"""Every exception that this package raises on purpose.

All derive from :class:`SegmentationError`, and the text of each is one line that says what was wrong,
where, and what would be right, so that a command or a node can print it as it is.
"""

from __future__ import annotations


class SegmentationError(Exception):
    """Base of every exception of this package."""


class InvalidImageError(SegmentationError, ValueError):
    """An image (or image message) that cannot be segmented."""


class InvalidCloudError(SegmentationError, ValueError):
    """A point cloud that cannot be colored by labels."""


class UnknownModelError(SegmentationError, ValueError):
    """A network name that is not in the table of networks."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"unknown model '{name}': choose one of {', '.join(known)}")


class WeightsError(SegmentationError):
    """A weights file that is missing, damaged, or made for another network."""


class DeviceError(SegmentationError):
    """A compute device or precision that this machine does not have."""


class DeviceLostError(DeviceError):
    """A GPU that this process cannot use any more: only a new process can."""


class DatasetError(SegmentationError):
    """A data set that is missing, incomplete or not as its description says."""


class TrainingError(SegmentationError):
    """A training that has gone wrong on the way and would learn nothing more."""


class BagError(SegmentationError):
    """A bag that is missing, empty, damaged, or lacks the topics that were asked for."""


class ConfigError(SegmentationError, ValueError):
    """A configuration file or value that is not valid."""


def one_line(error: BaseException, named: bool = False) -> str:
    """Return what an exception says as one line, after its type's name if ``named``; that name if nothing."""
    name, text = type(error).__name__, " ".join(str(error).split())
    return f"{name}: {text}" if named and text else text or name
