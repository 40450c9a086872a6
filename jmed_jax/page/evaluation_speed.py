"""What it costs to ask a model: time, throughput and memory, for readers who must run it in their own house."""

from collections.abc import Sequence
from dataclasses import dataclass

from jmed_jax.page.evaluation_runs import EvaluationRun
from jmed_jax.page.numbers import format_bytes, short_count
from jmed_jax.page.page import format_duration
from jmed_jax.page.score_columns import Entry
from jmed_jax.page.score_names import MISSING, label


@dataclass(frozen=True)
class Speed:
    """A model over all its tasks, or one of them; every figure as text.

    Attributes:
        tokens_per_second: of what it wrote.
        wait: seconds a question: median, and that which one in twenty exceeds.
    """

    name: str
    questions: str
    seconds: str
    prompt_tokens: str
    completion_tokens: str
    tokens_per_second: str
    wait: str
    memory: str


@dataclass(frozen=True)
class RunSpeed:
    """A model with its machine.

    Attributes:
        tasks: one row a task.
    """

    run: str
    parameters: str
    backend: str
    hardware: str
    total: Speed
    tasks: Sequence[Speed]


def speeds(runs: Sequence[EvaluationRun]) -> list[RunSpeed]:
    """In the order of the runs."""
    return [
        RunSpeed(
            run=run.name,
            parameters=parameters(run),
            backend=run.backend,
            hardware=hardware(run),
            total=_total(run),
            tasks=[_speed(label(task), entry) for task, entry in run.tasks.items()],
        )
        for run in runs
    ]


def parameters(run: EvaluationRun) -> str:
    """`1.19 B`, or a dash for a model that does not tell."""
    count = run.model.get("parameters")
    return short_count(count) if count else MISSING


def hardware(run: EvaluationRun) -> str:
    """`2 × NVIDIA H100`."""
    device, count = run.hardware.get("device"), run.hardware.get("count", 1)
    if not device:
        return MISSING
    return f"{count} × {device}" if count > 1 else str(device)


def _speed(name: str, entry: Entry) -> Speed:
    rate, wait, memory = (entry.get(key) for key in ("tokens_per_second", "seconds_a_question", "peak_memory_bytes"))
    return Speed(
        name=name,
        questions=f"{entry['n']:,}",
        seconds=format_duration(entry["seconds"]),
        prompt_tokens=_count(entry.get("prompt_tokens")),
        completion_tokens=_count(entry.get("completion_tokens")),
        tokens_per_second=_rate(rate),
        wait=f"{_seconds(wait['median'])} · {_seconds(wait['p95'])}" if wait else MISSING,
        memory=format_bytes(memory) if memory else MISSING,
    )


def _total(run: EvaluationRun) -> Speed:
    """Sums over the tasks; the throughput of all together, the longest waits and the largest memory."""
    entries = list(run.tasks.values())
    seconds = sum(entry["seconds"] for entry in entries)
    counted = [entry for entry in entries if entry.get("completion_tokens") is not None]
    written = sum(entry["completion_tokens"] for entry in counted)
    spent = sum(entry["seconds"] for entry in counted)
    waits = [wait for entry in entries if (wait := entry.get("seconds_a_question"))]
    whole = {
        "n": sum(entry["n"] for entry in entries),
        "seconds": seconds,
        "prompt_tokens": sum(entry.get("prompt_tokens") or 0 for entry in entries) or None,
        "completion_tokens": written or None,
        "tokens_per_second": written / spent if written and spent else None,
        "seconds_a_question": {key: max(wait[key] for wait in waits) for key in ("median", "p95")} if waits else None,
        "peak_memory_bytes": max((entry.get("peak_memory_bytes") or 0 for entry in entries), default=0) or None,
    }
    return _speed("All tasks", whole)


def _count(value: int | None) -> str:
    return MISSING if value is None else short_count(value)


def _rate(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"
