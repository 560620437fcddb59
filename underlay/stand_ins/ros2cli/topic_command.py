"""`ros2 topic`."""

import argparse
import math
import statistics
import time
from collections import deque
from functools import reduce
from itertools import pairwise
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from .graph import (
    PRESENCE_S,
    absolute,
    add_spin_time,
    discover,
    is_hidden,
    load_type,
    observer,
    spin_for,
    spin_until,
)
from .messages import to_plain, to_yaml
from .verbs import CommandError, Verb, run_verb


def main(argv: list[str]) -> int:
    """Run a verb."""
    return run_verb("topic", _VERBS, argv)


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-t", "--show-types", action="store_true", help="show the types of the topics")
    parser.add_argument("-c", "--count-topics", action="store_true", help="show how many topics there are")
    parser.add_argument("--include-hidden-topics", action="store_true")
    add_spin_time(parser)


def _list(args: argparse.Namespace) -> int:
    with observer() as node:
        discover(node, args.spin_time)
        topics = sorted(node.get_topic_names_and_types())
    topics = [(name, types) for name, types in topics if args.include_hidden_topics or not is_hidden(name)]
    if args.count_topics:
        print(len(topics))
        return 0
    for name, types in topics:
        print(f"{name} [{', '.join(types)}]" if args.show_types else name)
    return 0


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic_name")
    parser.add_argument("-v", "--verbose", action="store_true", help="show nodes and QoS")
    add_spin_time(parser)


def _info(args: argparse.Namespace) -> int:
    topic = absolute(args.topic_name)
    with observer() as node:
        discover(node, args.spin_time)
        types = dict(node.get_topic_names_and_types()).get(topic)
        if types is None:
            raise CommandError(f"unknown topic '{topic}'")
        print(f"Type: {', '.join(types)}")
        for what, endpoints in (
            ("Publisher", node.get_publishers_info_by_topic(topic)),
            ("Subscription", node.get_subscriptions_info_by_topic(topic)),
        ):
            print(f"{what} count: {len(endpoints)}")
            for endpoint in endpoints if args.verbose else ():
                qos = endpoint.qos_profile
                print(f"\n  Node name: {endpoint.node_name}\n  Node namespace: {endpoint.node_namespace}")
                print(f"  Topic type: {endpoint.topic_type}\n  Endpoint type: {endpoint.endpoint_type.name}")
                print(f"  Reliability: {qos.reliability.name}\n  Durability: {qos.durability.name}\n")
    return 0


def _subscription_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic_name")
    parser.add_argument("message_type", nargs="?", help="asked of the publishers if not given")
    parser.add_argument("--qos-reliability", choices=("reliable", "best_effort"), help="default: as offered")
    parser.add_argument(
        "--qos-durability", choices=("transient_local", "volatile"), help="default: as offered"
    )
    parser.add_argument("--qos-depth", type=int, default=10)


def _echo_arguments(parser: argparse.ArgumentParser) -> None:
    _subscription_arguments(parser)
    parser.add_argument("--once", action="store_true", help="end after the first message")
    parser.add_argument("--timeout", type=float, help="end after so many seconds (default: never)")
    parser.add_argument("--field", help="show one field, as header.stamp")
    parser.add_argument("-f", "--full-length", action="store_true", help="show all of arrays and texts")
    parser.add_argument(
        "-l", "--truncate-length", type=int, default=128, help="elements shown of arrays and texts"
    )
    parser.add_argument("--no-arr", action="store_true", help="show type and length of arrays only")


def _echo(args: argparse.Namespace) -> int:
    longest = None if args.full_length else args.truncate_length
    seen: list[bool] = []

    def show(message: Any) -> None:
        if seen and args.once:
            return
        value = reduce(_field, args.field.split("."), message) if args.field else message
        print(f"{to_yaml(to_plain(value, longest, args.no_arr))}\n---")
        seen.append(True)
        del seen[1:]

    with observer() as node:
        _subscribe(node, args, show)
        if not spin_until(node, lambda: bool(seen and args.once), args.timeout) and not seen:
            raise CommandError(f"no message on '{args.topic_name}' within {args.timeout:g} s")
    return 0


def _field(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except AttributeError:
        fields: dict[str, str] = getattr(value, "get_fields_and_field_types", dict)()
        raise CommandError(
            f"no field '{name}' in {type(value).__name__}, there is: {', '.join(fields)}"
        ) from None


def _hz_arguments(parser: argparse.ArgumentParser) -> None:
    _subscription_arguments(parser)
    parser.add_argument("-w", "--window", type=int, default=10000, help="messages to average over")


def _hz(args: argparse.Namespace) -> int:
    arrivals: deque[float] = deque(maxlen=args.window + 1)
    with observer() as node:
        _subscribe(node, args, lambda _: arrivals.append(time.monotonic()), raw=True)
        while True:
            last = arrivals[-1] if arrivals else None
            spin_for(node, 1.0)
            if len(arrivals) < 2 or arrivals[-1] == last:
                print("no new messages")
                continue
            gaps = [later - earlier for earlier, later in pairwise(arrivals)]
            print(f"average rate: {1 / statistics.fmean(gaps) if any(gaps) else math.inf:.3f}")
            print(
                f"\tmin: {min(gaps):.3f}s max: {max(gaps):.3f}s std dev: {statistics.pstdev(gaps):.5f}s"
                f" window: {len(gaps) + 1}"
            )


def _subscribe(node: Node, args: argparse.Namespace, callback: Any, raw: bool = False) -> None:
    """Subscribe once the topic is there, with a QoS that every publisher of it can serve."""
    topic = absolute(args.topic_name)
    spin_until(node, lambda: node.count_publishers(topic), PRESENCE_S)
    types = [args.message_type] if args.message_type else dict(node.get_topic_names_and_types()).get(topic)
    if not types:
        raise CommandError(f"topic '{topic}' is not published, so its type is not known")
    offered = [endpoint.qos_profile for endpoint in node.get_publishers_info_by_topic(topic)]
    reliable = offered and all(qos.reliability == ReliabilityPolicy.RELIABLE for qos in offered)
    lasting = offered and all(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL for qos in offered)
    reliability = args.qos_reliability or ("reliable" if reliable else "best_effort")
    durability = args.qos_durability or ("transient_local" if lasting else "volatile")
    qos = QoSProfile(
        depth=args.qos_depth,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy[durability.upper()],
    )
    node.create_subscription(load_type(types[0]), topic, callback, qos, raw=raw)


_VERBS = {
    "list": Verb("show the topics", _list_arguments, _list),
    "info": Verb("show who publishes and subscribes", _info_arguments, _info),
    "echo": Verb("show messages", _echo_arguments, _echo),
    "hz": Verb("show the rate of messages", _hz_arguments, _hz),
}
