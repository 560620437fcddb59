"""Encodings of images, as sensor_msgs names them, that are taken as they are."""

from __future__ import annotations

CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
"""Channels of each encoding, one byte a channel."""
