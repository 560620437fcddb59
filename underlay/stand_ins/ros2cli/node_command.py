"""`ros2 node`."""

import argparse

from .graph import PRESENCE_S, absolute, add_spin_time, discover, full_names, observer, spin_until
from .verbs import CommandError, Verb, run_verb


def main(argv: list[str]) -> int:
    """Run a verb."""
    return run_verb("node", _VERBS, argv)


def _list(args: argparse.Namespace) -> int:
    with observer() as node:
        discover(node, args.spin_time)
        print("\n".join(full_names(node)))
    return 0


def _info(args: argparse.Namespace) -> int:
    full_name = absolute(args.node_name)
    namespace, _, name = full_name.rpartition("/")
    with observer() as node:
        if not spin_until(node, lambda: full_name in full_names(node), PRESENCE_S):
            raise CommandError(f"Unable to find node '{full_name}'")
        discover(node, args.spin_time)
        print(full_name)
        for what, found in (
            ("Subscribers", node.get_subscriber_names_and_types_by_node(name, namespace or "/")),
            ("Publishers", node.get_publisher_names_and_types_by_node(name, namespace or "/")),
            ("Service Servers", node.get_service_names_and_types_by_node(name, namespace or "/")),
            ("Service Clients", node.get_client_names_and_types_by_node(name, namespace or "/")),
        ):
            print(f"  {what}:")
            for one, types in sorted(found):
                print(f"    {one}: {', '.join(types)}")
    return 0


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node_name")
    add_spin_time(parser)


_VERBS = {
    "list": Verb("show the nodes", add_spin_time, _list),
    "info": Verb("show the topics and services of a node", _info_arguments, _info),
}
