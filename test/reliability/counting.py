"""Whether what the node says of its frames adds up to what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reliability.graph import Graph


def settled(graph: Graph, topic: str) -> dict[str, int]:
    """Return what became of the frames of a topic, by the node's diagnostics, once none waits."""

    def counts() -> dict[str, int] | None:
        found = graph.counts(topic)
        return None if found["waiting"] else found

    found: dict[str, int] = graph.wait_for(counts, f"the end of the frames of {topic}")
    return found


def decided(counts: Mapping[str, int]) -> int:
    """Return how many frames the counts know the fate of, those that never arrived among them."""
    return sum(count for fate, count in counts.items() if fate not in ("received", "waiting"))


def sum_of(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Return the counts of several cameras together."""
    return {fate: sum(each[fate] for each in counts) for fate in counts[0]}


def in_words(counts: Mapping[str, int]) -> str:
    """Return words such as "56 labelled, 544 replaced"."""
    return ", ".join(
        f"{count} {fate.replace('_', ' ')}"
        for fate, count in counts.items()
        if count and fate not in ("received", "waiting")
    )
