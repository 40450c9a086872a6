"""Scores as rows of text to print: this run, its baselines and the paper's rows, one table a protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jmed_jax.evaluate.published import PublishedScore, published_scores

Entry = Mapping[str, Any]

# As the paper's table heads them.
LABELS = {
    "jmed_llm.jmmlu_med": "JMMLU-Med",
    "jmed_llm.crade": "CRADE",
    "jmed_llm.rrtnm": "RRTNM",
    "jmed_llm.smdis": "SMDIS",
    "jmed_llm.jcsts": "JCSTS",
    "jmed_llm.mrner_disease": "MRNER-disease",
    "jmed_llm.mrner_medicine": "MRNER-medicine",
    "jmed_llm.nrner": "NRNER",
    "igakuqa": "IgakuQA",
}

_PROTOCOLS = {"jmed_llm": "JMED-LLM", "igakuqa_points": "IgakuQA"}
_SECOND = {"kappa": "accuracy", "partial_f1": "exact_f1", "points": "total"}
_METRICS = {"kappa": "kappa", "partial_f1": "partial F1", "exact_f1": "exact F1"}

# The paper's own model, the strongest system beside it and two that its readers would otherwise use.
_IN_SIGHT = (
    "NCVC-slm-1-instruct (50B tokens)",
    "NCVC-slm-1-instruct (20B tokens)",
    "gpt-4o-2024-08-06",
    "Qwen2-7B-Instruct",
    "Llama-3-Swallow-8B-Instruct-v0.1",
)

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """One task: what heads its column."""

    label: str
    main: str
    second: str
    n: int


@dataclass(frozen=True)
class Cell:
    """One figure with smaller ones beneath.

    Attributes:
        second: the task's second metric.
        rows: over how many rows, where that differs from the rest of the column.
        ahead: better than every baseline of the task.
        mark: refers to a footnote, or "".
    """

    main: str
    second: str = ""
    rows: int | None = None
    ahead: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Row:
    name: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Footnote:
    mark: str
    text: str


@dataclass(frozen=True)
class ScoreTable:
    """All that is known of the tasks of one protocol; figures of different protocols never stand in one table.

    Attributes:
        asides: what qualifies `this_run`: its score on clean rows, its unreadable answers.
        in_sight: the published rows to show at once; `published` has all of them.
    """

    title: str
    columns: Sequence[Column]
    this_run: Row
    asides: Sequence[Row]
    baselines: Sequence[Row]
    in_sight: Sequence[Row]
    published: Sequence[Row]
    source: str
    footnotes: Sequence[Footnote]

    @property
    def ahead(self) -> int:
        """On how many tasks this run is better than its baselines."""
        return sum(cell.ahead for cell in self.this_run.cells)

    @property
    def fewest_rows(self) -> int:
        return min(column.n for column in self.columns)

    @property
    def rows_a_task(self) -> str:
        """`60`, or `24–60` where the tasks differ."""
        counts = sorted({column.n for column in self.columns})
        return str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"

    @property
    def uncertainty(self) -> str:
        """Half the 95 % interval of a share of one half, on the task with the fewest rows."""
        return f"{1.96 * (0.25 / self.fewest_rows) ** 0.5:.2f}"


def score_tables(scores: Mapping[str, Entry]) -> list[ScoreTable]:
    """The tables of "tasks" in scores.json."""
    protocols = dict.fromkeys(entry["protocol"] for entry in scores.values())
    return [
        _table(protocol, {task: entry for task, entry in scores.items() if entry["protocol"] == protocol})
        for protocol in protocols
    ]


def _table(protocol: str, scores: Mapping[str, Entry]) -> ScoreTable:
    printed = [score for score in published_scores() if score.task in scores and score.group is None]
    # Lettered in the order in which a reader meets them.
    noted = sorted((score for score in printed if score.footnote), key=lambda score: score.model not in _IN_SIGHT)
    published = _published_rows(printed, noted, scores)
    by_name = {row.name: row for row in published}
    return ScoreTable(
        title=_PROTOCOLS.get(protocol, protocol),
        columns=[_column(task, entry) for task, entry in scores.items()],
        this_run=Row("This run", [_own_cell(entry) for entry in scores.values()]),
        asides=_asides(scores),
        baselines=_baseline_rows(scores),
        in_sight=[by_name[name] for name in _IN_SIGHT if name in by_name],
        published=published,
        source=printed[0].source if printed else "",
        footnotes=[_footnote(score, noted) for score in noted],
    )


def _column(task: str, entry: Entry) -> Column:
    main: str = entry["main_metric"]
    second = _SECOND.get(main, "")
    return Column(LABELS.get(task, task), _METRICS.get(main, main), _METRICS.get(second, second), entry["n"])


def _own_cell(entry: Entry) -> Cell:
    main = entry["main_metric"]
    baselines = entry.get("baselines", {}).values()
    ahead = bool(baselines) and all(entry["metrics"][main] > baseline[main] for baseline in baselines)
    return _cell(entry["metrics"], main, ahead=ahead)


def _cell(metrics: Mapping[str, Any] | None, main: str, *, ahead: bool = False, mark: str = "") -> Cell:
    if metrics is None:
        return Cell(MISSING)
    second = _SECOND.get(main, "")
    return Cell(show(metrics.get(main)), show(metrics[second]) if second in metrics else "", ahead=ahead, mark=mark)


def _asides(scores: Mapping[str, Entry]) -> list[Row]:
    asides = []
    if any("clean" in entry for entry in scores.values()):
        asides.append(Row("on clean rows only", [_clean_cell(entry) for entry in scores.values()]))
    if any("unparsable" in entry for entry in scores.values()):
        asides.append(Row("unreadable answers", [_unparsable_cell(entry) for entry in scores.values()]))
    return asides


def _clean_cell(entry: Entry) -> Cell:
    clean = entry.get("clean")
    if clean is None:
        return Cell(MISSING)
    return replace(_cell(clean, entry["main_metric"]), rows=clean["n"])


def _unparsable_cell(entry: Entry) -> Cell:
    return Cell(f"{entry['unparsable']} of {entry['n']}") if "unparsable" in entry else Cell(MISSING)


def _baseline_rows(scores: Mapping[str, Entry]) -> list[Row]:
    names = dict.fromkeys(name for entry in scores.values() for name in entry.get("baselines", {}))
    return [
        Row(
            f"{name.capitalize()} baseline",
            [_cell(entry.get("baselines", {}).get(name), entry["main_metric"]) for entry in scores.values()],
        )
        for name in names
    ]


def _published_rows(
    printed: Sequence[PublishedScore], noted: Sequence[PublishedScore], scores: Mapping[str, Entry]
) -> list[Row]:
    cells = {(score.model, score.task): _published_cell(score, noted, scores) for score in printed}
    models = dict.fromkeys(score.model for score in printed)
    return [Row(model, [cells.get((model, task), Cell(MISSING)) for task in scores]) for model in models]


def _published_cell(score: PublishedScore, noted: Sequence[PublishedScore], scores: Mapping[str, Entry]) -> Cell:
    return _cell(score.metrics, scores[score.task]["main_metric"], mark=_mark(score, noted))


def _mark(score: PublishedScore, noted: Sequence[PublishedScore]) -> str:
    return chr(ord("a") + noted.index(score)) if score in noted else ""


def _footnote(score: PublishedScore, noted: Sequence[PublishedScore]) -> Footnote:
    return Footnote(_mark(score, noted), f"{score.model}, {LABELS[score.task]}: {score.footnote}")


def show(value: float | None) -> str:
    """A share with two digits and a true minus; a count as it is."""
    if value is None:
        return MISSING
    if isinstance(value, int):
        return f"{value:,}"
    rounded = round(value, 2)
    return f"−{-rounded:.2f}" if rounded < 0 else f"{abs(rounded):.2f}"
