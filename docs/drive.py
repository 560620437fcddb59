"""Draw the moving picture of README.md again: ``python docs/drive.py`` writes ``docs/drive.webp``.

Every frame of a few seconds of the sample bag, labelled by the released weights.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import cv2
from PIL import Image

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros.bags import open_bag
from squeeze_segnet_ros.images.encodings import to_rgb
from squeeze_segnet_ros.offline.films import compose
from squeeze_segnet_ros.offline.sources import bag_frames, choose_cameras

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "drive.webp"


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bag", type=Path, default=ROOT / "rosbags" / "street_camvid")
    parser.add_argument("--start", type=int, default=0, help="its first frame (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=50, help="how many (default: %(default)s)")
    parser.add_argument("--height", type=int, default=360, help="of the picture (default: %(default)s)")
    parser.add_argument("--quality", type=int, default=60, help="of the WebP, 1..100 (default: %(default)s)")
    given = parser.parse_args()
    net, ask = ssr.load(), ssr.Request(overlay=True)
    shown, times = [], []
    with open_bag(given.bag) as bag:
        frames = bag_frames(bag, choose_cameras(bag, ()))
        for frame in islice(frames, given.start, given.start + given.frames):
            image = to_rgb(frame.decode())
            overlay = net.segment(image, ask).overlay
            times.append(frame.recorded_ns)
            text = f"{(times[-1] - times[0]) / 1e9:.1f} s"
            composed = compose(image, overlay, net.classes, text)
            width = round(composed.shape[1] * given.height / composed.shape[0])
            shown.append(cv2.resize(composed, (width, given.height), interpolation=cv2.INTER_AREA))
    step_ms = round((times[-1] - times[0]) / 1e6 / max(1, len(times) - 1))
    first, *others = map(Image.fromarray, shown)
    first.save(
        PICTURE,
        save_all=True,
        append_images=others,
        duration=step_ms,
        loop=0,
        quality=given.quality,
        method=6,
    )
    print(f"{PICTURE}: {len(shown)} frames, {PICTURE.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
