"""Reading in a thread of its own, so that it never delays what is done with what was read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

BYTES = 64 * 2**20
"""That may be read ahead."""
_POLL_S = 0.005


class Item(Protocol):
    """What is read; ``cost`` is how many bytes it takes while it waits."""

    @property
    def cost(self) -> int: ...


ItemT = TypeVar("ItemT", bound=Item)


class ReadAhead(Generic[ItemT]):
    """Runs an iterator in a thread, up to a number of bytes ahead, so that reading never delays playing."""

    def __init__(self, items: Iterator[ItemT], limit: int = BYTES) -> None:
        self._items, self._limit = items, limit
        self._queue: deque[ItemT] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._bytes < self._limit)
                    if self._closed:
                        return
                    self._queue.append(item)
                    self._bytes += item.cost
                    self._changed.notify_all()
        except Exception as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def next(self, wait: Callable[[], bool]) -> ItemT | None:
        """Return the next item, None at the end; ``wait`` is called while there is none, False gives up."""
        while True:
            with self._changed:
                if self._queue:
                    item = self._queue.popleft()
                    self._bytes -= item.cost
                    self._changed.notify_all()
                    return item
                if self._ended:
                    if self._error:
                        raise self._error
                    return None
                self._changed.wait(_POLL_S)
            if not wait():
                return None

    def fill(self, seconds: float) -> None:
        """Wait until as much as allowed has been read, or all, or for ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._bytes >= self._limit, seconds)

    def close(self) -> None:
        """Stop reading and wait for the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
