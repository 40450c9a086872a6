"""The columns of a table of scores: which figure of a run and of a paper stands in each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jmed_jax.evaluate.published import PublishedScore, published_scores
from jmed_jax.page.score_names import METRICS, MISSING, benchmark, heading, label, place, second_metric

Entry = Mapping[str, Any]
"""One task in "tasks" of scores.json."""

Runs = Mapping[str, Mapping[str, Entry]]
"""The entries of several runs, by the name of the run and the task."""


@dataclass(frozen=True)
class Place:
    """Which figure stands in a column: of a benchmark in a language, as a whole or of one year of an examination."""

    benchmark: str
    language: str
    year: str | None = None

    def entry(self, scores: Mapping[str, Entry]) -> Entry | None:
        """The entry of a run's protocol that this is a part of."""
        return next((entry for task, entry in scores.items() if self._of(task, entry["language"])), None)

    def fits(self, score: PublishedScore) -> bool:
        return self._of(score.task, score.language) and score.group == self.year

    def _of(self, task: str, language: str) -> bool:
        return (benchmark(task), language) == (self.benchmark, self.language)


@dataclass(frozen=True)
class Column:
    """What heads a column.

    Attributes:
        place: what stands in it.
        metric: the main one, by the scorer's name.
        rows: how many rows runs were scored on; several numbers where they differ.
    """

    place: Place
    label: str
    metric: str
    main: str
    second: str
    rows: Sequence[int]

    @property
    def n(self) -> str:
        """`60`, or `24–60` where runs differ."""
        return from_to(self.rows)


def columns_of(protocol: str, runs: Runs) -> list[Column]:
    """A column a task; an examination by points has one a year as well, also for years that only the paper has."""
    tasks = {task: entry for scores in runs.values() for task, entry in scores.items()}
    languages = {entry["language"] for entry in tasks.values()}
    found: dict[Place, Column] = {}
    for task, entry in sorted(tasks.items(), key=lambda item: place(item[0])):
        whole = Place(benchmark(task), entry["language"])
        name = f"{label(benchmark(task))} ({entry['language']})" if len(languages) > 1 else label(task)
        years = _years(task, runs) if entry["main_metric"] == "points" else []
        for year in years:
            found[replace(whole, year=year)] = _column(protocol, replace(whole, year=year), year, entry, runs)
        found[whole] = _column(protocol, whole, "All" if years else name, entry, runs)
    return list(found.values())


def _years(task: str, runs: Runs) -> list[str]:
    own = {group for scores in runs.values() if task in scores for group in scores[task].get("groups", {})}
    own = {group for group in own if group.isdecimal() and len(group) == 4}
    return sorted(own | {s.group for s in published_scores() if s.task == task and s.group}) if own else []


def _column(protocol: str, at: Place, name: str, entry: Entry, runs: Runs) -> Column:
    main: str = entry["main_metric"]
    second = second_metric(main)
    entries = [found for scores in runs.values() if (found := at.entry(scores)) and has_part(found, at)]
    return Column(
        place=at,
        label=name,
        metric=main,
        main=heading(main, protocol),
        second="share" if main == "points" else METRICS[second] if second in entry["metrics"] else "",
        rows=sorted({part_of(found, at.year)["n"] for found in entries}),
    )


def has_part(entry: Entry, at: Place) -> bool:
    """Whether a run has a figure there."""
    return at.year is None or at.year in entry.get("groups", {})


def part_of(entry: Entry, year: str | None) -> Mapping[str, Any]:
    """The metrics of a whole entry or of one of its groups, with "n" and "unparsable"."""
    if year is None:
        return {**entry["metrics"], "n": entry["n"], "unparsable": entry.get("unparsable")}
    return entry["groups"].get(year, {})


def from_to(counts: Iterable[int]) -> str:
    """`60`, `24–60`, or a dash of nothing."""
    ordered = sorted(counts)
    if not ordered:
        return MISSING
    return f"{ordered[0]:,}" if ordered[0] == ordered[-1] else f"{ordered[0]:,}–{ordered[-1]:,}"
