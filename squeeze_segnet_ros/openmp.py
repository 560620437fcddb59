"""How the threads of PyTorch's operators wait for each other: settings of OpenMP's library, GNU's libgomp."""

from __future__ import annotations

import os

_SPINS = "1000"
"""Some ten microseconds: as long as most operators of a network are apart."""


def spin_briefly() -> None:
    """Let threads that wait spin for a moment and then sleep; to be called before PyTorch is imported.

    By default they spin for milliseconds, on cores that decode, encode or belong to other nodes: where those
    are busy, a pass takes twice as long. Where they sleep at once, waking them costs a third of a pass. What
    the environment says of it (``OMP_WAIT_POLICY``, ``GOMP_SPINCOUNT``) holds.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
