"""The tasks by name. A task is a file here with `TASKS`; of several with one name the first protocol is the default."""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.evaluate.own_tasks import is_file_of_questions, tasks_of_file
from jmed_jax.evaluate.task import Task

_FIRST = "jmed_llm"
"""Stands before the others, as in the papers' tables."""


def _discover() -> dict[tuple[str, str], Task[Any]]:
    """All tasks by name and protocol: the `TASKS` of every module in this folder."""
    names = sorted((info.name for info in pkgutil.iter_modules(__path__)), key=lambda name: (name != _FIRST, name))
    every = [task for name in names for task in importlib.import_module(f"{__name__}.{name}").TASKS]
    found = {(task.name, task.protocol): task for task in every}
    assert len(found) == len(every), "two tasks of one name and protocol"
    return found


_BY_PROTOCOL = _discover()
TASKS: dict[str, Task[Any]] = {}
"""Every name with its default protocol."""
for _task in _BY_PROTOCOL.values():
    TASKS.setdefault(_task.name, _task)
PROTOCOLS: tuple[str, ...] = tuple(dict.fromkeys(protocol for _, protocol in _BY_PROTOCOL))


def get_task(name: str, protocol: str | None = None) -> Task[Any]:
    """The task of that name, or of that file, under a protocol or its default one.

    Raises:
        InputError: there is none; lists those that exist.
    """
    if is_file_of_questions(name):
        found = tasks_of_file(Path(name))
        if found[0].name in TASKS:
            raise InputError(f"{name}: {found[0].name} is a task's name already. Call the file something else.")
    else:
        found = [task for (own, _), task in _BY_PROTOCOL.items() if own == name]
    if not found:
        raise InputError(f'no task "{name}". {_listed()}')
    for task in found:
        if protocol in (None, task.protocol):
            return task
    known = ", ".join(task.protocol for task in found)
    raise InputError(f'{found[0].name}: not under protocol "{protocol}", only {known}.')


def expand_tasks(names: str) -> list[str]:
    """Task names from a comma-separated list of tasks, groups and files: "jmed_llm,igakuqa" → nine names, each once.

    Raises:
        InputError: a name is neither; lists those that exist.
    """
    expanded: list[str] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        members = [task for task in TASKS if task.startswith(f"{name}.")]
        get_task(members[0] if members else name)
        expanded += members or [name]
    if not expanded:
        raise InputError(f"no task named. {_listed()}")
    return list(dict.fromkeys(expanded))


def _listed() -> str:
    return f"There are: {', '.join(TASKS)}; the group jmed_llm of eight; and files of questions (.jsonl)."
