"""A generator of street scenes with exact labels.

A scene is described in meters and drawn with numpy and OpenCV alone. ``layout`` puts a street together,
from a ``plan``, its ``frontage``, its ``roadside`` and its ``traffic``; ``buildings``, ``furniture``,
``vehicles`` and ``people`` are its shapes, ``textures`` and ``markings`` its surfaces; ``drive`` knows the
camera's way. ``renderer`` turns it into light and labels with Mitsuba 3, which the optional dependencies
"scenes" bring, and ``film`` the light into a picture. World axes: x forward, y left, z up (REP 103).
"""
