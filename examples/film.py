"""Label a film, or a webcam by its number until Ctrl-C: ``python examples/film.py film.mp4``."""

import sys
import time
from contextlib import suppress

import cv2

import squeeze_segnet_ros as ssr

source = sys.argv[1]
film = cv2.VideoCapture(int(source) if source.isdigit() else source)
if not film.isOpened():
    sys.exit(f"{source} is neither a film nor the number of a camera")

net = ssr.load("enet")  # the fastest
frames, started = 0, time.perf_counter()
with suppress(KeyboardInterrupt):
    while (read := film.read())[0]:
        labels = net(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))  # uint8 (H, W)
        frames += 1
print(f"{frames} frames, {frames / (time.perf_counter() - started):.1f} Hz")
