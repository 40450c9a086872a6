"""Scores as rows of text to print: runs, baselines and the papers' rows, one table a protocol."""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from jmed_jax.evaluate.published import PublishedScore, protocol_note, published_scores
from jmed_jax.page.score_cells import (
    Cell,
    clean_cell,
    corrected_cell,
    count_cell,
    own_cell,
    score_cell,
    unparsable_cell,
)
from jmed_jax.page.score_columns import Column, Entry, Runs, columns_of, from_to
from jmed_jax.page.score_names import (
    MISSING,
    PROTOCOLS,
    benchmark,
    label,
    place,
)

# The paper's own model, the strongest system beside it and two that its readers would otherwise use.
_IN_SIGHT = (
    "NCVC-slm-1-instruct (50B tokens)",
    "NCVC-slm-1-instruct (20B tokens)",
    "gpt-4o-2024-08-06",
    "Qwen2-7B-Instruct",
    "Llama-3-Swallow-8B-Instruct-v0.1",
)

# Beside the benchmarks' own counting, quirks and all, the reading that one would expect.
_CORRECTED = {"overlap_f1": "overlap F1, at most 1", "relaxed_points": "points, relaxed"}


@dataclass(frozen=True)
class Row:
    name: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class RunRows:
    """A run in a table.

    Attributes:
        asides: what qualifies the row: its score on clean rows, its unreadable answers.
    """

    row: Row
    asides: Sequence[Row]

    @property
    def ahead(self) -> int:
        """On how many tasks the run is better than its baselines."""
        return sum(cell.ahead for cell in self.row.cells)


@dataclass(frozen=True)
class Footnote:
    mark: str
    text: str


@dataclass(frozen=True)
class ScoreTable:
    """All that is known of the tasks of one protocol; figures of different protocols never stand in one table.

    Attributes:
        in_sight: the published rows to show at once where there is little room; `published` has all of them.
        note: what holds for all published rows, or "".
    """

    protocol: str
    title: str
    columns: Sequence[Column]
    runs: Sequence[RunRows]
    baselines: Sequence[Row]
    in_sight: Sequence[Row]
    published: Sequence[Row]
    source: str
    note: str
    footnotes: Sequence[Footnote]

    @property
    def this_run(self) -> Row:
        """The row of the first run; for a page of a single run."""
        return self.runs[0].row

    @property
    def asides(self) -> Sequence[Row]:
        """What qualifies `this_run`."""
        return self.runs[0].asides

    @property
    def ahead(self) -> int:
        """On how many tasks `this_run` is better than its baselines."""
        return self.runs[0].ahead

    @property
    def fewest_rows(self) -> int:
        return min(rows for column in self.columns for rows in column.rows)

    @property
    def rows_a_task(self) -> str:
        """`60`, or `24–60` where the tasks differ."""
        return from_to({rows for column in self.columns for rows in column.rows})

    @property
    def uncertainty(self) -> str:
        """Half the 95 % interval of a share of one half, on the task with the fewest rows."""
        return f"{1.96 * (0.25 / self.fewest_rows) ** 0.5:.2f}"


def score_tables(scores: Mapping[str, Entry]) -> list[ScoreTable]:
    """The tables of "tasks" in scores.json."""
    return run_tables({"This run": scores})


def run_tables(runs: Runs) -> list[ScoreTable]:
    """The tables of several runs, which need not have the same tasks."""
    protocols = dict.fromkeys(entry["protocol"] for scores in runs.values() for entry in scores.values())
    known = [*(protocol for protocol in PROTOCOLS if protocol in protocols)]
    return [_table(protocol, _of_protocol(runs, protocol)) for protocol in dict.fromkeys([*known, *protocols])]


def _of_protocol(runs: Runs, protocol: str) -> dict[str, dict[str, Entry]]:
    chosen: dict[str, dict[str, Entry]] = {
        name: {
            task: {"language": "ja", **entry}
            for task, entry in sorted(scores.items(), key=lambda item: place(item[0]))
            if entry["protocol"] == protocol
        }
        for name, scores in runs.items()
    }
    return {name: scores for name, scores in chosen.items() if scores}


def _table(protocol: str, runs: Runs) -> ScoreTable:
    columns = columns_of(protocol, runs)
    printed = [
        score
        for score in published_scores()
        if score.protocol == protocol and any(column.place.fits(score) for column in columns)
    ]
    footnotes = _footnotes(printed)
    published = _published_rows(protocol, printed, columns, footnotes)
    by_name = {row.name: row for row in published}
    return ScoreTable(
        protocol=protocol,
        title=PROTOCOLS.get(protocol, protocol),
        columns=columns,
        runs=[_run_rows(protocol, name, scores, columns) for name, scores in runs.items()],
        baselines=_baseline_rows(protocol, runs, columns),
        in_sight=[by_name[name] for name in _IN_SIGHT if name in by_name],
        published=published,
        source=printed[0].source if printed else "",
        note=protocol_note(protocol) if printed else "",
        footnotes=list(footnotes.values()),
    )


# --- rows -------------------------------------------------------------------------------------------------------------


def _run_rows(protocol: str, name: str, scores: Mapping[str, Entry], columns: Sequence[Column]) -> RunRows:
    entries = [column.place.entry(scores) for column in columns]

    def aside(name: str, cell: Callable[[Entry, Column], Cell]) -> Row:
        pairs = zip(entries, columns, strict=True)
        return Row(name, [cell(entry, column) if entry else Cell(MISSING) for entry, column in pairs])

    asides = []
    if any("clean" in entry for entry in scores.values()):
        asides.append(aside("on clean rows only", partial(clean_cell, protocol)))
    for metric, text in _CORRECTED.items():
        if any(metric in entry["metrics"] for entry in scores.values()):
            asides.append(aside(text, partial(corrected_cell, protocol, metric)))
    if any("unparsable" in entry for entry in scores.values()):
        asides.append(aside("unreadable answers", unparsable_cell))
    for key, text in (("unanswered", "no answer"), ("truncated_prompts", "prompts too long")):
        if any(entry.get(key) for entry in scores.values()):
            asides.append(aside(text, partial(count_cell, key)))
    return RunRows(aside(name, partial(own_cell, protocol)), asides)


def _baseline_rows(protocol: str, runs: Runs, columns: Sequence[Column]) -> list[Row]:
    """One row a baseline; several where runs were not asked the same rows, each with the names of its runs."""
    names = dict.fromkeys(
        name for scores in runs.values() for entry in scores.values() for name in entry.get("baselines", {})
    )
    return [
        row
        for name in names
        for row in _merged(f"{name.capitalize()} baseline", _of_runs(protocol, name, runs, columns))
    ]


def _of_runs(protocol: str, name: str, runs: Runs, columns: Sequence[Column]) -> dict[str, list[Cell]]:
    return {
        run: [
            score_cell(protocol, entry.get("baselines", {}).get(name), column.metric)
            if (entry := column.place.entry(scores)) and column.place.year is None
            else Cell(MISSING)
            for column in columns
        ]
        for run, scores in runs.items()
    }


def _merged(name: str, cells: Mapping[str, Sequence[Cell]]) -> list[Row]:
    merged: list[tuple[list[str], list[Cell]]] = []
    for run, own in cells.items():
        for runs, row in merged:
            if all(a == b or MISSING in (a.main, b.main) for a, b in zip(row, own, strict=True)):
                runs.append(run)
                row[:] = [b if a.main == MISSING else a for a, b in zip(row, own, strict=True)]
                break
        else:
            merged.append(([run], list(own)))
    if len(merged) == 1:
        return [Row(name, merged[0][1])]
    return [Row(f"{name}, rows of {', '.join(runs)}", row) for runs, row in merged]


# --- published --------------------------------------------------------------------------------------------------------


def _published_rows(
    protocol: str, printed: Sequence[PublishedScore], columns: Sequence[Column], footnotes: Mapping[str, Footnote]
) -> list[Row]:
    def cell(model: str, column: Column) -> Cell:
        score = next((score for score in printed if score.model == model and column.place.fits(score)), None)
        if score is None:
            return Cell(MISSING)
        mark = footnotes[_note(score)].mark if score.footnote else ""
        return score_cell(protocol, score.metrics, column.metric, mark=mark)

    models = dict.fromkeys(score.model for score in printed)
    return [Row(model, [cell(model, column) for column in columns]) for model in models]


def _footnotes(printed: Sequence[PublishedScore]) -> dict[str, Footnote]:
    """By their text, lettered in the order in which a reader meets them: rows in sight come first."""
    noted = sorted((score for score in printed if score.footnote), key=lambda score: score.model not in _IN_SIGHT)
    texts = dict.fromkeys(map(_note, noted))
    return {text: Footnote(mark, text) for text, mark in zip(texts, string.ascii_lowercase, strict=False)}


def _note(score: PublishedScore) -> str:
    return f"{score.model}, {label(benchmark(score.task))}: {score.footnote}"
