"""What pip leaves to do in an environment of ROS 2 wheels: `wheels.py patch`, `wheels.py damaged FILE...`."""

import csv
import importlib.metadata
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any


def patch() -> None:
    """Make the CMake files, which name folders of the machine that built the wheels, fit this one."""
    import numpy

    include, numpy_include = sysconfig.get_paths()["include"], numpy.get_include()
    for path in Path(sys.prefix, "share").rglob("*.cmake"):
        text = path.read_text()
        patched = re.sub(r"/opt/python/cp\w+-cp\w+/include/python[\d.]+", lambda _: include, text)
        patched = re.sub(
            r"/opt/python/cp\w+-cp\w+/lib/python[\d.]+/site-packages/numpy/_core/include",
            lambda _: numpy_include,
            patched,
        )
        if patched != text:
            path.write_text(patched)


def damaged(requirement_files: list[str]) -> None:
    """Print the requirements whose files an interrupted pip or a full disk left incomplete."""
    for file in requirement_files:
        for line in Path(file).read_text().splitlines():
            requirement = line.partition(";")[0].strip()
            if not requirement or requirement.startswith("#"):
                continue
            try:
                package = importlib.metadata.distribution(requirement.partition("==")[0])
            except importlib.metadata.PackageNotFoundError:
                continue  # pip sees that one by itself
            # Not its `files`: since Python 3.12 those leave out what is missing.
            record = package.read_text("RECORD")
            entries = csv.reader((record or "").splitlines())
            if not record or not all(_is_whole(package.locate_file(name), size) for name, _, size in entries):
                print(requirement)


def _is_whole(path: Any, size: str) -> bool:
    if path.suffix == ".pyc":
        return True
    # The patched CMake files differ from the record in size.
    return path.is_file() and (path.suffix == ".cmake" or size in ("", str(path.stat().st_size)))


if __name__ == "__main__":
    if sys.argv[1] == "patch":
        patch()
    else:
        damaged(sys.argv[2:])
