"""Inputs and outputs anywhere: paths and the URLs of fsspec (``s3://``, ``gs://``, ``file://``, ``memory://``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from squeeze_segnet_ros.errors import ConfigError, SegmentationError, one_line

_BAGS = (".mcap", ".db3")
_FLAT = frozenset({"s3", "gs", "abfs"})
"""Stores without folders: to make one would make the bucket whose name somebody has misspelled."""


def is_url(text: str | Path) -> bool:
    """Return whether this names something on another machine or in a store, and no path."""
    return "://" in str(text)


def bags_at(url: str) -> list[str]:
    """Return the URLs of the bags at a URL: itself, or those of the folders and files below it.

    Raises:
        ConfigError: there are none, or it cannot be read.
    """
    with _open(url) as (system, path):
        if system.isfile(path):
            return [url]
        names = [name for name in system.ls(path, detail=False) if name.rstrip("/") != path.rstrip("/")]
        folders = [name for name in names if system.isdir(name)]
        files = [name for name in names if name.endswith(_BAGS)]
        bags = [name for name in folders if system.isfile(f"{name.rstrip('/')}/metadata.yaml")]
        if any(name.endswith("/metadata.yaml") for name in names) or (files and not bags):
            return [url]
        if not (folders or files):
            raise ConfigError(f"{url}: no bags there")
        return [system.unstrip_protocol(name) for name in sorted([*folders, *files])]


def name_of(url: str) -> str:
    """Return the last part of a URL or path, without a bag file's suffix."""
    name = str(url).rstrip("/").rpartition("/")[2]
    path = Path(name)
    return path.stem if path.suffix in _BAGS else name


def fetch(url: str, folder: Path) -> Path:
    """Copy a file or folder into a local folder and return where it is; a path is not copied.

    Raises:
        ConfigError: it cannot be read.
    """
    if not is_url(url):
        return Path(url)
    target = folder / str(url).rstrip("/").rpartition("/")[2]
    with _open(url) as (system, path):
        system.get(path.rstrip("/"), str(target), recursive=system.isdir(path))
    return target


def store(folder: Path, url: str, names: Sequence[str]) -> None:
    """Copy files below a local folder to the same names below a URL or path.

    Raises:
        ConfigError: it cannot be written.
    """
    with _open(url) as (system, path):
        for name in names:
            target = f"{path.rstrip('/')}/{name}"
            _make_folder(system, target)
            # Under its name only when it is whole: stores do that by themselves, disks do not.
            if "file" in _protocols(system):
                system.put_file(str(folder / name), f"{target}.unfinished")
                system.mv(f"{target}.unfinished", target)
            else:
                system.put_file(str(folder / name), target)


def write_text(url: str, text: str) -> None:
    """Write a small file at a URL.

    Raises:
        ConfigError: it cannot be written.
    """
    with _open(url) as (system, path):
        _make_folder(system, path)
        system.pipe_file(path, text.encode())


def read_text(url: str) -> str | None:
    """Return a small file at a URL, None where there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    with _open(url) as (system, path):
        return system.cat_file(path).decode() if system.isfile(path) else None


def exists(url: str) -> bool:
    """Return whether there is something at a URL.

    Raises:
        ConfigError: that cannot be told.
    """
    with _open(url) as (system, path):
        return bool(system.exists(path))


def remove(url: str) -> None:
    """Remove a folder and all in it, where it is there.

    Raises:
        ConfigError: it cannot be removed.
    """
    with _open(url) as (system, path):
        if system.exists(path):
            system.rm(path, recursive=True)


def _make_folder(system: Any, path: str) -> None:
    """Make the folder that a file will lie in, where there are such."""
    if not _FLAT.intersection(_protocols(system)):
        system.makedirs(path.rpartition("/")[0], exist_ok=True)


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


@contextmanager
def _open(url: str) -> Iterator[tuple[Any, str]]:
    """Give the file system of a URL and the path in it.

    Raises:
        ConfigError: what fails with it, in one line.
    """
    try:
        import fsspec
    except ImportError:
        raise ConfigError('URLs need fsspec: pip install "squeeze_segnet_ros[fleet]"') from None
    try:
        yield fsspec.core.url_to_fs(url)
    except SegmentationError:
        raise
    # Each store has errors of its own: no credentials, no such bucket, no answer.
    except Exception as error:
        raise ConfigError(f"{url} cannot be read or written: {one_line(error)}") from None
