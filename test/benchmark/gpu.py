"""All that a GPU is for, in the order of its worth: ``make gpu``.

Runs the GPU tests, the tables of engines and networks, the node on the sample bag, and then trains
``config/train/squeeze_segnet_gpu.yaml`` for the time that is left, from its checkpoint if there is one:
eagerly or compiled, whichever shows more images a second in a short trial. What one job leaves is whole when
the next begins, and ``summary.json`` is written after each, so that a machine that is taken away takes one
job at most, of the training what came after its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from squeeze_segnet_ros.data import ENVIRONMENT
from squeeze_segnet_ros.errors import ConfigError, DatasetError

if TYPE_CHECKING:
    import torch

CONFIG = Path("config/train/squeeze_segnet_gpu.yaml")
_PACKAGE = (sys.executable, "-m", "squeeze_segnet_ros")
_TO_END = 30.0
"""Seconds that a job has from the polite signal on; a training writes its checkpoint."""
_TRIAL_STEPS = 32
_RATE = re.compile(r"^([0-9.e+]+) images a second", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """A command and the most minutes that it may take."""

    name: str
    command: tuple[str, ...]
    minutes: float


@dataclass(frozen=True)
class Outcome:
    """What became of a job; ``ended`` is how: its exit code, or why there is none."""

    name: str
    command: str
    seconds: float
    ended: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--minutes", type=float, default=25, help="for all together [25]")
    parser.add_argument("--data", default=os.environ.get(ENVIRONMENT), help=f"data set [{ENVIRONMENT}]")
    parser.add_argument("--encoder-weights", type=Path, help="ImageNet weights to start the training from")
    parser.add_argument("--start-from", type=Path, help="weights file to start the training from instead")
    parser.add_argument("--extra-data", help="data set to mix in")
    parser.add_argument("--output", type=Path, default=Path("build/gpu"), help="folder [build/gpu]")
    parser.add_argument(
        "--only", nargs="+", metavar="JOB", help="some jobs: tests, engines, networks, node, train"
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N; cpu to rehearse [cuda]")
    parser.add_argument(
        "--rehearse", action="store_true", help="two steps of each, as a trial of this command"
    )


def run(args: argparse.Namespace) -> int:
    """Run the jobs; 0 when every one that ran ended as it should.

    Raises:
        SegmentationError: there is no such device, or no data set to train on.
    """
    from squeeze_segnet_ros.engine.device import choose_device  # imports PyTorch

    device = choose_device(args.device)
    if args.data is None:
        raise DatasetError(f"no data set: give --data or set {ENVIRONMENT} to CamVid's root folder")
    if args.encoder_weights and args.start_from:
        raise ConfigError("--encoder-weights and --start-from: a training starts from one of them")
    if not CONFIG.is_file():
        raise ConfigError(f"there is no {CONFIG} here: run it at the root of the repository")
    jobs = _jobs(args)
    unknown = set(args.only or ()) - {*(job.name for job in jobs), "train"}
    if unknown:
        raise ConfigError(f"--only {' '.join(sorted(unknown))}: there is no such job")
    args.output.mkdir(parents=True, exist_ok=True)
    record = Record(args.output, _name_of(device), time.monotonic() + 60 * args.minutes)
    for job in jobs:
        if not args.only or job.name in args.only:
            record.run(job)
    if not args.only or "train" in args.only:
        _train(args, record)
    return record.exit_code


class Record:
    """Runs jobs one after the other, and keeps what became of them."""

    def __init__(self, output: Path, device: str, deadline: float) -> None:
        self.output = output
        self.device = device
        self.deadline = deadline
        self.outcomes: list[Outcome] = []

    @property
    def seconds_left(self) -> float:
        """Until all must be over, less what a job takes to end."""
        return self.deadline - time.monotonic() - _TO_END

    @property
    def exit_code(self) -> int:
        """0 when every job that ran to its own end gave 0."""
        return int(any(outcome.ended not in ("0", "time is up") for outcome in self.outcomes))

    def run(self, job: Job) -> str:
        """Run a job for its minutes, or what is left; return what it printed, which is in its log too."""
        log = self.output / f"{job.name}.log"
        limit = min(60 * job.minutes, self.seconds_left)
        if limit <= 0:
            self._keep(Outcome(job.name, "", 0, "no time left"))
            return ""
        print(f"{job.name}: {log}", flush=True)
        began = time.monotonic()
        with log.open("w") as file:
            process = subprocess.Popen(
                job.command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
            try:
                ended = str(process.wait(limit))
            except subprocess.TimeoutExpired:
                ended = "time is up"
                process.terminate()
                try:
                    process.wait(_TO_END)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        command = " ".join(["python3", *(word.removeprefix(f"{Path.cwd()}/") for word in job.command[1:])])
        self._keep(Outcome(job.name, command, round(time.monotonic() - began, 1), ended))
        return log.read_text(errors="replace")

    def _keep(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        print(f"{outcome.name}: {outcome.ended} after {outcome.seconds:.0f} s", flush=True)
        import torch

        summary = {"device": self.device, "torch": torch.__version__, "jobs": [*map(asdict, self.outcomes)]}
        partial = self.output / "summary.json.partial"
        partial.write_text(json.dumps(summary, indent=2) + "\n")
        partial.replace(self.output / "summary.json")


def _jobs(args: argparse.Namespace) -> list[Job]:
    """Return what is measured before the training, and for how long."""
    bench = (*_PACKAGE, "benchmark", "--device", args.device, "--output", str(args.output / "bench"))
    node = (*_PACKAGE, "demo", "--device", args.device, "--output", str(args.output / "demo"))
    engines: tuple[str, ...] = (
        "--only",
        "engines",
        "--precision",
        "auto",
        "--seconds",
        "3",
        "--data",
        str(args.data),
    )
    networks: tuple[str, ...] = ("--only", "networks", "--precision", "auto")
    if args.rehearse:
        engines = (
            "--only",
            "engines",
            "--engine-cases",
            "96x64x1",
            "--seconds",
            "0.2",
            "--without",
            "torch.compile",
        )
        networks = ("--only", "networks", "--models", "enet", "--size", "96x64", "--rounds", "2")
    return [
        Job("tests", (sys.executable, "-m", "pytest", "-q", "-m", "gpu", "test/engine/test_cuda.py"), 3),
        Job("engines", (*bench, *engines), 6),
        Job("networks", (*bench, *networks), 2),
        Job("node", node, 3),
    ]


def _train(args: argparse.Namespace, record: Record) -> None:
    """Train for the time that is left, in the way that was faster in a short trial."""
    folder = args.output / "train"
    checkpoint = folder / "checkpoint.pt"
    values = yaml.safe_load(CONFIG.read_text())
    if args.rehearse:
        values |= {"steps": 2, "batch_size": 2, "extra_share": 0.5 if args.extra_data else 0.0}
    elif args.extra_data and not values.get("extra_share"):
        values["extra_share"] = 0.25
    common = ["--data", str(args.data), "--device", args.device]
    if args.extra_data:
        common += ["--extra-data", str(args.extra_data)]
    start = ["--overwrite"]  # what was cut off before its first checkpoint
    if args.encoder_weights:
        start += ["--encoder-weights", str(args.encoder_weights)]
    elif args.start_from:
        start += ["--start-from", str(args.start_from)]

    def job(name: str, more: Mapping[str, object], output: Path, rest: Sequence[str], minutes: float) -> Job:
        config = args.output / f"{name}.yaml"
        config.write_text(yaml.safe_dump(values | dict(more), sort_keys=False))
        arguments = ["--config", str(config), "--output", str(output), *common, *rest]
        return Job(name, (*_PACKAGE, "train", *arguments), minutes)

    chosen = folder / "compile.txt"
    if not chosen.is_file() and not args.rehearse:
        rates = {}
        for compiles in (False, True):
            name = f"trial_{'compiled' if compiles else 'eager'}"
            trial = {"compile": compiles, "steps": _TRIAL_STEPS, "evaluate_every": _TRIAL_STEPS}
            said = record.run(job(name, trial, args.output / name, start, 3))
            found = _RATE.search(said)
            rates[compiles] = float(found[1]) if found else 0.0
        folder.mkdir(exist_ok=True)
        chosen.write_text("compiled\n" if rates[True] > rates[False] else "eager\n")
    compiles = chosen.is_file() and chosen.read_text().strip() == "compiled"
    goes_on = ["--resume"] if checkpoint.is_file() else start
    record.run(job("train", {"compile": compiles}, folder, goes_on, minutes=float("inf")))


def _name_of(device: torch.device) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
