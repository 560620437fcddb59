"""Labelled images: read, cropped, augmented, and written as bags."""

SPLITS = ("train", "val", "test")
"""The parts of CamVid."""
ENVIRONMENT = "CAMVID_ROOT"
"""Variable that names the data set where no ``--data`` does."""
