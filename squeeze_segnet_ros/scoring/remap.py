"""Scoring a network of one class set on the data of another: what each class is in the other set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from squeeze_segnet_ros import yaml_file
from squeeze_segnet_ros.classes import UNLABELLED, LabelSet
from squeeze_segnet_ros.errors import ConfigError
from squeeze_segnet_ros.shipped import shipped


@dataclass(frozen=True)
class Remap:
    """Class ids of the network, and of the data, in the one class set that both are scored in.

    Attributes:
        classes: that class set.
        predicted: uint8 (256,), its ids by the network's.
        truth: uint8 (256,), its ids by the data's.
    """

    classes: LabelSet
    predicted: np.ndarray
    truth: np.ndarray


def remap(network: LabelSet, data: LabelSet, names: Mapping[str, str | None] | None = None) -> Remap:
    """Return how a network's classes and those of the data become one set.

    Args:
        network: the network's class set.
        data: that of the data.
        names: a class of the network and what it is in the data, or a class of the data and what it is for
            the network, for each whose names differ; None for unlabelled. Left out: the sets must be equal.

    Raises:
        ConfigError: a class is in neither set, or what it is is not said.
    """
    same = np.arange(256, dtype=np.uint8)
    if names is None:
        if network.names != data.names:
            raise ConfigError(
                f"the network has the {len(network)} classes of {network.name}, the data the {len(data)} of "
                f"{data.name}: say with --remap which is which"
            )
        return Remap(data, same, same)
    if set(names) <= set(network.names):
        return Remap(data, _table(network, data, names), same)
    return Remap(network, same, _table(data, network, names))


def read_names(text: str) -> dict[str, str | None]:
    """Return the pairs of ``--remap``: ``rider=bicyclist,truck=car``, a YAML file, one in ``config/remap``.

    Raises:
        ConfigError: it is none of these.
    """
    if "=" in text:
        pairs = [part.partition("=") for part in text.split(",")]
        return {name.strip(): _or_none(target.strip()) for name, _, target in pairs}
    ours = {path.stem: path for path in shipped("config", "remap").glob("*.yaml")}
    if not text.endswith((".yaml", ".yml")) and text not in ours:
        raise ConfigError(
            f"--remap '{text}': give pairs like rider=bicyclist,truck=car, a YAML file, or one of "
            f"{', '.join(sorted(ours))}"
        )
    entries = yaml_file.read(ours.get(text, Path(text).expanduser())).entries()
    return {key.text(): None if value.is_none else value.text() for key, value in entries}


def _or_none(name: str) -> str | None:
    return None if name in ("", "null") else name


def _table(source: LabelSet, target: LabelSet, names: Mapping[str, str | None]) -> np.ndarray:
    """Return ids of ``target`` by those of ``source``: uint8 (256,)."""
    for name, wanted in names.items():
        if name not in source.names:
            choices = yaml_file.nearest(name, source.names)
            raise ConfigError(f"--remap: there is no class '{name}' in {source.name}: choose {choices}")
        if wanted is not None and wanted not in target.names:
            choices = yaml_file.nearest(wanted, target.names)
            raise ConfigError(f"--remap: there is no class '{wanted}' in {target.name}: choose {choices}")
    unsaid = [name for name in source.names if name not in names and name not in target.names]
    if unsaid:
        raise ConfigError(
            f"--remap does not say what {', '.join(unsaid)} of {source.name} are in {target.name}: name a "
            f"class for each, or null for none"
        )
    table = np.full(256, UNLABELLED, np.uint8)
    for label in source.classes:
        wanted = names.get(label.name, label.name)
        if wanted is not None:
            table[label.id] = target.names.index(wanted)
    return table
