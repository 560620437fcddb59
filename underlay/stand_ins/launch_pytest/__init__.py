"""Stand-in for the ROS 2 package `launch_pytest`, of which there is no wheel: tests of running launch descriptions.

It has the part of the original's public names that the tests of squeeze_segnet_ros use, with the original's meaning.
"""

from . import actions, tools
from .fixture import fixture

__all__ = ["actions", "fixture", "tools"]
