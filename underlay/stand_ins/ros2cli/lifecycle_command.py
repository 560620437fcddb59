"""`ros2 lifecycle`."""

import argparse
import sys

from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState

from .graph import absolute, add_spin_time, call, discover, is_hidden, observer
from .verbs import CommandError, Verb, run_verb

_GET_STATE = "lifecycle_msgs/srv/GetState"


def main(argv: list[str]) -> int:
    """Run a verb."""
    return run_verb("lifecycle", _VERBS, argv)


def _node_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node_name")


def _nodes(args: argparse.Namespace) -> int:
    with observer() as node:
        discover(node, args.spin_time)
        for service, types in sorted(node.get_service_names_and_types()):
            if _GET_STATE in types and not is_hidden(service):
                print(service.removesuffix("/get_state"))
    return 0


def _get(args: argparse.Namespace) -> int:
    with observer() as node:
        state = call(node, GetState, f"{absolute(args.node_name)}/get_state").current_state
    print(f"{state.label} [{state.id}]")
    return 0


def _list(args: argparse.Namespace) -> int:
    service = f"{absolute(args.node_name)}/get_available_transitions"
    with observer() as node:
        answer = call(node, GetAvailableTransitions, service)
    for one in answer.available_transitions:
        print(f"- {one.transition.label} [{one.transition.id}]")
        print(f"\tStart: {one.start_state.label}\n\tGoal: {one.goal_state.label}")
    return 0


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    _node_argument(parser)
    parser.add_argument(
        "transition", help="label or number: configure, activate, deactivate, cleanup, shutdown"
    )


def _set(args: argparse.Namespace) -> int:
    name = absolute(args.node_name)
    with observer() as node:
        service = f"{name}/get_available_transitions"
        answer = call(node, GetAvailableTransitions, service)
        available = {one.transition.label: one.transition for one in answer.available_transitions}
        by_number = {str(transition.id): transition for transition in available.values()}
        transition = available.get(args.transition) or by_number.get(args.transition)
        if transition is None:
            raise CommandError(f"no transition '{args.transition}' from here, only {', '.join(available)}")
        if call(node, ChangeState, f"{name}/change_state", transition=transition).success:
            print("Transitioning successful")
            return 0
    print("Transitioning failed", file=sys.stderr)
    return 1


_VERBS = {
    "nodes": Verb("show the managed nodes", add_spin_time, _nodes),
    "get": Verb("show the state of a node", _node_argument, _get),
    "set": Verb("start a transition of a node", _set_arguments, _set),
    "list": Verb("show the transitions that a node can make now", _node_argument, _list),
}
