"""The page of one or several evaluations: scores beside published ones, and every question with its answers."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax.page.evaluation_charts import Chart, curve_charts, score_chart, series_colour
from jmed_jax.page.evaluation_differences import Differences
from jmed_jax.page.evaluation_findings import findings
from jmed_jax.page.evaluation_groups import GroupTable, People, Turned, group_tables, people, turned_choices
from jmed_jax.page.evaluation_languages import Languages
from jmed_jax.page.evaluation_predictions import prediction_data
from jmed_jax.page.evaluation_runs import EvaluationRun, Inputs
from jmed_jax.page.evaluation_speed import hardware, parameters, speeds
from jmed_jax.page.numbers import percent, short_count
from jmed_jax.page.render import write_html
from jmed_jax.page.score_names import METRICS, MISSING, PROTOCOLS, figure, label, place
from jmed_jax.page.score_table import ScoreTable
from jmed_jax.page.script import embed_json, policy, script

TEMPLATE = "evaluation.html.j2"
SCRIPT = "evaluation.js.j2"


@dataclass(frozen=True)
class Report:
    """All that is on the page.

    Attributes:
        tables: see `score_table.run_tables`.
        differences: paired tests between the runs.
        languages: each run in Japanese and in English.
        contamination: files of `jmed evaluate contamination`.
    """

    inputs: Inputs
    tables: Sequence[ScoreTable]
    differences: Differences
    languages: Sequence[Languages]
    contamination: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Part:
    """One protocol: its table, and what is folded beneath."""

    table: ScoreTable
    chart: Chart | None
    groups: Sequence[GroupTable]
    people: Sequence[People]
    turned: Sequence[Turned]


def write_evaluation_page(path: Path, report: Report) -> None:
    """Write the page as one HTML file, with a script of its own and none but that.

    Raises:
        InputError: a file of prompts or predictions is missing or damaged.
    """
    runs = report.inputs.runs
    code = script(SCRIPT)
    values = {
        "report": report,
        "runs": [_run_facts(run) for run in runs],
        "facts": _facts(report),
        "findings": findings(runs, report.tables, report.contamination),
        "parts": [_part(table, runs) for table in report.tables],
        "asked": _asked(runs),
        "curves": curve_charts(report.inputs.curves),
        "speeds": speeds(runs),
        "contaminated": [row for entry in report.contamination for row in _contaminated(entry, runs)],
        "data": prediction_data(runs),
        "run_names": embed_json([run.name for run in runs]),
        "script": code,
        "policy": policy(code),
        "date": time.strftime("%Y-%m-%d"),
    }
    write_html(path, TEMPLATE, values, {"colour": series_colour})


def _part(table: ScoreTable, runs: Sequence[EvaluationRun]) -> Part:
    protocol = table.protocol
    return Part(
        table=table,
        chart=score_chart(table),
        groups=group_tables(protocol, runs),
        people=people(protocol, runs),
        turned=turned_choices(protocol, runs),
    )


def _facts(report: Report) -> list[tuple[str, str]]:
    runs = report.inputs.runs
    questions = sum(entry["n"] for run in runs for entry in run.tasks.values())
    tasks = {task for run in runs for task in run.tasks}
    facts = [
        ("Models", f"{len(runs):,}"),
        ("Tasks", f"{len(tasks):,}"),
        ("Protocols", f"{len(report.tables):,}"),
        ("Answers", f"{questions:,}"),
    ]
    if report.inputs.curves:
        facts.append(("Training runs", f"{len(report.inputs.curves):,}"))
    return facts


@dataclass(frozen=True)
class RunFacts:
    """What a run is, for the table at the top."""

    name: str
    model: str
    parameters: str
    trained: str
    backend: str
    hardware: str
    fingerprint: str


def _run_facts(run: EvaluationRun) -> RunFacts:
    step, tokens = run.model.get("step"), run.model.get("tokens")
    parts = [f"step {step:,}" if step is not None else "", f"{short_count(tokens)} tokens" if tokens else ""]
    return RunFacts(
        name=run.name,
        model=run.model.get("name", ""),
        parameters=parameters(run),
        trained=", ".join(filter(None, parts)) or MISSING,
        backend=run.backend or MISSING,
        hardware=hardware(run),
        fingerprint=run.fingerprint,
    )


@dataclass(frozen=True)
class Asked:
    """How one task was put, and to which runs."""

    task: str
    protocol: str
    language: str
    questions: int
    shots: str
    prompt_sha256: str
    left_out: str
    runs: str


def _asked(runs: Sequence[EvaluationRun]) -> list[Asked]:
    """A row for every way in which a task was put."""
    ways: dict[tuple[Any, ...], list[str]] = {}
    for run in runs:
        for task, entry in run.tasks.items():
            keys = ("protocol", "language", "n", "shots", "prompt_sha256")
            left_out = ", ".join(
                f"{count:,} {reason}" for reason, count in (entry.get("left_out") or {}).items() if count
            )
            ways.setdefault((task, *(entry.get(key) for key in keys), left_out), []).append(run.name)
    return [
        Asked(
            task=label(task),
            protocol=PROTOCOLS.get(protocol, protocol),
            language=language,
            questions=n,
            shots=MISSING if shots is None else str(shots),
            prompt_sha256=prompt_sha256,
            left_out=left_out,
            runs="all" if len(names) == len(runs) else ", ".join(names),
        )
        for (task, protocol, language, n, shots, prompt_sha256, left_out), names in sorted(
            ways.items(), key=lambda way: place(way[0][0])
        )
    ]


@dataclass(frozen=True)
class Contaminated:
    """What training data share with one benchmark, and what was scored on it.

    Attributes:
        n_gram: how long a span in common is at least, in kana and kanji.
        comparable: questions that are so long.
    """

    source: str
    n_gram: int
    task: str
    questions: int
    comparable: int
    overlapping: int
    share: str
    scores: Sequence[str]
    examples: Sequence[str]


def _contaminated(found: Mapping[str, Any], runs: Sequence[EvaluationRun]) -> list[Contaminated]:
    return [
        Contaminated(
            source=found["source"],
            n_gram=found["n_gram"],
            task=label(task),
            questions=entry["n"],
            comparable=entry["comparable"],
            overlapping=entry["overlapping"],
            share=percent(entry["overlapping"], entry["n"]),
            scores=[_main_figure(run, task) for run in runs],
            examples=[f"{example['id']} · {example['where']}\n{example['span']}" for example in entry["examples"]],
        )
        for task, entry in found["tasks"].items()
    ]


def _main_figure(run: EvaluationRun, task: str) -> str:
    if task not in run.tasks:
        return MISSING
    entry = run.tasks[task]
    metric = entry["main_metric"]
    return f"{METRICS.get(metric, metric)} {figure(entry['metrics'][metric], metric, entry['protocol'])}"
