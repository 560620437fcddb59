"""``python -m squeeze_segnet_ros train``: trains a network on a data set.

A run's folder holds the resolved configuration (``config.yaml``, with the git revision and the command, and
``config_from_step_N.yaml`` where a run was resumed at step N with another one),
``log.csv``, TensorBoard events, ``curve.png``, ``checkpoint.pt`` (to resume) and the released form of the
network: ``last.safetensors``, as it was when last evaluated, and ``best.safetensors``, when it had its best
mean IoU on the validation split (not written where that split is trained on too).
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import math
import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
import yaml
from torch import Tensor, nn
from tqdm import tqdm

from squeeze_segnet_ros import models
from squeeze_segnet_ros.data.sampling import CropSampler
from squeeze_segnet_ros.engine.device import choose_device, computes_bf16
from squeeze_segnet_ros.errors import ConfigError, DatasetError, TrainingError, WeightsError
from squeeze_segnet_ros.images.pixels import normalize
from squeeze_segnet_ros.models import encoder_weights, weights
from squeeze_segnet_ros.scoring.evaluate import count_split
from squeeze_segnet_ros.scoring.metrics import scores
from squeeze_segnet_ros.training import losses, start_weights
from squeeze_segnet_ros.training.config import TrainConfig
from squeeze_segnet_ros.training.distillation import Teacher
from squeeze_segnet_ros.training.images import VALIDATION, TrainingImages
from squeeze_segnet_ros.training.optimizer import Optimizers, make_optimizer
from squeeze_segnet_ros.training.run_folder import command_line, git_revision
from squeeze_segnet_ros.view import plots


@contextmanager
def process_group(device: str) -> Iterator[torch.device]:
    """Join the group when ``torchrun`` started this process, and yield its device."""
    if "RANK" not in os.environ:
        yield choose_device(device)
        return
    chosen = choose_device(device)
    if chosen.type == "cuda" and device in ("auto", "cuda"):
        chosen = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield chosen
    finally:
        dist.destroy_process_group()


def _share_of_process(config: TrainConfig, processes: int, with_extra_data: bool) -> tuple[int, int]:
    """Return how many images of a batch one process draws, and how many from ``--extra-data``.

    Raises:
        ConfigError: the batch cannot be divided, or too small a part of it is left to hold extra images.
    """
    if config.batch_size % processes:
        raise ConfigError(
            f"batch_size is {config.batch_size}: {processes} processes need a multiple of {processes}"
        )
    size = config.batch_size // processes
    extra = round(size * config.extra_share) if with_extra_data else 0
    if with_extra_data and not extra:
        raise ConfigError(
            f"--extra-data with an extra_share of {config.extra_share}: that is no image of the {size} that "
            f"a process draws for a step; raise extra_share or batch_size"
        )
    return size, extra


class Trainer:
    """One training run: the network, its optimizer and the run's folder."""

    def __init__(
        self,
        config: TrainConfig,
        data: TrainingImages,
        output: Path,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.config = config
        self.output = output
        self.device = device
        self.dtype = torch.bfloat16 if computes_bf16(device) else torch.float32
        self.seed = seed
        self.step = 0
        self.best = -1.0
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world_size = dist.get_world_size() if dist.is_initialized() else 1
        self.batch_size, self.extra_size = _share_of_process(config, self.world_size, bool(data.extra))
        self.data = data
        self.label_set = data.dataset.label_set
        own_seed = seed * 1000 + self.rank
        self.crops = CropSampler(
            data.train.images, self.label_set, config.augment, self.batch_size - self.extra_size,
            own_seed, device, data.train.pixels,
        )  # fmt: skip
        self.extra_crops: CropSampler | None = None
        if data.extra:
            # Another seed: the two would show the same places of their images otherwise.
            self.extra_crops = CropSampler(
                data.extra.images, self.label_set, config.augment, self.extra_size,
                own_seed + 1_000_003, device, data.extra.pixels,
            )  # fmt: skip
        pixels = torch.from_numpy(data.train.pixels[:, : len(self.label_set)])
        class_weights = losses.class_weights(pixels, config.loss)
        self.class_weights = (class_weights / class_weights.mean()).to(device)
        torch.manual_seed(seed)
        self.network = models.build(config.model, len(self.label_set)).to(device)
        if config.channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        taught = config.distillation
        self.teacher = Teacher(taught, self.network, self.label_set, device) if taught.teacher else None
        self.pretrained: tuple[str, ...] = ()
        self.trained_on = data.trained_on
        self._interrupted = False

    def start(self, encoder: Path | None, start_from: Path | None) -> None:
        """Begin a new run from fresh, ImageNet or earlier weights."""
        if encoder:
            report = encoder_weights.load(self.network, encoder)
            self.pretrained = report.taken
            if self.rank == 0:
                print(report)
        if start_from:
            taken = start_weights.load(self.network, self.config.model, self.label_set, start_from)
            self._has_seen(taken.trained_on)
            if self.rank == 0:
                print(taken)
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = self._make_optimizer()
        if self.rank == 0:
            self.output.mkdir(parents=True, exist_ok=True)
            (self.output / "log.csv").unlink(missing_ok=True)
            for old in self.output.glob("config_from_step_*.yaml"):
                old.unlink()
            self._record("config.yaml")

    def _has_seen(self, before: Sequence[str]) -> None:
        """Take over what the weights were trained on before this run began or went on."""
        self.trained_on = tuple(dict.fromkeys((*before, *self.trained_on)))

    def _make_optimizer(self) -> Optimizers:
        return make_optimizer(self.network, self.config.optimizer, self.pretrained, self.dtype)

    def _record(self, name: str) -> None:
        record = self._plain_config() | {
            "command": command_line(), "revision": git_revision(), "seed": self.seed,
        }  # fmt: skip
        (self.output / name).write_text(yaml.safe_dump(record, sort_keys=False))

    def _plain_config(self) -> dict[str, Any]:
        plain: dict[str, Any] = _plain(dataclasses.asdict(self.config))
        return plain

    def resume(self) -> None:
        """Go on from the checkpoint of the run's folder; a changed configuration is recorded and said."""
        path = self.output / "checkpoint.pt"
        if not path.is_file():
            raise WeightsError(f"no checkpoint at {path}: start without --resume")
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise WeightsError(f"{path} is damaged: begin anew without --resume ({reason})") from error
        model = state.get("config", {}).get("model", self.config.model)
        if model != self.config.model:
            raise ConfigError(f"{path} is of a run of {model}, the configuration has {self.config.model}")
        classes = tuple(state.get("classes", self.label_set.names))
        if classes != self.label_set.names:
            raise DatasetError(f"{path} is of a run with the classes {', '.join(classes)}: give its data set")
        if state.get("with_extra_data") and self.config.extra_share and not self.extra_crops:
            raise DatasetError(
                f"{path} comes from a run with --extra-data: give it again, or set extra_share to 0"
            )
        self.pretrained = tuple(state["pretrained"])
        self.network.load_state_dict(state["network"])
        self.average = copy.deepcopy(self.network).eval()
        self.average.load_state_dict(state["average"])
        self.optimizer = self._make_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state["best"]
        self._has_seen(state.get("trained_on", ()))
        if self.rank == 0 and state.get("config") != self._plain_config():
            name = f"config_from_step_{self.step}.yaml"
            self._record(name)
            print(f"the configuration is not the one of the steps before: recorded in {self.output / name}")

    def save_checkpoint(self) -> None:
        """Write all that :meth:`resume` needs; the file is replaced in one go.

        Raises:
            TrainingError: the network has values that are not finite; what was saved before stays.
        """
        self._check_finite()
        partial = self.output / "checkpoint.pt.partial"
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "pretrained": list(self.pretrained),
                "step": self.step,
                "best": self.best,
                "config": self._plain_config(),
                "with_extra_data": self.extra_crops is not None,
                "classes": list(self.label_set.names),
                "trained_on": list(self.trained_on),
            },
            partial,
        )
        partial.replace(self.output / "checkpoint.pt")

    def train(self) -> bool:
        """Train to the last step; False when Ctrl-C or SIGTERM ended it early (after a checkpoint)."""
        step_network: nn.Module = self.network
        if self.config.compile:
            self.network.compile()
        if self.world_size > 1:
            step_network = nn.parallel.DistributedDataParallel(self.network)
        bar = tqdm(
            total=self.config.steps,
            initial=self.step,
            unit="step",
            disable=self.rank != 0,
            mininterval=2 if sys.stderr.isatty() else 60,
        )
        if self.rank == 0:
            print(self._first_words(), flush=True)
        running = 0.0
        clock, waiting = _Clock(self.step), _Waiting(self.crops, self.extra_crops)
        with self._stop_on_signals():
            while self.step < self.config.steps and not self._stop_requested():
                with waiting.step():
                    loss = self._train_step(step_network)
                self.step += 1
                if self.rank == 0 and (rate := clock.rate(self.step)):
                    tqdm.write(f"{rate * self.config.batch_size:.3g} images a second")
                running = loss if running == 0.0 else 0.95 * running + 0.05 * loss
                bar.update()
                bar.set_postfix(loss=f"{running:.3f}", best=f"{self.best:.3f}", refresh=False)
                if self.step % self.config.evaluate_every == 0 or self.step == self.config.steps:
                    self._evaluate(running)
        bar.close()
        if self.rank == 0:
            if waiting.steps:
                print(waiting)
            self.save_checkpoint()
        return self.step == self.config.steps

    def _first_words(self) -> str:
        config = self.config
        if self.step >= config.steps:
            return (
                f"nothing to do: the run in {self.output} has had its {config.steps} steps; give a larger "
                f"--steps to go on"
            )
        height, width = config.augment.crop
        processes = f" in {self.world_size} processes" if self.world_size > 1 else ""
        held = ", images on the GPU" if self.crops.on_gpu else ""
        return (
            f"training {config.model} on {self._describe_device()}{processes}, into {self.output}/\n"
            f"{self.data}{held}\n"
            f"{config.batch_size} crops of {width}x{height} a step, steps {self.step + 1} to {config.steps}, "
            f"scores every {config.evaluate_every}"
        )

    def _describe_device(self) -> str:
        """Return on what each process computes, and in which type."""
        precision = "bf16" if self.dtype == torch.bfloat16 else "fp32"
        if self.device.type == "cuda":
            where = torch.cuda.get_device_name(self.device)
        else:
            threads = torch.get_num_threads()
            where = f"{threads} thread{'s' if threads > 1 else ''} of the CPU"
        return f"{where} in {precision}"

    def _train_step(self, network: nn.Module) -> float:
        network.train()
        images, labels = self._batch(self.step)
        lr = self.config.optimizer.lr * self._schedule()
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["lr_factor"]
        distilled: Tensor | float = 0.0
        with self._autocast():
            if self.teacher and self.step >= self.config.distillation.from_step:
                logits, distilled = self.teacher.teach(network, images)
            else:
                logits = network(images)
        loss = losses.segmentation_loss(logits, labels, self.class_weights, self.config.loss) + distilled
        if not math.isfinite(loss.item()):
            self._stop(f"the loss is {loss.item()}")
        self.optimizer.zero_grad()
        loss.backward()
        if self.config.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.optimizer.clip_norm)
        self.optimizer.step()
        self._update_average()
        return loss.item()

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return a batch of this process: normalized float (N, 3, h, w) and labels uint8 (N, h, w)."""
        samplers = [self.crops, self.extra_crops] if self.extra_crops else [self.crops]
        parts = [sampler.draw(step) for sampler in samplers]
        images = normalize(torch.cat([p[0] for p in parts]))
        if self.config.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return images, torch.cat([p[1] for p in parts])

    def _schedule(self) -> float:
        """Return the share of the full learning rate at this step, in 0..1."""
        schedule = self.config.schedule
        if self.step < schedule.warmup_steps:
            return (self.step + 1) / schedule.warmup_steps
        decay_steps = schedule.decay * self.config.steps
        left = self.config.steps - self.step
        if left >= decay_steps:
            return 1.0
        share = left / decay_steps
        return share if schedule.shape == "linear" else 0.5 - 0.5 * math.cos(math.pi * share)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def _update_average(self) -> None:
        # Early on, a short memory: the average should not hold on to the random start.
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for average, current in zip(
                self.average.state_dict().values(), self.network.state_dict().values(), strict=True
            ):
                if average.is_floating_point():
                    average.lerp_(current, 1 - decay)
                else:
                    average.copy_(current)

    def _evaluate(self, loss: float) -> None:
        """Score the averaged network on the validation split, log, and keep the best (rank 0 only)."""
        if self.rank == 0:
            assert self.data.val
            counts = count_split(
                self.average, self.data.val, len(self.label_set), self.device, self._autocast()
            )
            result = scores(counts)
            row = {
                "step": self.step,
                "loss": loss,
                "global_accuracy": result.global_accuracy,
                "class_average_accuracy": result.class_average_accuracy,
                "mean_iou": result.mean_iou,
            }
            tqdm.write("  ".join(f"{key} {value:.4g}" for key, value in row.items()))
            self._log(row)
            is_best = result.mean_iou > self.best
            trained_on_val = VALIDATION in self.config.data_splits
            # Scores on what was trained on are no figures, and choose nothing.
            rounded = {key: round(value, 4) for key, value in row.items() if key not in ("step", "loss")}
            figures = {} if trained_on_val else {f"{self.data.dataset.name}/{VALIDATION}": rounded}
            self._save_weights("last.safetensors", figures)
            if is_best and not trained_on_val:
                self._save_weights("best.safetensors", figures)
            self.best = max(self.best, result.mean_iou)
            self.save_checkpoint()
        if self.world_size > 1:
            dist.barrier()

    def _save_weights(self, name: str, figures: dict[str, dict[str, float]]) -> None:
        metadata = weights.WeightsMetadata(
            self.config.model, self.label_set, command_line(), git_revision(), figures, self.trained_on
        )
        weights.save(self.output / name, self.average, metadata)

    def _check_finite(self) -> None:
        for name, tensor in self.network.state_dict().items():
            if not bool(tensor.isfinite().all()):
                self._stop(f"'{name}' of the network has values that are not finite")

    def _stop(self, reason: str) -> NoReturn:
        """Raise TrainingError: what a network that is not finite learns, or saves, is worth nothing."""
        samplers = [self.crops, self.extra_crops] if self.extra_crops else [self.crops]
        files = [s.images.name(index) for s in samplers for index, _ in s.plan(self.step)]
        checkpoint = self.output / "checkpoint.pt"
        have = f"{checkpoint} is from before" if checkpoint.is_file() else "there is no checkpoint yet"
        raise TrainingError(
            f"step {self.step + 1}: {reason} after the batch of {', '.join(files)}; {have}: a lower "
            f"optimizer.lr, a longer warm-up or clip_norm may help"
        )

    def _log(self, row: dict[str, float]) -> None:
        path = self.output / "log.csv"
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if is_new:
                writer.writeheader()
            writer.writerow(row)
        plots.learning_curve(path, self.output / "curve.png")
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        with SummaryWriter(str(self.output)) as events:
            for key, value in row.items():
                events.add_scalar(key, value, self.step)

    @contextmanager
    def _stop_on_signals(self) -> Iterator[None]:
        def stop(signum: int, frame: object) -> None:
            self._interrupted = True

        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _stop_requested(self) -> bool:
        if self.world_size == 1:
            return self._interrupted
        flag = torch.tensor(float(self._interrupted), device=self.device)
        dist.all_reduce(flag)
        return bool(flag)


class _Clock:
    """Tells once how many steps a second a run makes: over ten of them, after two to warm up."""

    def __init__(self, step: int) -> None:
        self._first = step + 2
        self._began = 0.0

    def rate(self, step: int) -> float | None:
        """Return the steps a second when it is time to tell, else None."""
        if step == self._first:
            self._began = time.perf_counter()
        elif step == self._first + 10:
            return 10 / (time.perf_counter() - self._began)
        return None


class _Waiting:
    """The share of the steps' time in which they waited for images."""

    def __init__(self, *samplers: CropSampler | None) -> None:
        self._samplers = [sampler for sampler in samplers if sampler]
        self._seconds = 0.0
        self.steps = 0

    @contextmanager
    def step(self) -> Iterator[None]:
        """Count what happens within as a step."""
        start = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - start
        self.steps += 1

    def __str__(self) -> str:
        waited = sum(sampler.waited for sampler in self._samplers)
        return (
            f"{self.steps} steps of {self._seconds / self.steps:.3g} s; "
            f"{waited / self._seconds:.1%} of that was spent waiting for images"
        )


def _plain(value: Any) -> Any:
    """Return the same value in types that YAML has."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
