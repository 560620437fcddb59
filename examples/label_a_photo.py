"""Label a photo: ``python examples/label_a_photo.py photo.jpg labelled.png``."""

import sys

import cv2
import numpy as np

import squeeze_segnet_ros as ssr

photo, output = sys.argv[1:]
image = cv2.imread(photo)
if image is None:
    sys.exit(f"{photo} is not a picture")

net = ssr.load()
result = net.segment(np.ascontiguousarray(image[..., ::-1]), ssr.Request(overlay=True))  # RGB
cv2.imwrite(output, result.overlay[..., ::-1])
for label in net.classes:
    print(f"{label.name:<12} {np.mean(result.labels == label.id):6.1%}")
