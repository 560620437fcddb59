"""Stand-in for the ROS 2 package `launch`, of which there is no wheel.

It has the part of the original's public names that squeeze_segnet_ros uses, with the original's meaning and
defaults. Launch files in XML and YAML, log files, `shell=True` and plug-ins need the original.
"""

from . import (
    actions,
    conditions,
    event_handlers,
    events,
    launch_description_sources,
    logging,
    substitutions,
    utilities,
)
from .event_handlers import EventHandler, SomeEntitiesType
from .events import Event
from .launch_context import LaunchContext
from .launch_description import Action, LaunchDescription, LaunchDescriptionEntity
from .launch_description_sources import LaunchDescriptionSource
from .launch_service import LaunchService
from .substitutions import SomeSubstitutionsType, Substitution

__all__ = [
    "Action",
    "Event",
    "EventHandler",
    "LaunchContext",
    "LaunchDescription",
    "LaunchDescriptionEntity",
    "LaunchDescriptionSource",
    "LaunchService",
    "SomeEntitiesType",
    "SomeSubstitutionsType",
    "Substitution",
    "actions",
    "conditions",
    "event_handlers",
    "events",
    "launch_description_sources",
    "logging",
    "substitutions",
    "utilities",
]
