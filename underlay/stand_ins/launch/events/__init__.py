"""Stand-in for `launch.events`."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..launch_description import Action, LaunchDescription


class Event:
    """Something that happened, for event handlers."""

    name = "launch.Event"


class Shutdown(Event):
    """The launch ends."""

    name = "launch.events.Shutdown"

    def __init__(self, *, reason: str = "reason not given", due_to_sigint: bool = False) -> None:
        self.reason = reason
        self.due_to_sigint = due_to_sigint


class IncludeLaunchDescription(Event):
    """A launch description is to be visited."""

    name = "launch.events.IncludeLaunchDescription"

    def __init__(self, launch_description: "LaunchDescription") -> None:
        self.launch_description = launch_description


def matches_action(target_action: "Action") -> "Callable[[Action], bool]":
    """Return a matcher for events of that one action."""
    return lambda action: action is target_action


from . import process as process  # noqa: E402  (it needs Event)
