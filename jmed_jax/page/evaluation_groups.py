"""The parts of a task, one row a group: years, sections, subjects, tags; and what people made of an examination."""

from collections.abc import Mapping, Sequence
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
    """A model beside those who sat the examination.

    Attributes:
        accuracy: of the model, over all questions.
        human: of the examinees.
        kinki: contraindicated answers that the model chose, in so many questions that have some.
    """

    run: str
    task: str
    accuracy: str
    human: str
    kinki: str


def people(protocol: str, runs: Sequence[EvaluationRun]) -> list[People]:
    """A row for every run and task of which the metadata are known."""
    return [
        _people(run.name, task, entry)
        for run in runs
        for task, entry in run.tasks.items()
        if entry["protocol"] == protocol and (entry.get("human") or entry.get("kinki"))
    ]


def _people(run: str, task: str, entry: Entry) -> People:
    human, kinki = entry.get("human") or {}, entry.get("kinki") or {}
    metrics = entry["metrics"]
    share = metrics.get("accuracy", metrics.get("gestalt_accuracy"))
    return People(
        run=run,
        task=label(task),
        accuracy=_per_cent(share),
        human=_per_cent(human.get("accuracy")),
        kinki=f"{kinki['chosen']:,} in {kinki['questions']:,}" if kinki else MISSING,
    )


def _per_cent(share: float | None) -> str:
    return MISSING if share is None else f"{100 * share:.1f}"
