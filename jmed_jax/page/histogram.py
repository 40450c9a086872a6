"""Histograms made of boxes that the style sheet draws: a few kilobytes each, with the numbers on the pointer."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

# More labels than this would run into each other on a telephone.
_TICKS = 5


@dataclass(frozen=True)
class Bar:
    """Height in per cent of the tallest; what the pointer shows."""

    height: float
    label: str


@dataclass(frozen=True)
class Tick:
    """A label under the axis, in per cent of its width from the left; of an edge or of the threshold."""

    position: float
    label: str
    limit: bool = False


@dataclass(frozen=True)
class Dropped:
    """The side of the threshold where documents are dropped, from one place to another in per cent of the width."""

    start: float
    end: float

    @property
    def width(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Histogram:
    """Bars of equal width, though their bins may not be."""

    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    documents: int
    dropped: Dropped | None = None


def measure_histogram(counts: Mapping[int, int], edges: Sequence[float], threshold: float, keeps: str) -> Histogram:
    """Documents by a filter's measure.

    Args:
        counts: bin → documents; bin i is from edge i-1 to below edge i, the first and the last are open.
        edges: rising.
        keeps: "at least" or "at most".
    """
    assert keeps in ("at least", "at most"), keeps
    width = 100 / (len(edges) + 1)
    names = _names(edges)
    limit = width * _limit(threshold, edges, keeps)
    return Histogram(
        bars=_bars([counts.get(place, 0) for place in range(len(names))], names),
        ticks=_whole_number_ticks(edges, threshold) if _whole_numbers(edges) else _edge_ticks(edges, threshold, limit),
        documents=sum(counts.values()),
        dropped=Dropped(0, limit) if keeps == "at least" else Dropped(limit, 100),
    )


def _whole_numbers(edges: Sequence[float]) -> bool:
    """Whether the measure counts something: then every bin but the first and the last holds a single value."""
    return len(edges) > 1 and all(high - low == 1 for low, high in pairwise(edges))


def _names(edges: Sequence[float]) -> list[str]:
    if _whole_numbers(edges):
        inner = [number(edge) for edge in edges[:-1]]
    else:
        inner = [f"{number(low)} to {number(high)}" for low, high in pairwise(edges)]
    return [f"below {number(edges[0])}", *inner, f"{number(edges[-1])} and more"]


def _limit(threshold: float, edges: Sequence[float], keeps: str) -> float:
    """Where dropping begins or ends, in bins from the left; in a bin that is open, its middle."""
    right = bisect_right(edges, threshold)
    kept_alone = _whole_numbers(edges) and keeps == "at most"
    if kept_alone and right < len(edges):
        return right + 1
    if right and edges[right - 1] == threshold and not kept_alone:
        return right
    if right in (0, len(edges)):
        return right + 0.5
    return right + (threshold - edges[right - 1]) / (edges[right] - edges[right - 1])


def _whole_number_ticks(edges: Sequence[float], threshold: float) -> list[Tick]:
    """One in the middle of every bin."""
    width = 100 / (len(edges) + 1)
    names = [f"< {number(edges[0])}", *map(number, edges[:-1]), f"≥ {number(edges[-1])}"]
    at = bisect_right(edges, threshold)
    return [Tick(width * (place + 0.5), name, limit=place == at) for place, name in enumerate(names)]


def _edge_ticks(edges: Sequence[float], threshold: float, limit: float) -> list[Tick]:
    """The threshold, and some of the edges that are not too near to it."""
    width = 100 / (len(edges) + 1)
    others = _some([Tick(width * place, number(edge)) for place, edge in enumerate(edges, start=1)])
    room = 100 / (2 * _TICKS)
    return [Tick(limit, number(threshold), limit=True), *(t for t in others if abs(t.position - limit) > room)]


def _some(ticks: Sequence[Tick]) -> list[Tick]:
    step = -(-len(ticks) // _TICKS)
    return list(ticks[step // 2 :: step])


def length_histogram(lengths: Mapping[int, int], smallest: int, largest: int) -> Histogram:
    """Documents by characters, a bar for every power of two from `smallest` to `largest`."""
    powers = [1 << bit for bit in range(smallest.bit_length() - 1, largest.bit_length())]
    width = 100 / len(powers)
    return Histogram(
        bars=_bars(
            [lengths.get(power, 0) for power in powers], [f"{power:,} to {2 * power - 1:,}" for power in powers]
        ),
        ticks=_some([Tick(width * place, number(power)) for place, power in enumerate(powers)]),
        documents=sum(lengths.values()),
    )


def _bars(counts: Sequence[int], names: Sequence[str]) -> list[Bar]:
    tallest = max(*counts, 1)
    return [
        Bar(100 * count / tallest, f"{name}: {count:,} documents") for count, name in zip(counts, names, strict=True)
    ]


def number(value: float) -> str:
    """`0.25`, `16,384`: a threshold or an edge, exactly as a person would write it."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"
