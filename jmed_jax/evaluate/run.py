"""Evaluating a model: what it was asked, what it wrote and what that scores, all on disk."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jmed_jax import artifact
from jmed_jax.backends.protocol import Backend
from jmed_jax.backends.replay import Replay
from jmed_jax.errors import InputError
from jmed_jax.evaluate.answers import Answer, Answers, collect
from jmed_jax.evaluate.evaluations import KIND, SCORES
from jmed_jax.evaluate.exam_metadata import human_and_kinki, metadata_groups, read_metadata
from jmed_jax.evaluate.judge import Judge, judge_name, judge_prompts, judge_rows
from jmed_jax.evaluate.plan import Options, Plan, plan_tasks
from jmed_jax.evaluate.prompts import DEFAULT_PROMPTS
from jmed_jax.evaluate.protocols.open_ended import OpenTask
from jmed_jax.evaluate.results import cost, entry_of, gold_files, left_out_in_words, prediction_rows, read_answers
from jmed_jax.journal import Journal, unfinished_directory
from jmed_jax.jsonl import write_jsonl
from jmed_jax.progress import say


def run_tasks(
    backend: Backend,
    tasks: Sequence[str],
    data: Path,
    out: Path,
    *,
    model_info: Mapping[str, Any],
    options: Options | None = None,
    identity: str | None = None,
    judge: Backend | None = None,
    leave_unanswered: bool = False,
    overwrite: bool = False,
) -> artifact.Artifact:
    """Ask a model the test questions of `tasks` and write an evaluation directory.

    It holds `prompts-TASK.jsonl` (what the model was asked, rendered before anything was), `predictions-TASK.jsonl`
    (what it wrote, its writing restored where the model asks for that, what was read out of it and what that scores)
    and `scores.json`. Answers stand in `OUT.unfinished` as they come; the same call goes on there.

    Args:
        tasks: names as `tasks.get_task` takes them.
        data: a folder in the layout of `../shared/data`: each task says where its rows are. Training rows are not
            needed; with them come more baselines and the score on clean rows.
        model_info: what the model is; it is saved as it stands.
        identity: of the model's weights, so that answers of another are not taken up; None takes up nothing.
        judge: grades the answers of open-ended tasks.
        leave_unanswered: prompts without an answer count as wrong, instead of waiting for another run.

    Raises:
        InputError: as `plan_tasks`, before the first question is asked; `out` exists and `overwrite` is false; as
            `answers.collect`.
    """
    options = options or Options()
    return run_plans(
        backend,
        plan_tasks(tasks, data, options),
        data,
        out,
        model_info=model_info,
        options=options,
        identity=identity,
        judge=judge,
        leave_unanswered=leave_unanswered,
        overwrite=overwrite,
    )


def run_plans(
    backend: Backend,
    plans: Sequence[Plan],
    data: Path,
    out: Path,
    *,
    model_info: Mapping[str, Any],
    options: Options,
    identity: str | None = None,
    judge: Backend | None = None,
    leave_unanswered: bool = False,
    overwrite: bool = False,
) -> artifact.Artifact:
    """As `run_tasks`, of what was planned with `options`: for several models, one after the other.

    Raises:
        InputError: as `run_tasks`, once the tasks are planned.
    """
    artifact.check_free(out, overwrite)
    if isinstance(backend, Replay):
        backend.check_ids({plan.task.name: plan.gold_ids for plan in plans})
    judging = None
    if judge is None:
        _check_references(plans)
    else:
        judging = Judge(judge, judge_prompts(plans, options.prompts), leave_unanswered)
    for line in filter(None, map(left_out_in_words, plans)):
        say(line)
    folder = unfinished_directory(out)
    if identity is None and folder.exists():
        shutil.rmtree(folder)
    with Journal(folder, _journal_settings(backend, plans, options, identity, judging)) as journal:
        for plan in plans:
            with artifact.replacing(folder / _prompts_file(plan)) as temporary:
                write_jsonl(temporary, (asked.row() for asked in plan.asked))
        answers = collect(
            plans,
            backend,
            journal,
            max_new_tokens=options.max_new_tokens,
            beams=options.beams,
            leave_unanswered=leave_unanswered,
        )
        with artifact.create(out, KIND, _config(backend, plans, model_info, options), overwrite=overwrite) as draft:
            _note_inputs(draft, plans, options)
            entries = {
                plan.task.name: _write_task(plan, answers, backend, data, draft, journal, judging) for plan in plans
            }
            machine = backend.machine()
            scores = {
                "model": dict(model_info),
                "backend": backend.name,
                **({"judge": judge.name} if judge else {}),
                "hardware": {"device": machine.device, "count": machine.count} if machine else None,
                "tasks": entries,
            }
            text = json.dumps(scores, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
            (draft.path / SCORES).write_text(text, encoding="utf-8")
        journal.remove()
    return artifact.open_artifact(out, KIND)


def _check_references(plans: Sequence[Plan]) -> None:
    for plan in plans:
        if isinstance(plan.task, OpenTask) and not plan.questions[0].reference:  # type: ignore[union-attr]
            raise InputError(f"{plan.task.name}: its questions have rubrics and no references. Give a --judge.")


def _journal_settings(
    backend: Backend, plans: Sequence[Plan], options: Options, identity: str | None, judge: Judge | None
) -> dict[str, Any]:
    """All that decides the answers."""
    return {
        "model": backend.name,
        "weights": identity,
        "judge": judge.model.name if judge else None,
        "judge_wording": {task: asdict(prompt) for task, prompt in judge.prompts.items()} if judge else None,
        "prompts": {plan.task.name: plan.prompt_sha256 for plan in plans},
        "protocols": {plan.task.name: plan.task.protocol for plan in plans},
        "max_new_tokens": options.max_new_tokens,
        "beams": options.beams,
    }


def _config(backend: Backend, plans: Sequence[Plan], model_info: Mapping[str, Any], options: Options) -> dict[str, Any]:
    return {
        "model": dict(model_info),
        "tasks": [plan.task.name for plan in plans],
        "protocols": {plan.task.name: plan.task.protocol for plan in plans},
        "limit": options.limit,
        "max_new_tokens": options.max_new_tokens,
        "beams": options.beams,
        "prompts": str(options.prompts) if options.prompts else "default",
        "fewshot": str(options.fewshot) if options.fewshot else None,
        "shots": options.shots,
        "plain": options.plain,
        "rotate_choices": options.rotate_choices,
        "max_characters": options.max_characters,
        "restores_writing": backend.restores_writing,
    }


def _note_inputs(draft: artifact.Draft, plans: Sequence[Plan], options: Options) -> None:
    for plan in plans:
        name = plan.task.name
        draft.inputs |= {f"gold {name} {file.name}": artifact.file_sha256(file) for file in gold_files(plan.gold_path)}
        if plan.train_path:
            draft.inputs[f"train {name}"] = artifact.file_sha256(plan.train_path)
        draft.inputs[f"prompts {name}"] = plan.prompt_sha256
        draft.counts[name] = len(plan.questions)
    draft.inputs["prompts"] = artifact.file_sha256(options.prompts or DEFAULT_PROMPTS)
    if options.fewshot is not None:
        draft.inputs["fewshot"] = artifact.file_sha256(options.fewshot)


def _write_task(
    plan: Plan,
    answers: Answers,
    backend: Backend,
    data: Path,
    draft: artifact.Draft,
    journal: Journal,
    judge: Judge | None,
) -> dict[str, Any]:
    """Write a task's files; return its entry in scores.json."""
    name = plan.task.name
    shutil.copy(journal.directory / _prompts_file(plan), draft.path)
    read = read_answers(plan, answers, backend)
    predictions = [answer.prediction for answer in read]
    rows = plan.task.row_scores(plan.questions, predictions)
    graded: list[Answer] = []
    if judge is not None and isinstance(plan.task, OpenTask):
        rows, graded = judge_rows(plan, predictions, rows, judge, journal)
        shutil.copy(journal.directory / f"prompts-{judge_name(plan)}.jsonl", draft.path)
    write_jsonl(draft.path / f"predictions-{name}.jsonl", prediction_rows(plan, read, rows))
    entry = entry_of(plan, read, rows, answers, backend)
    if graded and judge is not None:
        entry["judge"] = {"name": judge.model.name, **cost(graded, judge.model)}
    metadata = read_metadata(name, data)
    entry |= human_and_kinki(plan.task, metadata, plan.questions, predictions)
    entry["groups"] = {**metadata_groups(metadata, plan.questions, rows), **entry["groups"]}
    _report(plan, entry)
    return entry


def _report(plan: Plan, entry: Mapping[str, Any]) -> None:
    name = plan.task.name
    metric = entry["main_metric"]
    say(f"{name}: {metric} {entry['metrics'][metric]:.4g}, n {entry['n']}, {entry['seconds']:.1f} s")
    if entry["truncated_prompts"]:
        say(
            f"{name}: {entry['truncated_prompts']:,} of {len(plan.asked):,} prompts with their answers exceed what the "
            "model reads or was trained on. None was cut."
        )
    if entry["unanswered"]:
        say(f"{name}: {entry['unanswered']:,} of {entry['n']:,} questions have no answer; they count as wrong.")


def _prompts_file(plan: Plan) -> str:
    return f"prompts-{plan.task.name}.jsonl"
