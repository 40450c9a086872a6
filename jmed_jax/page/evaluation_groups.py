"""The parts of a task, one row a group: years, sections, subjects, tags; what people made of an examination; and what
becomes of a score where the choices are turned."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jmed_jax.page.evaluation_runs import EvaluationRun
from jmed_jax.page.numbers import percent
from jmed_jax.page.score_columns import Entry
from jmed_jax.page.score_names import MISSING, figure, heading, label


@dataclass(frozen=True)
class GroupTable:
    """A task by its groups.

    Attributes:
        metric: what the figures are.
        runs: heads of the columns.
        rows: name of the group, its number of questions, a figure a run.
    """

    label: str
    metric: str
    runs: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[str]]]


def group_tables(protocol: str, runs: Sequence[EvaluationRun]) -> list[GroupTable]:
    """The tasks of a protocol that have groups."""
    tasks = dict.fromkeys(
        task for run in runs for task, entry in run.tasks.items() if entry["protocol"] == protocol and entry["groups"]
    )
    return [_group_table(task, [run for run in runs if _has(run, task, protocol)]) for task in tasks]


def _has(run: EvaluationRun, task: str, protocol: str) -> bool:
    return task in run.tasks and run.tasks[task]["protocol"] == protocol


def _group_table(task: str, runs: Sequence[EvaluationRun]) -> GroupTable:
    entries = [run.tasks[task] for run in runs]
    metric, protocol = entries[0]["main_metric"], entries[0]["protocol"]
    names = dict.fromkeys(name for entry in entries for name in entry["groups"])
    return GroupTable(
        label=label(task),
        metric="points, share of all" if metric == "points" else heading(metric, protocol),
        runs=[run.name for run in runs],
        rows=[(name, _counts(entries, name), [_group_figure(entry, name) for entry in entries]) for name in names],
    )


def _counts(entries: Sequence[Entry], name: str) -> str:
    counts = sorted({entry["groups"][name]["n"] for entry in entries if name in entry["groups"]})
    return "–".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))


def _group_figure(entry: Entry, name: str) -> str:
    group: Mapping[str, Any] = entry["groups"].get(name, {})
    metric = entry["main_metric"]
    if group.get(metric) is None:
        return MISSING
    if metric == "points":
        return percent(group["points"], group["total"])
    return figure(group[metric], metric, entry["protocol"])


@dataclass(frozen=True)
class People:
    """A model beside those who sat the examination, over all its years or in one.

    Attributes:
        year: "" for all.
        accuracy: of the model, over all questions.
        human: of the examinees.
        kinki: contraindicated answers that the model chose, and how often it was asked a question that has some.
    """

    run: str
    task: str
    year: str
    accuracy: str
    human: str
    kinki: str


def people(protocol: str, runs: Sequence[EvaluationRun]) -> list[People]:
    """A row for every run and task of which the metadata are known, and one for each of several years."""
    return [
        row
        for run in runs
        for task, entry in run.tasks.items()
        if entry["protocol"] == protocol
        for row in _rows_of_people(run.name, task, entry)
    ]


def _rows_of_people(run: str, task: str, entry: Entry) -> Iterator[People]:
    human, kinki = entry.get("human") or {}, entry.get("kinki") or {}
    if not (human or kinki):
        return
    yield _people(run, task, "", entry["metrics"], human, kinki)
    humans, kinkis = human.get("years") or {}, kinki.get("years") or {}
    years = sorted({*humans, *kinkis})
    if len(years) > 1:
        for year in years:
            own = entry["groups"].get(year, {})
            yield _people(run, task, year, own, humans.get(year, {}), kinkis.get(year, {}))


def _people(
    run: str, task: str, year: str, metrics: Mapping[str, Any], human: Mapping[str, Any], kinki: Mapping[str, Any]
) -> People:
    return People(
        run=run,
        task=label(task),
        year=year,
        accuracy=_per_cent(_accuracy(metrics)),
        human=_per_cent(human.get("accuracy")),
        kinki=f"{kinki['chosen']:,} in {kinki.get('asked', kinki['questions']):,}" if kinki else MISSING,
    )


@dataclass(frozen=True)
class Turned:
    """A model whose questions were asked with their choices turned.

    Attributes:
        questions: asked once for every place that their choices can be turned to.
        same_answer: share of them whose answer was the same text each time.
        accuracy: of those whose choices are turned by 0, 1, … places; "" where nothing is turned so far.
    """

    run: str
    task: str
    questions: str
    same_answer: str
    accuracy: Sequence[str]


def turned_choices(protocol: str, runs: Sequence[EvaluationRun]) -> list[Turned]:
    """A row for every run and task that was asked in rotations."""
    asked = [
        (run.name, task, entry["rotations"])
        for run in runs
        for task, entry in run.tasks.items()
        if entry["protocol"] == protocol and entry.get("rotations")
    ]
    places = max((len(found.get("places", ())) for _, _, found in asked), default=0)
    return [
        Turned(
            run=run,
            task=label(task),
            questions=f"{found['questions']:,}",
            same_answer=percent(found["same_answer"], 1),
            accuracy=[*figures, *[""] * (places - len(figures))],
        )
        for run, task, found in asked
        for figures in [[_per_cent(_accuracy(place)) for place in found.get("places", ())]]
    ]


def _accuracy(metrics: Mapping[str, Any]) -> float | None:
    return metrics.get("accuracy", metrics.get("gestalt_accuracy"))


def _per_cent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.1f}"
