"""Runs a network on images: arrays in, a dataclass out."""

from squeeze_segnet_ros.engine.segmenter import ENCODINGS, Segmentation, Segmenter, load

__all__ = ["ENCODINGS", "Segmentation", "Segmenter", "load"]
