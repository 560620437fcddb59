"""Stand-in for the ROS 2 package `launch_ros`, of which there is no wheel: nodes, their parameters, packages.

It has the part of the original's public names that squeeze_segnet_ros uses, with the original's meaning and
defaults. Composable nodes, lifecycle actions and launch files in XML and YAML need the original.
"""

from . import actions, parameter_descriptions, substitutions

__all__ = ["actions", "parameter_descriptions", "substitutions"]
