"""A camera of this computer, such as ``/dev/video0``: always the latest picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from squeeze_segnet_ros.errors import ConfigError

_DEVICES, _CAMERAS = Path("/dev"), Path("/sys/class/video4linux")


def is_device(given: str) -> bool:
    """Return whether this names a camera device: ``/dev/video0``, or its number alone."""
    path = Path(given)
    return (given.isdigit() and not path.exists()) or path.is_char_device() or path.parent == _DEVICES


class LiveCamera:
    """Reads a camera in a thread. Iterating gives stamps in ns and uint8 (H, W, 3) BGR; a context manager.

    Raises:
        ConfigError: there is no such camera, or it gives no pictures.
    """

    def __init__(self, device: str) -> None:
        path = _DEVICES / f"video{device}" if device.isdigit() else Path(device)
        if not path.exists():
            there = ", ".join(sorted(str(each) for each in _DEVICES.glob("video*"))) or "none"
            raise ConfigError(f"no camera {path}: there are {there}")
        if not (_CAMERAS / path.resolve().name).exists():
            raise ConfigError(f"{path} is no camera")
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise ConfigError(f"{path} cannot be opened: may you read it, is it in use?")
        self.received = 0
        """Pictures so far, those included that were replaced by newer ones before their turn."""
        self._latest: tuple[int, np.ndarray] | None = None
        self._news, self._ended = threading.Condition(), False
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)

    def __enter__(self) -> LiveCamera:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with self._news:
            self._ended = True
        self._thread.join(5.0)
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._latest is not None or self._ended)
                latest, self._latest = self._latest, None
            if latest is None:
                return
            yield latest

    def _read(self) -> None:
        while not self._ended:
            there, image = self._capture.read()
            with self._news:
                if there:
                    self._latest, self.received = (time.time_ns(), image), self.received + 1
                else:
                    self._ended = True
                self._news.notify()
