"""Measures networks and engines side by side."""
