"""Write a card to start from for a network's file, or try a card on an image.

``card FILE`` writes FILE's name with the ending .yaml beside it: what the file shows, and a question behind
"# ?" where it cannot tell. ``card --check CARD IMAGE`` runs the network once, draws the labels with their
legend, as the card says and with red and blue swapped, and says what looks wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from squeeze_segnet_ros.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, help="a network: .onnx, .pt2, or .safetensors of ours")
    parser.add_argument(
        "--check", nargs=2, type=Path, metavar=("CARD", "IMAGE"), help="try a card on a picture"
    )
    parser.add_argument(
        "--output", type=Path, help="file to write [FILE with .yaml; build/card/NAME.png for --check]"
    )
    parser.add_argument("--force", action="store_true", help="write over a card that is there")
    parser.add_argument(
        "--device", default="auto", help="for --check: auto, cpu, cuda, cuda:N, openvino [auto]"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if (args.file is None) == (args.check is None):
        raise ConfigError("give a network's FILE, or --check CARD IMAGE")
    if args.check is None:
        return _write_card(args.file, args.output or args.file.with_suffix(".yaml"), args.force)
    card, picture = args.check
    return _check(card, picture, args.device, args.output)


def _write_card(file: Path, path: Path, force: bool) -> int:
    from squeeze_segnet_ros.engine.card_draft import draft

    text = draft(file)
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already: give --output another name, or --force")
    if path.parent.resolve() != file.parent.resolve():
        text = text.replace(f"file: {file.name}", f"file: {file.resolve()}", 1)
    path.write_text(text, encoding="utf-8")
    print(text, end="")
    questions = text.count("# ?")
    print(f"written to {path}: {questions} questions to answer, then: card --check {path} IMAGE")
    return 0


def _check(card: Path, picture: Path, device: str, output: Path | None) -> int:
    from squeeze_segnet_ros.engine import load
    from squeeze_segnet_ros.images.decoding import read_image
    from squeeze_segnet_ros.models.card import is_card
    from squeeze_segnet_ros.view import card_check

    if not is_card(str(card)):
        raise ConfigError(f"{card} is no card: expected a file that ends in .yaml")
    net = load(card, device=device)
    found = card_check.look(net, read_image(picture))
    path = output or Path("build/card") / f"{net.model}.png"
    card_check.write(found, path)
    print(net)
    for fact in found.facts:
        print(f"  {fact}")
    for finding in found.findings:
        print(f"looks wrong: {finding}")
    if not found.findings:
        print("nothing looks wrong; the picture has the last word")
    print(f"written to {path}")
    return 0
