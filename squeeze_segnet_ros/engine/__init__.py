"""Runs a network on images: arrays in, a dataclass out."""

from squeeze_segnet_ros.engine.request import Request, Segmentation
from squeeze_segnet_ros.engine.segmenter import ENCODINGS, Segmenter, load

__all__ = ["ENCODINGS", "Request", "Segmentation", "Segmenter", "load"]
