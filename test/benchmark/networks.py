"""The networks side by side: size, arithmetic, time and memory, and what the command measures of the engines.

Times are of the network alone on one image, with batch norm folded and channels last: the networks take
turns, so that a change of the machine's load meets all of them, and each time is divided by that of
squeeze_segnet in the same round.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from benchmark import peers
from benchmark.floor import measured_rates, work
from benchmark.spread import Spread
from squeeze_segnet_ros import models
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.data.dataset import open_dataset
from squeeze_segnet_ros.engine.device import PRECISIONS, choose_device, choose_precision, without_tf32
from squeeze_segnet_ros.engine.fold import fold_batch_norm
from squeeze_segnet_ros.engine.segmenter import MIN_SIZE
from squeeze_segnet_ros.errors import ConfigError, UnknownModelError, WeightsError
from squeeze_segnet_ros.images.sizes import parse_size
from squeeze_segnet_ros.memory import peak_resident_bytes, release_freed_memory, resident_bytes
from squeeze_segnet_ros.models import weights

REFERENCE = "squeeze_segnet"
"""The network that times are relative to."""
PAPER_SIZES = {"squeeze_segnet": (2.7, 10.35), "segnet": (29.4, 117.8), "enet": (0.36, 1.5)}
"""Millions of parameters and fp32 MB in Table 2 of arXiv 1711.05491; in its 10.35, one MB has 2**20 bytes."""
WARM_UP_ROUNDS = 2


@dataclass(frozen=True)
class NetworkResult:
    """One row of the comparison.

    ``megabytes`` is the fp32 size of the parameters in 10**6 bytes; ``gflop`` counts a multiplication and an
    addition as two; ``milliseconds`` and ``relative_time`` are of one image; ``peak_megabytes`` is the memory
    that a run takes, parameters included, None where it could not be measured; ``figures`` are the scores
    (0..1) of the released weights by data set split, empty where none are released.
    """

    name: str
    parameters: int
    megabytes: float
    gflop: float
    milliseconds: Spread
    relative_time: Spread
    peak_megabytes: float | None
    figures: dict[str, dict[str, float]]


def compare_engines(args: argparse.Namespace) -> None:
    """Measure our engine beside others as the command's arguments say, and write the engines' files."""
    shapes = [_parse_case(case) for case in args.engine_cases]
    device = choose_device(args.device)
    available = peers.available(device)
    if device.type == "cpu" and available != peers.CPU_ENGINES:
        print("this CPU has no instructions for bf16 and would emulate it: only fp32 and int8 are measured")
    engines = tuple(engine for engine in available if not engine.name.startswith(tuple(args.without)))
    if not engines:
        raise ConfigError("--without leaves no engine to compare")
    dataset = open_dataset(args.data) if args.data else None
    pairs = dataset.pairs(args.split) if dataset else ()
    path = weights.released(REFERENCE) if args.weights is None else args.weights
    ours = engines[0].name.removeprefix("ours ")
    rates = measured_rates(device, PRECISIONS[ours]) if ours in PRECISIONS else None
    measurements = []
    for height, width, batch in tqdm(shapes, "engines", leave=False):
        with tempfile.TemporaryDirectory() as folder:
            case = peers.Case(
                REFERENCE, path, str(device), height, width, batch, torch.get_num_threads(), Path(folder)
            )  # fmt: skip
            measured = peers.measure(case, engines, args.seconds)
            measurements += measured
            if rates is not None:
                measurements += peers.floors(case, measured[0], rates, PRECISIONS[ours])
    machine = _machine(device) | {"model": REFERENCE, "threads": torch.get_num_threads()}
    agreed = None
    if dataset is not None:
        precision = choose_precision("auto", device)
        images = f"{len(pairs)} images of {dataset.name} {args.split}"
        agreed = peers.agreement(REFERENCE, path, str(device), precision, map(dataset.read, pairs), images)
    print(peers.report(measurements, machine, args.output, agreed))


def compare_networks(args: argparse.Namespace) -> None:
    """Measure the networks as the command's arguments say, and write their files."""
    names = _chosen(args.models)
    size = parse_size(args.size, MIN_SIZE)
    if args.rounds < 2:
        raise ConfigError(f"--rounds is {args.rounds}: a spread takes at least 2")
    device = choose_device(args.device)
    precision = choose_precision(args.precision or "fp32", device)
    if precision not in PRECISIONS:
        raise ConfigError(f"--precision is {precision}: networks are compared in {', '.join(PRECISIONS)}")
    if precision == "fp32":
        without_tf32()
    results = compare(names, size, device, precision, args.rounds)
    report = _machine(device) | {
        "precision": precision,
        "width": size[1],
        "height": size[0],
        "rounds": args.rounds,
        "reference": REFERENCE,
        "networks": [asdict(result) for result in results],
    }
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "networks.json").write_text(json.dumps(report, indent=2) + "\n")
    table = markdown_table(results, report)
    (args.output / "networks.md").write_text(table)
    print(table)


def _chosen(arguments: Sequence[str]) -> tuple[str, ...]:
    chosen = [name for argument in arguments for name in argument.split(",") if name]
    for name in chosen:
        if name != "all" and name not in models.names():
            raise UnknownModelError(name, ("all", *models.names()))
    return models.names() if "all" in chosen else tuple(dict.fromkeys(chosen))


def _parse_case(text: str) -> tuple[int, int, int]:
    """Turn ``480x360x4`` into (360, 480, 4)."""
    size, _, batch = text.rpartition("x")
    if "x" not in size or not batch.isdecimal() or int(batch) < 1:
        raise ConfigError(
            f"--engine-cases has '{text}': give width x height x batch (1 or more), such as 480x360x4"
        )
    return *parse_size(size, MIN_SIZE, f"the image of --engine-cases {text}"), int(batch)


def compare(
    names: Sequence[str], size: tuple[int, int], device: torch.device, precision: str, rounds: int
) -> list[NetworkResult]:
    """Measure the networks ``names`` on an image of ``size`` (H, W), in ``rounds`` of one run each."""
    memory = {
        name: _peak_megabytes(name, size, device, precision) for name in tqdm(names, "memory", leave=False)
    }
    timed = tuple(dict.fromkeys((REFERENCE, *names)))
    seconds = _take_turns({name: _ready(name, size, device, precision) for name in timed}, rounds)
    results = []
    for name in names:
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in models.build(name, len(CAMVID)).parameters())
        ratios = [mine / reference for mine, reference in zip(seconds[name], seconds[REFERENCE], strict=True)]
        results.append(
            NetworkResult(
                name,
                parameters,
                parameters * 4 / 1e6,
                gflop(name, size),
                Spread.of([1000 * value for value in seconds[name]]),
                Spread.of(ratios),
                memory[name],
                _released_figures(name),
            )
        )
    return results


def gflop(name: str, size: tuple[int, int]) -> float:
    """Return a network's arithmetic on an image of ``size`` (H, W), in 10**9 additions or products."""
    return work(name, 1, size).flop / 1e9


def _released_figures(name: str) -> dict[str, dict[str, float]]:
    try:
        return weights.load(weights.released(name))[1].figures
    except WeightsError:
        return {}


def _ready(name: str, size: tuple[int, int], device: torch.device, precision: str) -> Callable[[], None]:
    """Return a function that runs the network once, to the end."""
    network, image = _network_and_image(name, size, device, precision)

    @torch.inference_mode()
    def run_once() -> None:
        network(image)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run_once


def _network_and_image(
    name: str, size: tuple[int, int], device: torch.device, precision: str
) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    dtype = PRECISIONS[precision]
    network = fold_batch_norm(models.build(name, len(CAMVID))).to(device, dtype)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.randn(1, 3, *size).to(device, dtype, memory_format=torch.channels_last)
    return network, image


def _take_turns(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return each run's seconds; warm-up rounds are thrown away, each round starts with another network."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    for i in tqdm(range(WARM_UP_ROUNDS + rounds), "time", unit="round", leave=False):
        for name in order:
            start = time.perf_counter()
            runs[name]()
            if i >= WARM_UP_ROUNDS:
                seconds[name].append(time.perf_counter() - start)
        order.append(order.pop(0))
    return seconds


def _peak_megabytes(name: str, size: tuple[int, int], device: torch.device, precision: str) -> float | None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        run_once = _ready(name, size, device, precision)
        torch.cuda.reset_peak_memory_stats(device)
        run_once()
        return torch.cuda.max_memory_allocated(device) / 1e6
    # A process of its own: nothing that another network has left behind counts.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_peak_megabytes_of_process, name, size, precision).result()
        except BrokenProcessPool:
            return None


def _peak_megabytes_of_process(name: str, size: tuple[int, int], precision: str) -> float | None:
    """Return how far resident memory rises above its level before the network, in 10**6 bytes."""
    cpu = torch.device("cpu")
    # So that the libraries behind a convolution are loaded before the count begins.
    functional.conv2d(torch.zeros(1, 8, 8, 8), torch.zeros(8, 8, 3, 3))
    try:
        before = resident_bytes()
        run_once = _ready(name, size, cpu, precision)
        # Building leaves a heap behind that no run needs.
        release_freed_memory()
        Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten, see proc(5)
        run_once()
        return (peak_resident_bytes() - before) / 1e6
    except OSError:
        return None


def _machine(device: torch.device) -> dict[str, Any]:
    if device.type == "cuda":
        described = torch.cuda.get_device_name(device)
    else:
        amx, avx = torch.cpu._is_amx_tile_supported(), torch.cpu._is_avx512_bf16_supported()
        bf16 = "AMX" if amx else "AVX512-BF16, no AMX" if avx else "no instructions for bf16"
        described = f"{cpu_name()} ({bf16}), {torch.get_num_threads()} threads"
    return {"device": str(device), "device_name": described, "torch": torch.__version__}


def cpu_name() -> str:
    """Return what the CPU calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def markdown_table(results: Sequence[NetworkResult], report: dict[str, Any]) -> str:
    """Return the comparison as Markdown, with the sizes of the paper's Table 2 beside the measured ones.

    A CPU's milliseconds say little elsewhere: only a GPU's are shown.
    """
    absolute = report["device"] != "cpu"
    lines = [
        f"### Networks at {report['width']}x{report['height']}, {report['precision']}, "
        f"{report['device_name']} ({report['device']}), PyTorch {report['torch']}",
        "",
        "| network | parameters | the paper's | fp32 MB | the paper's | GFLOP "
        f"{'| time, ms (quartiles) ' * absolute}| time / {report['reference']} (quartiles) "
        "| peak memory, MB | CamVid class average | mean IoU |",
        "|---|" + "---:|" * (9 + absolute),
    ]
    for result in results:
        paper = PAPER_SIZES.get(result.name)
        paper_parameters, paper_megabytes = (f"{paper[0]} M", str(paper[1])) if paper else ("-", "-")
        split, scores = _best_figures(result.figures)
        cells = [
            f"`{result.name}`",
            f"{result.parameters / 1e6:.3g} M",
            paper_parameters,
            f"{result.megabytes:.2f}",
            paper_megabytes,
            f"{result.gflop:.1f}",
            *[_with_quartiles(result.milliseconds, ".1f")] * absolute,
            _with_quartiles(result.relative_time, ".2f"),
            "-" if result.peak_megabytes is None else f"{result.peak_megabytes:.0f}",
            *(
                f"{scores[key]:.3f} ({split})" if key in scores else "-"
                for key in ("class_average_accuracy", "mean_iou")
            ),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Medians of {report['rounds']} rounds in which the networks take turns. GFLOP: a multiplication and "
        "an addition are two. MB: 10^6 bytes; the paper's 10.35 is 10.35 * 2^20 bytes.",
        "",
    ]
    return "\n".join(lines)


def _best_figures(figures: dict[str, dict[str, float]]) -> tuple[str, dict[str, float]]:
    """Return the test split's scores where there are any, else the validation split's."""
    for split in ("test", "val"):
        if f"camvid/{split}" in figures:
            return split, figures[f"camvid/{split}"]
    return "", {}


def _with_quartiles(spread: Spread, style: str) -> str:
    return f"{spread.median:{style}} ({spread.low:{style}}-{spread.high:{style}})"
