"""Stand-in for the ROS 2 package `launch_pytest`, of which there is no wheel: tests of running launches.

It has the part of the original's public names that squeeze_segnet_ros uses, with the original's meaning.
"""

from . import actions, tools
from .fixture import fixture

__all__ = ["actions", "fixture", "tools"]
