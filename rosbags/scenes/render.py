"""Render street scenes with exact labels: single views for training, or a drive as a bag."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from scenes.drive import CAMERAS, RATE_HZ, View, drive, still
from scenes.film import Lens, denoise, hazy
from scenes.renderer import Renderer, Shot, mitsuba
from squeeze_segnet_ros.bags.writer import BagWriter
from squeeze_segnet_ros.classes import CAMVID
from squeeze_segnet_ros.data.to_bag import START_NS
from squeeze_segnet_ros.errors import BagError, ConfigError
from squeeze_segnet_ros.images.sizes import parse_size

_SKY = CAMVID.names.index("sky")
_ADAPTATION = 0.12
"""Share of the way to the metered exposure that the camera goes in a frame."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    modes = parser.add_subparsers(dest="mode", required=True, metavar="what")
    for name, text in (
        ("drive", "a drive through one street, as a bag"),
        ("stills", "independent scenes, as files"),
    ):
        mode = modes.add_parser(name, help=text, description=text)
        mode.add_argument(
            "--seed", type=int, default=1, help="equal seeds give equal scenes (default %(default)s)"
        )
        mode.add_argument("--output", type=Path, required=True, help="folder to write")
        mode.add_argument(
            "--samples", type=int, default=8, help="light paths per pixel (default %(default)s)"
        )
        mode.add_argument("--size", type=_size, default=(480, 360), metavar="WxH", help="default 480x360")
        if name == "drive":
            mode.add_argument("--frames", type=int, default=110, help="at 10 Hz (default %(default)s)")
            mode.add_argument(
                "--cameras", type=int, default=1, help=f"1..{len(CAMERAS)}, the front one first"
            )
            mode.add_argument(
                "--quality", type=int, default=92, help="of the jpeg images (default %(default)s)"
            )
        else:
            mode.add_argument("--count", type=int, default=100, help="number of scenes (default %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Render what was asked for and return 0.

    Raises:
        SegmentationError: bad input.
    """
    if args.seed < 0 or args.samples < 1:
        raise ConfigError(
            f"--seed {args.seed} --samples {args.samples}: needs a seed >= 0 and at least 1 sample"
        )
    mitsuba()
    width, height = args.size
    lens = Lens(width, height, focal=width * Lens.focal / Lens.width)
    if args.mode == "stills":
        _stills(args, lens)
    else:
        _drive(args, lens)
    return 0


def _stills(args: argparse.Namespace, lens: Lens) -> None:
    folders = [args.output / name for name in ("train", "trainannot")]
    if args.count < 1:
        raise ConfigError(f"--count {args.count}: needs at least 1 scene")
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--output {args.output} cannot be written: {error.strerror}") from error
    for seed in tqdm(range(args.seed, args.seed + args.count), unit="scene"):
        paths = [folder / f"scene_{seed:06d}.png" for folder in folders]
        if all(path.exists() for path in paths):
            continue
        view = still(seed, lens)
        image, labels, _ = picture(Renderer(view.street), view, args.samples, seed)
        # The label first: whoever finds an image finds its label too.
        _write(paths[1], labels)
        _write(paths[0], image[..., ::-1])


def _drive(args: argparse.Namespace, lens: Lens) -> None:
    if not 1 <= args.cameras <= len(CAMERAS) or args.frames < 1 or not 1 <= args.quality <= 100:
        raise ConfigError(f"needs 1..{len(CAMERAS)} cameras, at least 1 frame, and a quality of 1..100")
    if args.output.exists():
        raise BagError(f"{args.output} exists already: remove it or choose another name for the bag")
    cameras = list(CAMERAS.items())[: args.cameras]
    view_at = drive(args.seed, args.frames, lens)
    renderer = Renderer(view_at(0, 0.0).street)
    gains: dict[str, float] = {}
    with BagWriter(args.output) as bag:
        for frame in tqdm(range(args.frames), unit="frame"):
            stamp = START_NS + round(frame * 1e9 / RATE_HZ)
            for index, (name, yaw) in enumerate(cameras):
                view = view_at(frame, yaw)
                seed = (args.seed * 100_003 + frame) * len(CAMERAS) + index
                image, labels, gains[name] = picture(renderer, view, args.samples, seed, gains.get(name))
                topic, frame_id = f"/camera/{name}", f"camera_{name}_optical_frame"
                bag.write_camera_info(
                    f"{topic}/camera_info",
                    stamp,
                    frame_id,
                    lens.width,
                    lens.height,
                    focal=(lens.focal, lens.focal),
                )
                bag.write_image(
                    f"{topic}/image_raw/compressed",
                    stamp,
                    frame_id,
                    image,
                    format="jpeg",
                    quality=args.quality,
                )
                bag.write_image(f"{topic}/label_truth", stamp, frame_id, labels, format="png")


def picture(
    renderer: Renderer, view: View, samples: int, seed: int, gain: float | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Take one picture: image uint8 (H, W, 3) RGB, labels uint8 (H, W), and the exposure factor used.

    ``gain`` is that of the frame before, from which the exposure adapts slowly.
    """
    rng = np.random.default_rng([seed, 3])
    shot: Shot = renderer.shoot(view.street.at(view.time), view.pose, view.lens, samples, seed & 0x7FFFFFFF)
    light = view.street.light
    radiance = denoise(shot.radiance, shot.albedo, shot.normal, shot.depth)
    radiance = hazy(radiance, shot.depth, light.haze, light.sky)
    metered = view.film.meter(radiance, shot.labels != _SKY)
    gain = metered if gain is None else gain * (metered / gain) ** _ADAPTATION
    return view.film.develop(rng, radiance, gain), shot.labels, gain


def _write(path: Path, image: np.ndarray) -> None:
    """Write under another name first, so that nobody reads half a file."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}.png")
    cv2.imwrite(str(hidden), image)
    hidden.replace(path)


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = parse_size(text, 32, "it")
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return width, height
