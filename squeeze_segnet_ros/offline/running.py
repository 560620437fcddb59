"""A run of the command ``label``, told as it goes."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from squeeze_segnet_ros.errors import ConfigError, SegmentationError
from squeeze_segnet_ros.offline.label import SUMMARY, Options, Progress, Run, Task, attempt, frames_of, plan

_PERIOD_S = 60.0
"""Between two lines about the progress in a log; a terminal's line changes more often."""
_FAILED = 1
"""Exit code where an input could not be labelled and others were."""


def run(arguments: argparse.Namespace) -> int:
    """Label everything; the exit code is 1 where an input failed and others did not.

    Raises:
        SegmentationError: nothing could be labelled.
    """
    options = Options.of(
        arguments,
        outputs=tuple(name.strip() for name in arguments.outputs.split(",")),
        overlay=arguments.overlay,
        video=arguments.video,
        images=arguments.images,
        times=arguments.times,
        rrd=arguments.rrd,
        batch=arguments.batch,
    )
    if arguments.ray:
        return _run_fleet(arguments, options)
    work = Run(
        arguments.output, plan(arguments.inputs), options,
        resume=arguments.resume, overwrite=arguments.overwrite,
    )  # fmt: skip
    if arguments.dry_run:
        print(foretell(work))
        return 0
    if not work.todo:
        print(f"{work.output}: everything is labelled already")
        return 0
    told = Teller(sum(_frames(task, options) for task in work.todo), arguments.quiet)
    summary = work.label(options.load(), told)
    told.end()
    return _report(str(work.output), summary, len(work.tasks), arguments.quiet)


def _run_fleet(arguments: argparse.Namespace, options: Options) -> int:
    from squeeze_segnet_ros.offline import fleet

    if arguments.slice <= 0:
        raise ConfigError(f"--slice {arguments.slice:g} makes no sense: seconds, above 0")
    if arguments.dry_run:
        raise ConfigError("--dry-run is for one machine: leave --ray out")
    told = Teller(0, arguments.quiet)

    def tell(state: fleet.State) -> None:
        told.total = state.total_frames
        told.tell(state.frames, f"{state.bags} of {state.total_bags} bags")

    where = fleet.Fleet(
        arguments.ray, arguments.workers, arguments.worker_cpus, arguments.worker_gpus, arguments.slice
    )
    summary = fleet.label_fleet(
        arguments.inputs, arguments.output, options, where,
        resume=arguments.resume, overwrite=arguments.overwrite, tell=tell,
    )  # fmt: skip
    told.end()
    if not told.was_told and not arguments.quiet:
        print(f"{arguments.output}: everything is labelled already")
    return _report(arguments.output, summary, len(summary["bags"]), arguments.quiet)


def _report(output: str, summary: dict[str, Any], inputs: int, quiet: bool) -> int:
    failed = summary["failed"]
    if failed and len(failed) == inputs:
        raise ConfigError(failed[0] if len(failed) == 1 else f"none of {len(failed)} inputs: {failed[0]}")
    for error in failed:
        print(f"label: {error}", file=sys.stderr)
    if not quiet:
        print(describe(output, summary))
    return _FAILED if failed else 0


def describe(output: str, summary: dict[str, Any]) -> str:
    """Return a line about a run that has ended."""
    counts = f"{summary['frames_labelled']} of {summary['frames_in']} frames labelled"
    refused = f", {summary['frames_refused']} refused" if summary["frames_refused"] else ""
    failed = f", {len(summary['failed'])} inputs failed" if summary["failed"] else ""
    return f"{output}: {counts}{refused}{failed} ({SUMMARY} has the rest)"


def foretell(work: Run) -> str:
    """Return lines about what a run would do; a few frames are labelled for it, and thrown away."""
    segmenter = work.options.load()
    lines, frames = [], 0
    rate = size = 0.0
    for task in work.todo:
        try:
            count, seconds = frames_of(task, work.options)
        except SegmentationError as error:
            lines.append(f"{task.name}: cannot be labelled: {error}")
            continue
        frames += count
        length = f", {seconds:.1f} s" if seconds else ""
        lines.append(f"{task.name}: {count or 'some'} frames{length} of {task.kind}")
        if count and not rate:
            rate, size = _try(task, work.options, segmenter)
    if rate:
        lines.append(
            f"{frames} frames, about {frames / rate:.0f} s at {rate:.1f} frames/s on {segmenter.device}, "
            f"{frames * size / 1e6:.1f} MB"
        )
    return "\n".join(lines)


def _try(task: Task, options: Options, segmenter: Any) -> tuple[float, float]:
    """Return frames a second and bytes a frame, of a whole short input or of pictures' first ones."""
    few = task._replace(paths=task.paths[: 2 * options.batch])
    with tempfile.TemporaryDirectory() as folder:
        entry: dict[str, Any] = {}
        started = time.perf_counter()
        entry = attempt(few, Path(folder), segmenter, options)
        seconds = time.perf_counter() - started
    frames = entry.get("frames_labelled", 0)
    return (frames / seconds, entry["output_bytes"] / frames) if frames else (0.0, 0.0)


def _frames(task: Task, options: Options) -> int:
    try:
        return frames_of(task, options)[0]
    except SegmentationError:  # told when its turn comes
        return 0


class Teller:
    """Tells the progress of a run: on one line of a terminal, in a log with a line for each period."""

    def __init__(self, total: int, quiet: bool, period_s: float = _PERIOD_S) -> None:
        self.total, self._quiet, self._period_s = total, quiet, period_s
        self._started = self._told = time.monotonic()
        self._before, self._name, self._last = 0, "", 0
        self.was_told = False
        """Whether there was anything to tell."""
        self._terminal = sys.stderr.isatty()

    def __call__(self, progress: Progress) -> None:
        """Tell how far one input of several is."""
        if progress.name != self._name:
            self._before, self._name = self._before + self._last, progress.name
        self._last = progress.done
        self.tell(self._before + self._last, progress.name)

    def tell(self, done: int, what: str) -> None:
        """Tell how many frames are done, where it is time to."""
        self.was_told, now = True, time.monotonic()
        if self._quiet or now - self._told < (0.2 if self._terminal else self._period_s):
            return
        self._told = now
        rate = done / (now - self._started)
        left = f", {(self.total - done) / rate:.0f} s left" if rate and self.total > done else ""
        of = f" of {self.total}" if self.total else ""
        line = f"{done}{of} frames, {rate:.1f} a second{left}: {what}"
        start, end = ("\r\x1b[K", "") if self._terminal else ("", "\n")
        print(f"{start}{line}", end=end, file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the terminal's line."""
        if self._terminal and not self._quiet:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
