"""Our engine beside what a user would build from PyTorch, ONNX Runtime or OpenVINO: image to labels.

Every engine runs in a process of its own, with as many threads as this one, and the engines take turns on the
same images; what counts is the ratio of two times of one round. Peak memory is that of the whole process.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import itertools
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.floor import Rates, work
from benchmark.spread import Spread
from squeeze_segnet_ros.data.dataset import Labelled
from squeeze_segnet_ros.engine import load
from squeeze_segnet_ros.engine.device import PRECISIONS, choose_device, computes_bf16
from squeeze_segnet_ros.engine.export import LabelsNetwork, labels_network, write_onnx
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.memory import peak_resident_bytes
from squeeze_segnet_ros.models.unpooling import MaxPool, Way
from squeeze_segnet_ros.scoring.metrics import confusion_matrix, scores

Segment = Callable[[np.ndarray], np.ndarray]
"""uint8 (N, H, W, 3) RGB -> labels (N, H, W), both on the host."""
WARM_UP_ROUNDS = 3
CALIBRATION_FRAMES = 100
START_SECONDS = 600
PAUSE_SECONDS = 0.05
"""Before each turn, until the threads of the one before have gone to sleep."""
"""How long an engine may take to get ready; torch.compile takes longest."""


@dataclass(frozen=True)
class Case:
    """What every engine is given."""

    model: str
    weights: Path
    device: str
    height: int
    width: int
    batch: int
    threads: int
    folder: Path
    """For files that engines share."""

    @property
    def title(self) -> str:
        """Such as ``480x360 x 4``."""
        return f"{self.width}x{self.height} x {self.batch}"

    def images(self) -> np.ndarray:
        """Return smooth images, uint8 (N, H, W, 3)."""
        coarse = torch.rand(self.batch, 3, 12, 16, generator=torch.Generator().manual_seed(0)) * 255
        images = F.interpolate(coarse, (self.height, self.width), mode="bicubic").clamp(0, 255)
        return images.permute(0, 2, 3, 1).to(torch.uint8).contiguous().numpy()


def _ours(case: Case, precision: str) -> Segment:
    segmenter = load(case.model, case.weights, case.device, precision)
    return lambda images: np.stack(segmenter(list(images)))


class _Eager(nn.Module):
    """A network as PyTorch runs it, channels last, in one type."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.network = network.to(dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Tensor:
        image = normalize(image.permute(0, 3, 1, 2)).to(self.dtype, memory_format=torch.channels_last)
        return self.network(image).argmax(1).to(torch.uint8)


def _eager(case: Case, precision: str) -> Segment:
    network = labels_network(case.model, case.weights).network
    return _on_device(case, _Eager(network, PRECISIONS[precision]).to(choose_device(case.device)))


def _compiled(case: Case, precision: str) -> Segment:
    from torch._inductor import config

    config.freezing = True
    network = _Eager(labels_network(case.model, case.weights).network, PRECISIONS[precision])
    network = network.to(choose_device(case.device))
    mode = None if case.device == "cpu" else "max-autotune"
    return _on_device(case, torch.compile(network, mode=mode))  # type: ignore[arg-type]


def _on_device(case: Case, network: nn.Module) -> Segment:
    device = choose_device(case.device)

    @torch.inference_mode()
    def segment(images: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(images).to(device)).cpu().numpy()

    return segment


def _onnx(case: Case, network: LabelsNetwork | None = None) -> str:
    """Return a file with the network, or with ``network`` in its place, written by whoever needs it first."""
    if network is None:
        path = case.folder / "labels.onnx"
        network = labels_network(case.model, case.weights)
    else:
        path = case.folder / "bound.onnx"
    if not path.exists():
        write_onnx(network, path, (case.height, case.width), case.batch)
    return str(path)


def _onnx_runtime(case: Case) -> Segment:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = case.threads
    model = _onnx(case)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"image": images})[0]


def _card(case: Case) -> Segment:
    """Return our engine on the file of ``_onnx_runtime``, by its card: what it adds to a bare loop."""
    path = Path(_onnx(case)).with_suffix(".yaml")
    path.write_text(
        f"name: card\nfile: labels.onnx\nclasses: camvid\noutput: {{kind: labels}}\n"
        f"input: {{layout: NHWC, dtype: uint8, size: [{case.height}, {case.width}]}}\n"
    )
    segmenter = load(path, device="cpu")
    return lambda images: np.stack(segmenter(list(images)))


def _openvino(case: Case, precision: str, network: LabelsNetwork | None = None) -> Segment:
    import openvino

    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": case.threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = _onnx(case, network)
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    return lambda images: request.infer([images], share_inputs=True)[0]


def sample_frames(most: int) -> list[np.ndarray]:
    """Return frames of the sample bag, uint8 (H, W, 3) RGB."""
    from squeeze_segnet_ros.bags import messages, open_bag

    with open_bag(Path(__file__).parents[2] / "rosbags" / "street_camvid") as bag:
        frames = bag.messages(["/camera/front/image_raw/compressed"])
        return [messages.decode_image(frame.data, frame.type) for frame in itertools.islice(frames, most)]


def _openvino_int8(case: Case) -> Segment:
    """Return OpenVINO with NNCF's quantization after training, calibrated on frames of the sample bag."""
    import nncf
    import openvino

    def resized(frame: np.ndarray) -> np.ndarray:
        picture = cv2.resize(frame, (case.width, case.height), interpolation=cv2.INTER_AREA)
        return np.stack([picture] * case.batch)

    model = openvino.Core().read_model(_onnx(case))
    frames = nncf.Dataset([resized(frame) for frame in sample_frames(CALIBRATION_FRAMES)])
    quantized = nncf.quantize(model, frames, preset=nncf.QuantizationPreset.MIXED)
    options = {"INFERENCE_NUM_THREADS": case.threads, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(quantized, "CPU", options).create_infer_request()
    return lambda images: request.infer([images], share_inputs=True)[0]


def _pool_and_forget(x: Tensor, kernel_size: int, ceil_mode: bool) -> tuple[Tensor, Tensor]:
    return F.max_pool2d(x, kernel_size, stride=2, ceil_mode=ceil_mode), x


def _nearest(x: Tensor, _where: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")[:, :, : size[0], : size[1]]


def _openvino_nearest(case: Case, precision: str) -> Segment:
    """Return what an unpooling that costs nothing would give; its labels are others."""
    network = labels_network(case.model, case.weights)
    pool = network.network.pool
    assert isinstance(pool, MaxPool)
    pool.way = Way(_pool_and_forget, _nearest)
    return _openvino(case, precision, network)


@dataclass(frozen=True)
class Engine:
    """One way to run the network: what the table calls it, how to build it, the packages that it needs."""

    name: str
    build: Callable[[Case], Segment]
    packages: tuple[str, ...] = ()
    same_labels: bool = True
    """False for one that leaves out what the network says, to show a bound."""
    bf16: bool = False
    """Whether it computes in bf16, which a CPU without instructions for it emulates at a crawl."""


_ONNX = ("onnx", "onnxscript")
CPU_ENGINES = (
    Engine("ours bf16", lambda case: _ours(case, "bf16"), bf16=True),
    Engine("ours fp32", lambda case: _ours(case, "fp32")),
    Engine("ours int8", lambda case: _ours(case, "int8")),
    Engine("PyTorch eager bf16", lambda case: _eager(case, "bf16"), bf16=True),
    Engine("PyTorch eager fp32", lambda case: _eager(case, "fp32")),
    Engine("torch.compile bf16", lambda case: _compiled(case, "bf16"), bf16=True),
    Engine("ONNX Runtime fp32", _onnx_runtime, (*_ONNX, "onnxruntime")),
    Engine("the same file by its card", _card, (*_ONNX, "onnxruntime")),
    Engine("OpenVINO bf16", lambda case: _openvino(case, "bf16"), (*_ONNX, "openvino"), bf16=True),
    Engine("OpenVINO fp32", lambda case: _openvino(case, "f32"), (*_ONNX, "openvino")),
    Engine(
        "OpenVINO bf16, nearest for unpooling",
        lambda case: _openvino_nearest(case, "bf16"),
        (*_ONNX, "openvino"),
        same_labels=False,
        bf16=True,
    ),
    Engine("OpenVINO int8 (NNCF)", _openvino_int8, (*_ONNX, "openvino", "nncf")),
)
GPU_ENGINES = (
    Engine("ours fp16", lambda case: _ours(case, "fp16")),
    Engine("PyTorch eager fp16", lambda case: _eager(case, "fp16")),
    Engine("torch.compile max-autotune fp16", lambda case: _compiled(case, "fp16")),
)
ENGINES = {engine.name: engine for engine in CPU_ENGINES + GPU_ENGINES}


@dataclass(frozen=True)
class Measurement:
    """One engine on one case.

    ``milliseconds`` are of one pass over the batch; ``ratio`` is our engine's time over this one's, median
    and quartiles over the rounds; ``agreement`` is the share of pixels with the label of fp32 eager PyTorch;
    ``trouble`` says why there are no figures.
    """

    engine: str
    case: str
    milliseconds: list[float]
    ratio: list[float]
    peak_megabytes: float | None = None
    agreement: float | None = None
    trouble: str = ""


@dataclass(frozen=True)
class Agreement:
    """Our labels in one precision beside those in fp32, over a data set.

    ``same_labels`` is the share of pixels with the same label; the class averages are accuracies in 0..1.
    """

    precision: str
    images: str
    same_labels: float
    class_average: float
    class_average_fp32: float


@dataclass(frozen=True)
class Target:
    """A ratio of our time to a peer's that is not to be exceeded, for 480x360 x 1."""

    peer: str
    must: float
    goal: float


TARGETS = (
    Target("PyTorch eager bf16", 0.70, 0.40),
    Target("ONNX Runtime fp32", 0.30, 0.12),
    Target("OpenVINO bf16, nearest for unpooling", 1.00, 0.60),
    Target("PyTorch eager fp16", 0.35, 0.15),
    Target("torch.compile max-autotune fp16", 0.80, 0.50),
)
TARGET_CASE = "480x360 x 1"
MIN_SAME_LABELS = 0.995
MAX_CLASS_AVERAGE_CHANGE = 0.002


def agreement(
    model: str, weights: Path, device: str, precision: str, data: Iterable[Labelled], images: str
) -> Agreement:
    """Compare the labels of ``data`` in ``precision`` with those in fp32; ``images`` says which they are."""
    exact, rounded = (load(model, weights, device, each) for each in ("fp32", precision))
    classes = len(exact.label_set)
    counts = np.zeros((2, classes, classes + 1), np.int64)
    same = pixels = 0
    for image, truth in data:
        labels = [segmenter(image) for segmenter in (exact, rounded)]
        same += int((labels[0] == labels[1]).sum())
        pixels += truth.size
        for count, each in zip(counts, labels, strict=True):
            count += confusion_matrix(each, truth, classes)
    average = [scores(count).class_average_accuracy for count in counts]
    return Agreement(precision, images, same / pixels, average[1], average[0])


def available(device: torch.device) -> tuple[Engine, ...]:
    """Return the engines for a device, without those that it would only emulate."""
    if device.type != "cpu":
        return GPU_ENGINES
    return tuple(engine for engine in CPU_ENGINES if not engine.bf16 or computes_bf16(device))


def missing(engine: Engine) -> str:
    """Return what must be installed before an engine can run; empty when nothing."""
    absent = [package for package in engine.packages if importlib.util.find_spec(package) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


def measure(case: Case, engines: Sequence[Engine], seconds: float, min_rounds: int = 5) -> list[Measurement]:
    """Let the engines take turns for about ``seconds``; the first of them is the ratio's numerator."""
    troubles = {engine.name: missing(engine) for engine in engines}
    times: dict[str, list[float]] = {}
    labels: dict[str, np.ndarray] = {}
    peaks: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        workers: dict[str, _Worker] = {}
        for engine in engines:
            if not troubles[engine.name]:
                # One after the other: what one compiles must not slow down another's warm-up.
                worker = stack.enter_context(contextlib.closing(_Worker(case, engine.name)))
                try:
                    worker.expect("ready", START_SECONDS)
                    workers[engine.name] = worker
                except _WorkerError as error:
                    troubles[engine.name] = str(error)
        end = time.monotonic() + seconds
        order = list(workers)
        shuffle = random.Random(0).shuffle
        done = 0
        while done < WARM_UP_ROUNDS + min_rounds or time.monotonic() < end:
            shuffle(order)
            for name in order:
                time.sleep(PAUSE_SECONDS)
                elapsed = workers[name].ask("run", START_SECONDS)
                if done >= WARM_UP_ROUNDS:
                    times.setdefault(name, []).append(elapsed)
            done += 1
        for name, worker in workers.items():
            labels[name] = worker.ask("labels", START_SECONDS)
            peaks[name] = worker.ask("peak", START_SECONDS)
    first = engines[0].name
    reference = labels.get("PyTorch eager fp32", labels.get(first))
    results = []
    for engine in engines:
        mine = times.get(engine.name, [])
        ratios = [ours / theirs for ours, theirs in zip(times.get(first, []), mine, strict=False)]
        agreement = None
        if engine.same_labels and engine.name in labels and reference is not None:
            agreement = float((labels[engine.name] == reference).mean())
        results.append(
            Measurement(
                engine.name, case.title, _quartiles([1000 * t for t in mine]), _quartiles(ratios),
                peaks.get(engine.name), agreement, troubles[engine.name],
            )
        )  # fmt: skip
    return results


def _quartiles(values: Sequence[float]) -> list[float]:
    """Return median, first and third quartile; nothing for fewer than two values."""
    return [] if len(values) < 2 else [*astuple(Spread.of(values))]


def floors(case: Case, ours: Measurement, rates: Rates, dtype: torch.dtype) -> list[Measurement]:
    """Return what no engine of ``dtype`` can be faster than on this device, as rows beside the engines'."""
    if not ours.milliseconds:
        return []
    needed = work(case.model, case.batch, (case.height, case.width))
    least = {
        "floor: the arithmetic as one matrix product": needed.flop / rates.flop_per_second,
        "floor: the convolutions' data as one copy": needed.elements
        * dtype.itemsize
        / rates.bytes_per_second,
    }
    return [
        Measurement(
            name, case.title, [1000 * seconds] * 3, [each / (1000 * seconds) for each in ours.milliseconds]
        )
        for name, seconds in least.items()
    ]


class _WorkerError(Exception):
    pass


class _Worker:
    """An engine in a process of its own."""

    def __init__(self, case: Case, engine: str) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, case, engine), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, question: str, timeout: float) -> Any:
        self.connection.send(question)
        return self.expect(question, timeout)

    def expect(self, what: str, timeout: float) -> Any:
        if not self.connection.poll(timeout):
            raise _WorkerError(f"no answer to '{what}' within {timeout:.0f} s")
        try:
            kind, value = self.connection.recv()
        except EOFError as error:
            self.process.join(5)
            raise _WorkerError(f"the process ended with {self.process.exitcode}") from error
        if kind == "error":
            raise _WorkerError(value)
        return value

    def close(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join(10)


def _serve(connection: Connection, case: Case, engine: str) -> None:
    """Loop in the worker: build the engine, then answer until the pipe closes."""
    # Its output would tear the progress bar apart.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    torch.set_num_threads(case.threads)
    images = case.images()
    try:
        segment = ENGINES[engine].build(case)
        labels = segment(images)
    except Exception as error:
        # A peer that does not run here is a line in the table, not the end of the benchmark.
        connection.send(("error", f"{type(error).__name__}: {error}".splitlines()[0][:200]))
        return
    _forget_peak()
    connection.send(("ready", None))
    with contextlib.suppress(EOFError, OSError):
        while True:
            question = connection.recv()
            if question == "labels":
                connection.send((question, labels))
            elif question == "peak":
                connection.send((question, _peak_megabytes(case.device)))
            else:
                start = time.perf_counter()
                segment(images)
                connection.send((question, time.perf_counter() - start))


def _peak_megabytes(device: str) -> float:
    """Return peak memory so far in 10**6 bytes: of the GPU, or of this process."""
    if device != "cpu":
        return torch.cuda.max_memory_reserved(device) / 1e6
    return peak_resident_bytes() / 1e6


def _forget_peak() -> None:
    """Forget the peak so far: building an engine may take more memory than running it."""
    gc.collect()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # see proc(5)


def report(
    measurements: Sequence[Measurement],
    machine: dict[str, Any],
    output: Path,
    agreed: Agreement | None = None,
) -> str:
    """Write ``engines.json``, ``engines.md`` and the picture ``engines.png``; return the Markdown."""
    output.mkdir(parents=True, exist_ok=True)
    content = machine | {
        "measurements": [asdict(m) for m in measurements],
        "agreement": None if agreed is None else asdict(agreed),
    }
    (output / "engines.json").write_text(json.dumps(content, indent=2) + "\n")
    table = targets_table(measurements, agreed) + markdown_table(measurements, machine)
    (output / "engines.md").write_text(table)
    draw(measurements, machine, output / "engines.png")
    return table


def targets_table(measurements: Sequence[Measurement], agreed: Agreement | None) -> str:
    """Return what was to be reached, and what was; a line for each peer that ran, and for the agreement."""
    rows = [
        f"| our time / {target.peer} | {m.ratio[0]:.2f} ({m.ratio[1]:.2f}-{m.ratio[2]:.2f}) "
        f"| {target.must:.2f} | {target.goal:.2f} |"
        for target in TARGETS
        for m in measurements
        if m.engine == target.peer and m.case == TARGET_CASE and m.ratio
    ]
    if agreed is not None:
        change = 100 * (agreed.class_average - agreed.class_average_fp32)
        rows += [
            f"| same labels in {agreed.precision} and fp32, {agreed.images} "
            f"| {100 * agreed.same_labels:.2f} % | {100 * MIN_SAME_LABELS:.1f} % | |",
            f"| change of the class average from {100 * agreed.class_average_fp32:.2f} % "
            f"| {change:+.3f} points | {100 * MAX_CLASS_AVERAGE_CHANGE:.1f} | |",
        ]
    if not rows:
        return ""
    head = [f"### {TARGET_CASE}, image to labels", "", "| | measured | must | goal |", "|---|---:|---:|---:|"]
    return "\n".join([*head, *rows, "", ""])


def markdown_table(measurements: Sequence[Measurement], machine: dict[str, Any]) -> str:
    """Return a table for each case. A CPU's milliseconds say little elsewhere: only a GPU's are shown."""
    lines = []
    absolute = machine["device"] != "cpu"
    for case in dict.fromkeys(m.case for m in measurements):
        rows = [m for m in measurements if m.case == case]
        lines += [
            f"### {machine['model']}, {case}, image to labels, {machine['device_name']}",
            "",
            f"| engine | {'time, ms (quartiles) | ' * absolute}{rows[0].engine} / this (quartiles) "
            "| same labels, drawn images | peak memory, MB |",
            "|---|" + "---:|" * (3 + absolute),
        ]
        for m in rows:
            cells = [m.trouble or "-", *["-"] * (2 + absolute)]
            if m.milliseconds:
                cells = [
                    *["{:.1f} ({:.1f}-{:.1f})".format(*m.milliseconds)] * absolute,
                    "{:.2f} ({:.2f}-{:.2f})".format(*m.ratio),
                    "-" if m.agreement is None else f"{100 * m.agreement:.2f} %",
                    "-" if m.peak_megabytes is None else f"{m.peak_megabytes:.0f}",
                ]
            lines.append(f"| {m.engine} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [
        "Medians of rounds in which the engines take turns, each in a process of its own, with "
        f"{machine['threads']} threads. Same labels: share of pixels with the label of PyTorch eager "
        "fp32, on blobs of color, where neighboring pixels tie more often than in a photograph. Floors: the "
        "rates of a large matrix product and of a large copy, measured on this device.",
        "",
    ]
    return "\n".join(lines)


def draw(measurements: Sequence[Measurement], machine: dict[str, Any], path: Path) -> None:
    """Draw a bar for each engine, one panel for each case; nothing where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cases = list(dict.fromkeys(m.case for m in measurements if m.milliseconds))
    if not cases:
        return
    columns = min(2, len(cases))
    rows_of_panels = -(-len(cases) // 2)
    figure = Figure(figsize=(8 * columns, 0.6 + 3.2 * rows_of_panels), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows_of_panels, columns, squeeze=False).flatten()
    for unused in panels[len(cases) :]:
        unused.remove()
    for axes, case in zip(panels, cases, strict=False):
        rows = [m for m in measurements if m.case == case and m.milliseconds][::-1]
        # Against the first engine on a CPU, in milliseconds on a GPU.
        unit = rows[-1].milliseconds[0] if machine["device"] == "cpu" else 1.0
        medians = [m.milliseconds[0] / unit for m in rows]
        spread = [[(m.milliseconds[0] - m.milliseconds[1]) / unit for m in rows],
                  [(m.milliseconds[2] - m.milliseconds[0]) / unit for m in rows]]  # fmt: skip
        colors = [_color(m.engine) for m in rows]
        bars = axes.barh([m.engine for m in rows], medians, xerr=spread, color=colors)
        axes.bar_label(bars, [f"{value:.2f}" for value in medians], padding=4)
        axes.set_title(f"{machine['model']}, {case}", fontsize=10)
        relative = f"time / {rows[-1].engine}" if machine["device"] == "cpu" else "time in ms"
        axes.set_xlabel(f"{relative}, image to labels")
        axes.margins(x=0.12)
    figure.suptitle(machine["device_name"], fontsize=10)
    figure.savefig(path, dpi=110)


def _color(engine: str) -> str:
    if engine.startswith("floor"):
        return "tab:blue"
    return "tab:orange" if engine.startswith("ours") else "tab:gray"
