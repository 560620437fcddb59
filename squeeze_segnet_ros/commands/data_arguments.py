"""The arguments that say which data set, for every command that takes one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from squeeze_segnet_ros.data import ENVIRONMENT
from squeeze_segnet_ros.errors import ConfigError

if TYPE_CHECKING:
    from squeeze_segnet_ros.data.dataset import Dataset


def add_dataset(parser: argparse.ArgumentParser, splits: bool = True, default_split: str = "val") -> None:
    """Declare ``--data``, ``--root`` and ``--split``."""
    parser.add_argument(
        "--data",
        help="data set: a YAML file, the name of one that comes with the package, or a folder in CamVid's "
        f"layout [{ENVIRONMENT}]",
    )
    parser.add_argument("--root", type=Path, help="folder that the files of --data lie in [as it says]")
    if splits:
        parser.add_argument(
            "--split", default=default_split, help=f"which images of the data set [{default_split}]"
        )


def add_loading(parser: argparse.ArgumentParser, skip: bool = True) -> None:
    """Declare ``--workers`` and, where there is something to ``skip`` or keep, the others."""
    parser.add_argument(
        "--workers", type=int, help="processes that decode images [as many as the files need]"
    )
    parser.set_defaults(cache="0", skip_broken=False)
    if skip:
        parser.add_argument(
            "--cache",
            default="auto",
            help="memory for decoded images, such as 8GB [auto: half of what is free]",
        )
        parser.add_argument(
            "--skip-broken",
            action="store_true",
            help="go on without images that cannot be read, and count them",
        )


def dataset(args: argparse.Namespace) -> Dataset:
    """Return the data set that was named."""
    from squeeze_segnet_ros.data.dataset import given

    return given(args.data, args.root)


class Loading(NamedTuple):
    """How images are loaded: bytes for decoded ones, processes that decode, whether to skip broken files."""

    cache_bytes: int
    workers: int | None
    skip_broken: bool


def loading(args: argparse.Namespace) -> Loading:
    """Return the options of :func:`add_loading`."""
    from squeeze_segnet_ros.data.cache import size_in_bytes

    if args.workers is not None and not 0 <= args.workers <= 256:
        raise ConfigError(f"--workers is {args.workers}: give 0 (this process decodes) to 256")
    return Loading(size_in_bytes(args.cache), args.workers, args.skip_broken)
