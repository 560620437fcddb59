"""A generator of street scenes with exact labels: what is where (numpy), how it looks (textures), the picture (Mitsuba 3).

``street`` and ``objects`` describe a scene in meters and need numpy and OpenCV only; ``renderer`` alone imports
Mitsuba, which the optional dependencies "scenes" bring. World axes: x forward, y left, z up (REP 103).
"""
