"""Labelled images: read, cropped, augmented, and written as bags."""
