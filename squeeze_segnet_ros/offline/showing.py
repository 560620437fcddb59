"""A run of the command ``view``: a page until Ctrl-C, or a file."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from squeeze_segnet_ros.classes import LabelClass
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.offline.label import Options
from squeeze_segnet_ros.offline.looking import look
from squeeze_segnet_ros.view.recording import Recording, Timeline
from squeeze_segnet_ros.view.web import WebViewer


def run(arguments: argparse.Namespace) -> int:
    """Show what is given, or write it into a file; the exit code is 0 after Ctrl-C too.

    Raises:
        SegmentationError: it cannot be read or written, or the page cannot be served.
    """
    options = Options.of(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if arguments.save:
            return _save(arguments.input, options, Path(arguments.save).expanduser())
        return _serve(arguments, options)
    except KeyboardInterrupt:
        return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _save(given: str, options: Options, path: Path) -> int:
    """Write a file, which has its name when it is whole."""
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--save {path}: there is no folder {path.parent}")
    unfinished = path.with_name(f".{path.name}.unfinished")

    def open_recording(
        cameras: Sequence[str], classes: Sequence[LabelClass], timeline: Timeline
    ) -> Recording:
        recording = Recording(cameras, classes, timeline)
        recording.save(unfinished)
        return recording

    try:
        frames = look(given, options, open_recording)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"{path}: {frames} frames, {path.stat().st_size / 1e6:.1f} MB; `rerun {path}` shows it")
    return 0


def _serve(arguments: argparse.Namespace, options: Options) -> int:
    if arguments.memory < 1:
        raise ConfigError(f"--memory {arguments.memory} makes no sense: megabytes, at least 1")
    with ExitStack() as stack:
        page = stack.enter_context(WebViewer(arguments.bind, arguments.port, arguments.memory))

        def open_recording(
            cameras: Sequence[str], classes: Sequence[LabelClass], timeline: Timeline
        ) -> Recording:
            recording = Recording(cameras, classes, timeline, live=True)
            recording.connect(page.url)
            print(f"look at it: {page.address} (Ctrl-C ends it)", flush=True)
            return recording

        frames = look(arguments.input, options, open_recording)
        print(f"{frames} frames labelled, and shown until Ctrl-C", flush=True)
        while page.is_running:
            threading.Event().wait(1.0)
    raise ConfigError("Rerun's server has ended")
