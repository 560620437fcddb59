"""What C libraries print to stderr because they know no other way to tell."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

# The texts of libjpeg and libpng about damaged pictures. Anything else is not for us.
_LIBRARIES = re.compile(
    rb"libpng (?:error|warning)|Corrupt JPEG|Premature end of JPEG|Invalid SOS|Inconsistent progression"
    rb"|Unknown Adobe|Unsupported marker|Warning: unknown JFIF|JPEG parameter|Application transferred"
)
_STDERR = 2
_MOST_BYTES = 2**20
_lock = threading.Lock()


@contextmanager
def picture_libraries() -> Iterator[list[str]]:
    """Yield a list that holds, afterwards, what libjpeg and libpng printed meanwhile, instead of stderr.

    A camera with a loose cable would fill the log with it. What other threads print meanwhile comes a moment
    later; the stream is the process's own, so only one at a time can listen in.
    """
    heard: list[str] = []
    with _lock, ExitStack() as stack:
        try:
            stderr = os.dup(_STDERR)
        except OSError:  # it is closed: nothing is printed
            yield heard
            return
        stack.callback(os.close, stderr)
        kept = os.memfd_create("overheard")
        stack.callback(os.close, kept)
        os.dup2(kept, _STDERR)
        try:
            yield heard
        finally:
            os.dup2(stderr, _STDERR)
            for line in os.pread(kept, _MOST_BYTES, 0).splitlines(keepends=True):
                if _LIBRARIES.match(line):
                    heard.append(line.decode(errors="replace").strip())
                else:
                    with suppress(OSError):  # no room left on the disk that it goes to
                        os.write(_STDERR, line)
