"""Train a network on a data set."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

from squeeze_segnet_ros.commands import data_arguments
from squeeze_segnet_ros.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config", type=Path, required=True, help="training configuration, see config/train")
    data_arguments.add_dataset(parser, splits=False)
    data_arguments.add_loading(parser)
    parser.add_argument("--output", type=Path, help="folder of the run [runs/<name of the configuration>]")
    parser.add_argument("--encoder-weights", type=Path, help="ImageNet weights to start the encoder from")
    parser.add_argument(
        "--start-from",
        help="weights file of the same network to start from, or 'released'; of other classes, the last "
        "layer's rows are taken where the names are the same",
    )
    parser.add_argument("--extra-data", help="data set of the same classes whose train split is mixed in")
    parser.add_argument("--steps", type=int, help="number of steps, instead of the configuration's")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [a GPU if there is one]")
    parser.add_argument("--seed", type=int, default=0, help="of everything random [0]")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the run's folder")
    parser.add_argument("--overwrite", action="store_true", help="begin anew in a folder that has a run")


def run(args: argparse.Namespace) -> int:
    """Run the command; 0 when it trained to the end, 130 after Ctrl-C, which leaves a checkpoint."""
    from squeeze_segnet_ros.data.dataset import open_dataset
    from squeeze_segnet_ros.memory import keep_freed_memory
    from squeeze_segnet_ros.models import weights
    from squeeze_segnet_ros.training.config import TrainConfig
    from squeeze_segnet_ros.training.images import training_images
    from squeeze_segnet_ros.training.run_folder import check_unused
    from squeeze_segnet_ros.training.trainer import Trainer, process_group

    config = TrainConfig.from_yaml(args.config)
    if args.steps is not None:
        config = dataclasses.replace(config, steps=args.steps)
    if args.resume and (args.encoder_weights or args.start_from or args.overwrite):
        raise ConfigError(
            "--resume goes on from a checkpoint; --encoder-weights, --start-from and --overwrite begin a run"
        )
    if args.seed < 0:
        raise ConfigError(f"--seed is {args.seed}: give 0 or more")
    start_from = Path(args.start_from) if args.start_from else None
    if args.start_from == "released":
        start_from = weights.released(config.model)
    dataset = data_arguments.dataset(args)
    extra = open_dataset(args.extra_data) if args.extra_data else None
    loading = data_arguments.loading(args)
    output = args.output or Path("runs") / args.config.stem
    if not args.resume and not args.overwrite and os.environ.get("RANK", "0") == "0":
        check_unused(output)
    with (
        process_group(args.device) as device,
        training_images(
            dataset,
            config.data_splits,
            extra,
            with_teacher=bool(config.distillation.teacher),
            **loading._asdict(),
        ) as images,
    ):
        if device.type == "cpu":
            keep_freed_memory()
        trainer = Trainer(config, images, output, device, args.seed)
        if args.resume:
            trainer.resume()
        else:
            trainer.start(args.encoder_weights, start_from)
        return 0 if trainer.train() else 130
