"""The registry of tasks. Each is one entry; what tasks of a kind have in common is in `task_kinds`."""

from typing import Any, Literal

from jmed_jax.errors import InputError
from jmed_jax.evaluate.task_kinds import ChoiceTask, ExamTask, ExtractionTask, Task


def _choice(name: str, kappa_weights: Literal["linear"] | None = None) -> Task[Any]:
    return ChoiceTask(f"jmed_llm.{name}", protocol="jmed_llm", main_metric="kappa", kappa_weights=kappa_weights)


def _extraction(name: str) -> Task[Any]:
    return ExtractionTask(f"jmed_llm.{name}", protocol="jmed_llm", main_metric="partial_f1")


# In the order of the paper's table (arXiv 2412.16423).
_ALL: tuple[Task[Any], ...] = (
    _choice("jmmlu_med"),
    _choice("crade", kappa_weights="linear"),
    _choice("rrtnm"),
    _choice("smdis"),
    _choice("jcsts", kappa_weights="linear"),
    _extraction("mrner_disease"),
    _extraction("mrner_medicine"),
    _extraction("nrner"),
    ExamTask("igakuqa", protocol="igakuqa_points", main_metric="points"),
)

TASKS: dict[str, Task[Any]] = {task.name: task for task in _ALL}


def get_task(name: str) -> Task[Any]:
    """The task of that name.

    Raises:
        InputError: there is none; lists those that exist.
    """
    if name not in TASKS:
        raise InputError(f'no task "{name}". There are: {", ".join(TASKS)}; and the group jmed_llm of eight.')
    return TASKS[name]


def expand_tasks(names: str) -> list[str]:
    """Task names from a comma-separated list of tasks and groups: "jmed_llm,igakuqa" → nine names, each once.

    Raises:
        InputError: a name is neither; lists those that exist.
    """
    expanded: list[str] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        members = [task for task in TASKS if task.startswith(f"{name}.")]
        expanded += members or [get_task(name).name]
    if not expanded:
        raise InputError(f"no task named. There are: {', '.join(TASKS)}; and the group jmed_llm of eight.")
    return list(dict.fromkeys(expanded))
