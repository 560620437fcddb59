"""Labelled images: read, cropped, augmented, and written as bags."""

SPLITS = ("train", "val", "test")
"""The parts of CamVid."""
