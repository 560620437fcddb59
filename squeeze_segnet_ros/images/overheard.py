"""What C libraries print to stderr because they know no other way to tell."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# The texts of libjpeg and libpng about damaged pictures. Anything else is not for us.
_LIBRARIES = re.compile(
    rb"libpng (?:error|warning)|Corrupt JPEG|Premature end of JPEG|Invalid SOS|Inconsistent progression"
    rb"|Unknown Adobe|Unsupported marker|Warning: unknown JFIF|JPEG parameter|Application transferred"
)
_STDERR = 2
_MOST_BYTES = 2**20


class Heard(list[str]):
    """What was printed meanwhile; ``ambiguous`` where it may be about the picture of another thread."""

    ambiguous = False


class _Ear:
    """Stands in for stderr while somebody listens, and hands on what is for nobody here."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._listeners: list[Heard] = []
        self._alone = False
        self._stderr = self._kept = -1
        self._read = 0

    def enter(self, alone: bool) -> Heard:
        heard = Heard()
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not (alone and self._listeners))
            self._alone = alone
            if not self._listeners:
                self._begin()
            self._listeners.append(heard)
        return heard

    def leave(self, heard: Heard) -> None:
        with self._changed:
            last = len(self._listeners) == 1
            self._hand_on(last)
            # By identity: two that heard nothing are equal.
            self._listeners = [each for each in self._listeners if each is not heard]
            if last:
                self._end()
            self._alone = False
            self._changed.notify_all()

    def _begin(self) -> None:
        self._read = 0
        try:
            self._stderr = os.dup(_STDERR)
        except OSError:  # it is closed: nothing is printed
            return
        self._kept = os.memfd_create("overheard")
        os.dup2(self._kept, _STDERR)

    def _end(self) -> None:
        if self._kept < 0:
            return
        os.dup2(self._stderr, _STDERR)
        # What came between the last look and now.
        self._hand_on(True)
        os.close(self._stderr)
        os.close(self._kept)
        self._stderr = self._kept = -1

    def _hand_on(self, all_of_it: bool) -> None:
        """Look at what is new: whole lines, unless nobody is left to finish one."""
        if self._kept < 0:
            return
        new = os.pread(self._kept, _MOST_BYTES, self._read)
        if not all_of_it:
            new = new[: new.rfind(b"\n") + 1]
        self._read += len(new)
        for line in new.splitlines(keepends=True):
            if not _LIBRARIES.match(line):
                with suppress(OSError):  # no room left on the disk that it goes to
                    os.write(self._stderr, line)
                continue
            for heard in self._listeners:
                heard.append(line.decode(errors="replace").strip())
                heard.ambiguous = heard.ambiguous or len(self._listeners) > 1


_ear = _Ear()


@contextmanager
def picture_libraries(alone: bool = False) -> Iterator[Heard]:
    """Give a list that holds, afterwards, what libjpeg and libpng printed meanwhile, instead of stderr.

    A camera with a loose cable would fill the log with it. What other threads print meanwhile comes a moment
    later. The stream is the process's own: several threads may listen at a time, and then do not know whose
    picture is meant, unless one listens ``alone``, for which it waits.
    """
    heard = _ear.enter(alone)
    try:
        yield heard
    finally:
        _ear.leave(heard)
