"""Everything that decides how a network is trained, as the YAML files of ``config/train`` hold it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from squeeze_segnet_ros import configuration, yaml_file
from squeeze_segnet_ros.configuration import check, setting
from squeeze_segnet_ros.data.augment import AugmentConfig
from squeeze_segnet_ros.errors import ConfigError

_MAY_TRAIN = ("train", "val")


@dataclass(frozen=True)
class OptimizerConfig:
    """``name``: sgd, adam, adamw, muon; ``encoder_lr_factor`` scales the rate of what comes from ImageNet."""

    name: str = setting("adamw", choices=("sgd", "adam", "adamw", "muon"))
    lr: float = 2e-3
    momentum: float = 0.9
    weight_decay: float = 1e-2
    encoder_lr_factor: float = 1.0
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ScheduleConfig:
    """Linear warm-up, a constant rate, then a decay to zero over the last ``decay`` share of the steps.

    ``shape`` of the decay: linear or cosine.
    """

    warmup_steps: int = 0
    decay: float = 0.0
    shape: str = setting("linear", choices=("linear", "cosine"))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class LossConfig:
    """What is minimized.

    ``class_weights``: median_frequency, to the power of ``class_weight_power`` (0.5 for the square root, 0
    for none), or inverse_log, as ENet's. ``hardest_share``: the share of a batch's labelled pixels, the least
    well labelled ones, whose cross entropy counts.
    """

    class_weights: str = setting("median_frequency", choices=("median_frequency", "inverse_log"))
    class_weight_power: float = 1.0
    dice_weight: float = 0.0
    label_smoothing: float = 0.0
    hardest_share: float = 1.0

    def __post_init__(self) -> None:
        check(self)
        if not 0 < self.hardest_share <= 1:
            raise ConfigError(f"hardest_share is {self.hardest_share}: it is a share above 0, up to 1")


@dataclass(frozen=True)
class DistillationConfig:
    """What the network learns from a trained one, beside the labels; nothing where ``teacher`` is empty.

    ``teacher`` names a network, ``weights`` its file (empty: the released one). ``logits_weight`` is the
    weight of its class probabilities, softened by ``temperature``; ``features_weight`` that of its features
    behind the modules ``joints``, which both networks must have, equally wide. The teacher takes part from
    ``from_step`` on.
    """

    teacher: str = ""
    weights: str = ""
    logits_weight: float = 1.0
    temperature: float = 2.0
    features_weight: float = 0.0
    joints: tuple[str, ...] = ()
    from_step: int = 0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ConfigError(f"temperature is {self.temperature}: it must be above 0")
        if bool(self.joints) != bool(self.features_weight):
            raise ConfigError("features_weight and joints need each other")


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    ``data_splits`` are the parts of CamVid that are trained on: train, or train and val for a last run with
    what was chosen before. ``extra_share`` is the share of each batch that comes from ``--extra-data``.
    ``compile`` has ``torch.compile`` translate the network when a run begins or goes on, which takes minutes.
    """

    model: str = "squeeze_segnet"
    steps: int = 1000
    batch_size: int = 8
    data_splits: tuple[str, ...] = setting(("train",), choices=_MAY_TRAIN)
    extra_share: float = 0.0
    evaluate_every: int = 250
    ema_decay: float = 0.0
    channels_last: bool = True
    compile: bool = False
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 2 or self.evaluate_every < 1:
            raise ConfigError("steps and evaluate_every must be at least 1 and batch_size at least 2")
        if not self.data_splits or len(set(self.data_splits)) < len(self.data_splits):
            raise ConfigError("data_splits must name at least one split, each once")
        if self.compile and self.distillation.joints:
            raise ConfigError("compile is for runs without distillation.joints, which need the modules")
        check(self)

    @classmethod
    def from_yaml(cls, path: Path) -> TrainConfig:
        """Read a configuration.

        Raises:
            ConfigError: no such file, not YAML, or a key or a value that does not exist.
        """
        return configuration.from_yaml(cls, yaml_file.read(path))
