"""What a reader should know before comparing the figures of some runs."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from jmed_jax.page.corpus_attention import Finding, listed
from jmed_jax.page.evaluation_runs import EvaluationRun
from jmed_jax.page.numbers import percent
from jmed_jax.page.score_columns import Entry
from jmed_jax.page.score_names import METRICS, label, show
from jmed_jax.page.score_table import ScoreTable

# More answers than this without a choice in them point to a prompt that the model does not understand.
MANY_UNPARSABLE = 0.05
# A score that falls by more than this on clean rows owes something to having seen the case reports.
LARGE_FALL = 0.05
# Of the questions of a benchmark.
MUCH_CONTAMINATION = 0.01
# With fewer, a 95 % interval of an accuracy is wider than ten points to each side.
FEW_QUESTIONS = 100


def findings(
    runs: Sequence[EvaluationRun], tables: Sequence[ScoreTable], contamination: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    """What stands out, the serious first."""
    found = [
        *_other_questions(runs),
        *_unanswered(runs),
        *_contamination(contamination),
        *_clean_rows(runs),
        *_unparsable(runs),
        *_ungraded(runs),
        *_rotations(runs),
        *_below_baselines(tables),
        *_few_questions(runs),
    ]
    return sorted(found, key=lambda finding: not finding.serious)


def _other_questions(runs: Sequence[EvaluationRun]) -> Iterator[Finding]:
    for first, second in combinations(runs, 2):
        shared = [
            (label(task), first.tasks[task], second.tasks[task])
            for task in first.tasks
            if task in second.tasks and first.tasks[task]["protocol"] == second.tasks[task]["protocol"]
        ]
        counts = [f"{name} ({a['n']:,} and {b['n']:,})" for name, a, b in shared if a["n"] != b["n"]]
        if counts:
            text = f"{first.name} and {second.name} were not asked the same questions of {listed(counts)}."
            yield Finding(f"{text} Do not compare these figures.", "asked", serious=True)
        prompts = [name for name, a, b in shared if a["n"] == b["n"] and a["prompt_sha256"] != b["prompt_sha256"]]
        if prompts:
            text = f"{first.name} and {second.name} were asked with different prompts in {listed(prompts)}."
            yield Finding(text, "asked")


def _unanswered(runs: Sequence[EvaluationRun]) -> Iterator[Finding]:
    texts = {
        "unanswered": "questions without an answer, which count as wrong",
        "truncated_prompts": "prompts longer than what the model reads or was trained on",
    }
    for run in runs:
        for key, text in texts.items():
            counts = {label(task): entry.get(key) for task, entry in run.tasks.items() if entry.get(key)}
            if counts:
                names = listed([f"{name} ({count:,})" for name, count in counts.items()])
                yield Finding(f"{run.name} has {text}: {names}.", "predictions", serious=True)


def _contamination(reports: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for report in reports:
        names = [
            f"{label(task)} ({percent(entry['overlapping'], entry['n'])})"
            for task, entry in report["tasks"].items()
            if entry["share"] > MUCH_CONTAMINATION
        ]
        if names:
            text = f"{report['source']} shares long spans with questions of {listed(names)}."
            yield Finding(text, "contamination", serious=True)


def _clean_rows(runs: Sequence[EvaluationRun]) -> Iterator[Finding]:
    for run in runs:
        fallen = {task: entry for task, entry in run.tasks.items() if _falls(entry)}
        if fallen:
            names = listed([_fall(task, entry) for task, entry in fallen.items()])
            text = f"{run.name} falls on rows whose document is not in training: {names}."
            yield Finding(text, next(iter(fallen.values()))["protocol"])


def _falls(entry: Entry) -> bool:
    clean: Mapping[str, Any] | None = entry.get("clean")
    if not clean:
        return False
    metric = entry["main_metric"]
    return bool(entry["metrics"][metric] - clean[metric] > LARGE_FALL)


def _fall(task: str, entry: Entry) -> str:
    clean, metric = entry["clean"], entry["main_metric"]
    figures = f"{show(entry['metrics'][metric])} to {show(clean[metric])}"
    return f"{label(task)} ({METRICS.get(metric, metric)} {figures}, {clean['n']} rows)"


def _unparsable(runs: Sequence[EvaluationRun]) -> Iterator[Finding]:
    for run in runs:
        names = [
            f"{label(task)} ({_share_unparsable(entry)})"
            for task, entry in run.tasks.items()
            if entry["unparsable"] > MANY_UNPARSABLE * entry["n"]
        ]
        if names:
            yield Finding(f"{run.name}: many answers could not be read in {listed(names)}.", "predictions")


def _ungraded(runs: Sequence[EvaluationRun]) -> Iterator[Finding]:
    for run in runs:
        for task, entry in run.tasks.items():
            if ungraded := entry["metrics"].get("ungraded"):
                share = percent(ungraded, entry["n"])
                text = (
                    f"{run.name}, {label(task)}: the judge gave {share} of the answers no readable grade; they count 0."
                )
                yield Finding(text, "predictions")


def _rotations(runs: Sequence[EvaluationRun]) -> Iterator[Finding]:
    for run in runs:
        turned = {task: entry["rotations"] for task, entry in run.tasks.items() if "rotations" in entry}
        if turned:
            names = [f"{label(task)} {percent(found['same_answer'], 1)}" for task, found in turned.items()]
            text = f"{run.name} answers so many questions alike wherever their choices stand: {listed(names)}."
            yield Finding(text, "predictions")


def _share_unparsable(entry: Entry) -> str:
    return percent(entry["unparsable"], entry["n"])


def _below_baselines(tables: Sequence[ScoreTable]) -> Iterator[Finding]:
    for table in tables:
        for run in table.runs:
            compared = [
                column.label
                for number, (column, cell) in enumerate(zip(table.columns, run.row.cells, strict=True))
                if cell.value is not None
                and not cell.ahead
                and any(row.cells[number].value is not None for row in table.baselines)
            ]
            if compared:
                text = f"{run.row.name} is not above every baseline on {listed(compared)} ({table.title})."
                yield Finding(text, table.protocol)


def _few_questions(runs: Sequence[EvaluationRun]) -> Iterator[Finding]:
    few = {label(task): entry["n"] for run in runs for task, entry in run.tasks.items() if entry["n"] < FEW_QUESTIONS}
    if few:
        names = listed([f"{name} ({count})" for name, count in few.items()])
        yield Finding(f"Fewer than {FEW_QUESTIONS} questions, and so wide intervals: {names}.", "asked")
