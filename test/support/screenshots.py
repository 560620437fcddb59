"""Take a picture of the page of a bag: ``python3 -m support.screenshots BAG PICTURE.jpg``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import cv2

from support.browser import open_page
from support.processes import Running

_LABELLED_S = 600.0
_SETTLED_MS, _TRIES, _EQUAL = 6000, 20, 0.999
"""The picture is taken when the page has stayed the same for so long."""


def main() -> None:
    """Label, look, write."""
    parser = argparse.ArgumentParser(prog="screenshots", description=__doc__.partition("\n")[0])
    parser.add_argument("bag", type=Path, help="a bag with camera images")
    parser.add_argument("picture", type=Path, help="JPEG to write")
    parsed = parser.parse_args()
    view = [sys.executable, "-m", "squeeze_segnet_ros", "view", parsed.bag, "--port", "0"]
    with Running(view) as viewer, open_page(1600, 900) as page:
        viewer.wait_for_line("shown until Ctrl-C", seconds=_LABELLED_S)
        page.open(re.findall(r"http://[^ ]+", viewer.text)[0])
        page.wait(_SETTLED_MS)
        before = page.picture()
        for _ in range(_TRIES):
            page.wait(_SETTLED_MS)
            now = page.picture()
            if (now == before).mean() > _EQUAL:
                break
            before = now
        picture = cv2.cvtColor(now, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(parsed.picture), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f"{parsed.picture}: {parsed.picture.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
