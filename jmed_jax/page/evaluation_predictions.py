"""Every question with what the models wrote, as data for the page's script; of thousands of rows, so nothing twice.

A prompt stands once for all runs that were asked the same, without what all prompts of its task have in common (the
system message, solved examples).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from jmed_jax.errors import InputError
from jmed_jax.jsonl import field, read_jsonl
from jmed_jax.page.evaluation_runs import EvaluationRun
from jmed_jax.page.score_names import PROTOCOLS, label
from jmed_jax.page.script import embed_json

# Of the metrics that a row has, the first of these says whether it is right.
_RIGHT = ("accuracy", "gestalt_accuracy", "exact_f1", "exact_match")


@dataclass(frozen=True)
class TaskData:
    """A block of the page.

    Attributes:
        id: of the element.
        name: what the page calls the task.
        rows: of all runs together.
        json: what the script parses when somebody chooses the task.
    """

    id: str
    name: str
    rows: int
    json: Markup


def prediction_data(runs: Sequence[EvaluationRun]) -> list[TaskData]:
    """One block for every task and protocol that a run has.

    Raises:
        InputError: a file of prompts or predictions is missing or damaged.
    """
    keys = dict.fromkeys((task, entry["protocol"]) for run in runs for task, entry in run.tasks.items())
    tasks = [task for task, _ in keys]
    return [
        _task_data(number, task, protocol, runs, doubled=tasks.count(task) > 1)
        for number, (task, protocol) in enumerate(keys)
    ]


def _task_data(number: int, task: str, protocol: str, runs: Sequence[EvaluationRun], *, doubled: bool) -> TaskData:
    chosen = [(place, run) for place, run in enumerate(runs) if run.tasks.get(task, {}).get("protocol") == protocol]
    ids: dict[str, int] = {}
    prompts: dict[str, dict[str, str]] = {}
    answers: list[dict[str, Any]] = []
    for place, run in chosen:
        rows = list(_read_predictions(run, task, ids))
        sha256 = run.tasks[task]["prompt_sha256"]
        if sha256 not in prompts:
            prompts[sha256] = _read_prompts(run, task, ids)
        answers.append({"run": place, "prompts": list(prompts).index(sha256), "rows": rows})
    data = {
        "ids": list(ids),
        "prompts": [_shared_once(texts, list(ids)) for texts in prompts.values()],
        "answers": answers,
    }
    name = label(task)
    if doubled:
        name += f": {PROTOCOLS.get(protocol, protocol)}"
    return TaskData(f"rows-{number}", name, sum(len(answer["rows"]) for answer in answers), embed_json(data))


def _shared_once(texts: Mapping[str, str], ids: Sequence[str]) -> dict[str, Any]:
    """{"before", "after", "texts"}: a prompt is its text, by the place of its id, between the two."""
    found = [texts[id_] for id_ in ids if id_ in texts]
    before = _common_start(found)
    after = _common_start([text[len(before) :][::-1] for text in found])[::-1]
    cut = {id_: text[len(before) : len(text) - len(after)] for id_, text in texts.items()}
    return {"before": before, "after": after, "texts": [cut.get(id_) for id_ in ids]}


def _common_start(texts: Sequence[str]) -> str:
    """What all of several texts begin with; nothing of a single one."""
    if len(texts) < 2:
        return ""
    first, last = min(texts), max(texts)
    return first[
        : next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    ]


def _read_prompts(run: EvaluationRun, task: str, ids: Mapping[str, int]) -> dict[str, str]:
    """By question; one that was put in several ways ("ID/letter", "ID/text") has them below one another."""
    path = run.path / f"prompts-{task}.jsonl"
    prompts: dict[str, list[str]] = {}
    for line, row in read_jsonl(path):
        id_ = field(row, "id", str, path, line)
        prompts.setdefault(id_ if id_ in ids else id_.rpartition("/")[0], []).append(prompt_text(row))
    return {id_: "\n\n".join(texts) for id_, texts in prompts.items()}


def prompt_text(row: Mapping[str, Any]) -> str:
    """A frozen prompt as one text: its messages under their roles, or the plain text; then the answers compared."""
    if "messages" in row:
        text = "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in row["messages"])
    else:
        text = row.get("text", "")
    if row.get("continuations"):
        text += "\n\n[continuations]\n" + "\n".join(row["continuations"])
    return text


def _read_predictions(run: EvaluationRun, task: str, ids: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Rows with short names, because there are tens of thousands; what is as expected is left out."""
    path = run.path / f"predictions-{task}.jsonl"
    for line, row in read_jsonl(path):
        id_ = field(row, "id", str, path, line)
        for name in ("prediction", "output", "raw_output", "gold"):
            if name not in row:
                raise InputError(f'{path}:{line}: no "{name}" field. Evaluate again with `jmed evaluate run`.')
        short = {
            "i": ids.setdefault(id_, len(ids)),
            "p": row["prediction"],
            "o": row["raw_output"],
            "g": row["gold"],
            "s": row_share(row),
        }
        if row["output"] != row["raw_output"]:
            short["r"] = row["output"]
        if row.get("error"):
            short["e"] = row["error"]
        if row.get("unparsable"):
            short["u"] = 1
        if row.get("groups"):
            short["c"] = row["groups"]
        yield short


def row_share(row: Mapping[str, Any]) -> float | None:
    """1 right, 0 wrong, between them partly right; None where no metric of the row says so."""
    scores = row.get("scores") or {}
    share = next((scores[name] for name in _RIGHT if name in scores), None)
    return None if share is None else round(float(share), 3)
