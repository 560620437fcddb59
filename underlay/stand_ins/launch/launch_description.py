"""Stand-in for `launch.LaunchDescription` and the entities that it is made of."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .actions import DeclareLaunchArgument
    from .conditions import IfCondition
    from .launch_context import LaunchContext


class LaunchDescriptionEntity:
    """Anything that a launch visits."""

    def visit(self, context: "LaunchContext") -> "Iterable[LaunchDescriptionEntity] | None":
        """Do what this entity is for; return what is to be visited next."""
        raise NotImplementedError

    def describe_sub_entities(self) -> "list[LaunchDescriptionEntity]":
        """Return what is known to be visited below this one."""
        return []

    def describe_conditional_sub_entities(self) -> "list[LaunchDescriptionEntity]":
        """Return what is visited below this one in certain cases only."""
        return []

    def get_asyncio_future(self) -> "asyncio.Future[Any] | None":
        """Return what the launch has to wait for before it ends."""
        return None


class Action(LaunchDescriptionEntity):
    """An entity that does something, if its condition holds."""

    def __init__(self, *, condition: "IfCondition | None" = None) -> None:
        self.condition = condition

    def visit(self, context: "LaunchContext") -> Iterable[LaunchDescriptionEntity] | None:
        if self.condition is None or self.condition.evaluate(context):
            return self.execute(context)
        return None

    def execute(self, context: "LaunchContext") -> Iterable[LaunchDescriptionEntity] | None:
        """Do it; return what is to be visited next."""
        return None


class LaunchDescription(LaunchDescriptionEntity):
    """What a launch file returns: entities, in order."""

    def __init__(self, initial_entities: Iterable[LaunchDescriptionEntity] | None = None) -> None:
        self.entities = list(initial_entities or ())

    def add_entity(self, entity: LaunchDescriptionEntity) -> None:
        """Append an entity."""
        self.entities.append(entity)

    def add_action(self, action: Action) -> None:
        """Append an action."""
        self.add_entity(action)

    def visit(self, context: "LaunchContext") -> list[LaunchDescriptionEntity]:
        return self.entities

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self.entities

    def get_launch_arguments(self) -> "list[DeclareLaunchArgument]":
        """Return the arguments declared here and, where that can be seen, in what this includes."""
        from .actions import DeclareLaunchArgument

        found: dict[str, DeclareLaunchArgument] = {}
        for entity, conditional in walk(self.entities, False):
            if isinstance(entity, DeclareLaunchArgument) and entity.name not in found:
                entity.conditionally_included = conditional or entity.condition is not None
                found[entity.name] = entity
        return list(found.values())


def walk(
    entities: Iterable[LaunchDescriptionEntity], conditional: bool
) -> Iterator[tuple[LaunchDescriptionEntity, bool]]:
    """Yield entities and what is known to be below them, with whether each comes in certain cases only."""
    for entity in entities:
        yield entity, conditional
        yield from walk(entity.describe_sub_entities(), False)
        yield from walk(entity.describe_conditional_sub_entities(), True)


def visit_all(entity: LaunchDescriptionEntity, context: "LaunchContext") -> None:
    """Visit an entity and all below it, depth first; locals that one sets hold for what is below it."""
    scope = context.get_locals_as_dict()
    below = entity.visit(context)
    if (future := entity.get_asyncio_future()) is not None:
        context.add_completion_future(future)
    for one in below or ():
        visit_all(one, context)
    context.replace_locals(scope)
