"""`ros2 bag`, over the reader and the player of squeeze_segnet_ros."""

import argparse
import sys

from .verbs import CommandError, Verb, run_verb

_SHORT = {"-r": "--rate", "-l": "--loop"}  # options of the original that our player knows by another name


def main(argv: list[str]) -> int:
    """Run a verb."""
    if argv[:1] == ["play"]:
        return _play(argv[1:])
    return run_verb("bag", _VERBS, argv)


def _info(args: argparse.Namespace) -> int:
    try:
        from squeeze_segnet_ros.bags.reader import open_bag
        from squeeze_segnet_ros.commands.bag import describe
        from squeeze_segnet_ros.errors import SegmentationError
    except ImportError as error:
        raise CommandError(f"`ros2 bag` needs squeeze_segnet_ros, with its extra 'bags': {error}") from None
    try:
        with open_bag(args.bag_path) as bag:
            print(describe(bag))
    except SegmentationError as error:
        raise CommandError(str(error)) from None
    return 0


def _play(argv: list[str]) -> int:
    try:
        from squeeze_segnet_ros.ros import bag_player
    except ImportError as error:
        raise CommandError(f"`ros2 bag` needs squeeze_segnet_ros, with its extra 'bags': {error}") from None
    return bag_player.main([_SHORT.get(argument, argument) for argument in argv])


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag_path")


_VERBS = {
    "info": Verb("show what a bag holds", _info_arguments, _info),
    "play": Verb("play a bag", lambda parser: None, lambda args: _play(sys.argv[3:])),
}
