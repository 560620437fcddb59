"""Train a network on CamVid."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

from squeeze_segnet_ros.errors import ConfigError, DatasetError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config", type=Path, required=True, help="training configuration, see config/train")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("CAMVID_ROOT"), help="CamVid root [CAMVID_ROOT]"
    )
    parser.add_argument("--output", type=Path, help="folder of the run [runs/<name of the configuration>]")
    parser.add_argument("--encoder-weights", type=Path, help="ImageNet weights to start the encoder from")
    parser.add_argument("--start-from", type=Path, help="weights file of the same network to start from")
    parser.add_argument(
        "--extra-data", type=Path, help="folder laid out like CamVid whose train split is mixed in"
    )
    parser.add_argument("--steps", type=int, help="number of steps, instead of the configuration's")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N [a GPU if there is one]")
    parser.add_argument("--seed", type=int, default=0, help="of everything random [0]")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the run's folder")


def run(args: argparse.Namespace) -> int:
    """Run the command; 0 when it trained to the end, 130 after Ctrl-C, which leaves a checkpoint."""
    from squeeze_segnet_ros.memory import keep_freed_memory
    from squeeze_segnet_ros.training.config import TrainConfig
    from squeeze_segnet_ros.training.trainer import Trainer, process_group

    config = TrainConfig.from_yaml(args.config)
    if args.steps is not None:
        config = dataclasses.replace(config, steps=args.steps)
    if args.resume and (args.encoder_weights or args.start_from):
        raise ConfigError(
            "--resume goes on from a checkpoint; --encoder-weights and --start-from begin a run"
        )
    if args.data is None:
        raise DatasetError("no data set: give --data or set CAMVID_ROOT to CamVid's root folder")
    output = args.output or Path("runs") / args.config.stem
    with process_group(args.device) as device:
        if device.type == "cpu":
            keep_freed_memory()
        trainer = Trainer(config, Path(args.data), output, device, args.seed, args.extra_data)
        if args.resume:
            trainer.resume()
        else:
            trainer.start(args.encoder_weights, args.start_from)
        return 0 if trainer.train() else 130
