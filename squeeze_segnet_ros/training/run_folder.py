"""The folder of a run, and where weights come from: the command and the revision of the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from squeeze_segnet_ros.errors import ConfigError


def command_line() -> str:
    """Return how this program was called, without the folders of absolute paths: nobody's business."""
    words = [f".../{Path(word).name}" if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return " ".join(["python -m squeeze_segnet_ros", *words])


def git_revision() -> str:
    """Return the commit that the code was run from, ``+`` for local changes; empty outside a repository."""
    here = Path(__file__).parent
    try:
        command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def check_unused(folder: Path) -> None:
    """Raise ConfigError when a folder holds a run, which a new one would overwrite."""
    found = [name for name in ("checkpoint.pt", "log.csv") if (folder / name).exists()]
    if found:
        raise ConfigError(
            f"{folder} holds a run ({found[0]}): --resume goes on with it, --output names another folder, "
            f"--overwrite begins anew"
        )
