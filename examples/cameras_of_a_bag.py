"""Label one frame of each camera of a bag as one batch: ``python examples/cameras_of_a_bag.py BAG``."""

import sys

import numpy as np

import squeeze_segnet_ros as ssr
from squeeze_segnet_ros.bags import messages, open_bag

frames = {}
with open_bag(sys.argv[1]) as bag:
    cameras = [topic for topic in bag.images if "truth" not in topic]
    for message in bag.messages(cameras):
        frames.setdefault(message.topic, messages.decode_image(message.data, message.type))
        if len(frames) == len(cameras):
            break

net = ssr.load()
road = next(label.id for label in net.classes if label.name == "road")
for topic, labels in zip(frames, net(list(frames.values())), strict=True):
    print(f"{topic}: {labels.shape[1]}x{labels.shape[0]}, {np.mean(labels == road):.0%} road")
