"""The Fast DDS profile with which large images arrive: whether it is in force, and if not, why.

``install/setup.bash`` follows the same rule (``config/fastdds.sh``).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS 3 and Fast DDS 2 look for the name of a profile file."""
SHARED_MEMORY = Path("/dev/shm")
SEGMENT = 64 * 2**20
"""Bytes of /dev/shm that a process with the profile takes."""
MIN_SHARED_MEMORY = 4 * SEGMENT
"""Size of /dev/shm, in bytes, below which the profile is left out."""
PAGE = "docs/how_to/connect_cameras.md"
_PROFILE = ("squeeze_segnet_ros", "config", "fastdds.xml")
_FAST_DDS_2 = ("humble", "iron", "jazzy")  # distributions; Fast DDS 3 warns of the old variable
_LARGE = "best-effort images above 512 KiB"


class Transport(NamedTuple):
    """What is to be set in the environment of a node, and what the user has to know, if anything."""

    environment: dict[str, str]
    remark: str


def chosen_profile(environment: Mapping[str, str]) -> str:
    """Return the profile file that the environment names, or nothing."""
    return next((environment[name] for name in VARIABLES if environment.get(name)), "")


def is_in_force(environment: Mapping[str, str]) -> bool:
    """Return whether the profile is that of this package, from wherever it is installed."""
    return Path(chosen_profile(environment)).parts[-len(_PROFILE) :] == _PROFILE


def choose_transport(
    profile: Path,
    environment: Mapping[str, str],
    middleware: str,
    shared_memory: int | None = None,
) -> Transport:
    """Put ``profile`` into force where the user has chosen nothing of the kind.

    Args:
        profile: ``config/fastdds.xml``.
        environment: the environment variables as they are.
        middleware: the RMW implementation in use, such as rmw_fastrtps_cpp.
        shared_memory: size of /dev/shm in bytes; None looks.
    """
    if not middleware.startswith("rmw_fastrtps"):
        return Transport({}, f"the middleware is {middleware}: {profile.name} is for Fast DDS and left out")
    if is_in_force(environment):
        return Transport({}, "")
    if chosen := chosen_profile(environment):
        return Transport({}, f"Fast DDS profile {chosen} is left as it is: {_LARGE} need a large SHM segment")
    if transports := environment.get("FASTDDS_BUILTIN_TRANSPORTS"):
        return Transport(
            {}, f"FASTDDS_BUILTIN_TRANSPORTS={transports} is left as it is: {_LARGE} may get lost"
        )
    if shared_memory is None:
        shared_memory = shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else 0
    if shared_memory < MIN_SHARED_MEMORY:
        return Transport(
            {},
            f"{SHARED_MEMORY} has {shared_memory >> 20} MiB, too little for {profile.name}: {_LARGE} get "
            f"lost; give it {MIN_SHARED_MEMORY >> 20} MiB or more (docker run --shm-size=1g), see {PAGE}",
        )
    names = VARIABLES if environment.get("ROS_DISTRO") in _FAST_DDS_2 else VARIABLES[:1]
    return Transport(dict.fromkeys(names, str(profile)), "")
