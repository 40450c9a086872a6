"""A file of predictions in a model's place: what any system wrote, lined up with the prompts by their names."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jmed_jax.backends.protocol import Backend, Completion, Decoding, Prompt
from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_jsonl

PREDICTIONS = "predictions-"
"""How the files of an evaluation directory begin; a task's name follows."""
# In order: what was written goes before what somebody read out of it.
_FIELDS = ("output", "prediction")


class Replay(Backend):
    """Answers of JSON Lines {"id" or "problem_id", "output" or "prediction"}, by the ids "TASK/ID" of the prompts.

    One file serves whatever task has its ids; a directory has a file `predictions-TASK.jsonl` for each.

    Attributes:
        sha256: of all that was read.
    """

    batch_size = 1 << 20

    def __init__(self, path: Path, *, system: str | None = None) -> None:
        """
        Args:
            system: which one, where rows name several.

        Raises:
            InputError: there are no predictions, an id is missing or doubled, or a row has no text.
        """
        self.name = system or path.resolve().name.partition(".")[0]
        self.counts: Counter[str] = Counter()
        files = sorted(path.glob(f"{PREDICTIONS}*.jsonl")) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no {PREDICTIONS}TASK.jsonl in this directory.")
        self._texts = {_task(file) if path.is_dir() else "": _read(file, system) for file in files}
        self.sha256 = hashlib.sha256(repr(sorted(self._texts.items())).encode(errors="replace")).hexdigest()
        self._path = path

    def answers(
        self,
        prompts: Sequence[Prompt],
        decoding: Decoding,  # noqa: ARG002 (written already)
        *,
        ids: Sequence[str] | None = None,
    ) -> Iterator[tuple[int, Completion]]:
        """The texts of the prompts called `ids`; `error` where there is none."""
        assert ids is not None and len(ids) == len(prompts), "predictions are found by their ids"
        for index, name in enumerate(ids):
            task, _, identifier = name.partition("/")
            text = self._of_task(task).get(identifier)
            self.counts["requests"] += 1
            self.counts["answers" if text is not None else "no prediction"] += 1
            if text is None:
                yield index, Completion("", f"no prediction for {identifier}")
            else:
                yield index, text

    def check_ids(self, known: Mapping[str, Sequence[str]]) -> None:
        """
        Args:
            known: the ids of every task's questions.

        Raises:
            InputError: there are predictions for other ids.
        """
        every = set().union(*known.values())
        for task, texts in self._texts.items():
            unknown = sorted(texts.keys() - (set(known[task]) if task in known else every))
            # A directory may hold tasks that nobody asks for.
            if unknown and (task in known or not task):
                raise InputError(
                    f'{self._path}: "{unknown[0]}" is unknown: no question has this id ({len(unknown):,} such).'
                )

    def _of_task(self, task: str) -> Mapping[str, Completion]:
        return self._texts.get("", self._texts.get(task, {}))


def _task(file: Path) -> str:
    return file.name.removeprefix(PREDICTIONS).removesuffix(".jsonl")


def _read(path: Path, system: str | None) -> dict[str, Completion]:
    rows = list(read_jsonl(path))
    systems = sorted({str(row["system"]) for _, row in rows if "system" in row})
    if system is None and len(systems) > 1:
        raise InputError(f"{path}: predictions of {len(systems)} systems ({', '.join(systems)}). Choose one: --system.")
    if system is not None and system not in systems:
        raise InputError(f'{path}: no predictions of system "{system}" (found: {", ".join(systems) or "none named"}).')
    texts: dict[str, Completion] = {}
    for line, row in rows:
        if system is not None and row.get("system") != system:
            continue
        identifier = row.get("problem_id", row.get("id"))
        if not isinstance(identifier, str):
            raise InputError(f'{path}:{line}: no "problem_id" or "id" (found: {", ".join(row)}).')
        if identifier in texts:
            raise InputError(f'{path}:{line}: "{identifier}" is repeated: one prediction a question is expected.')
        texts[identifier] = _text(row, path, line)
    return texts


def _text(row: Mapping[str, Any], path: Path, line: int) -> Completion:
    name = next((name for name in _FIELDS if name in row), None)
    if name is None:
        raise InputError(f'{path}:{line}: neither "output" nor "prediction" (found: {", ".join(row)}).')
    value = row[name]
    is_list = isinstance(value, list) and all(isinstance(part, str) for part in value)
    if not isinstance(value, str) and not is_list:
        raise InputError(f'{path}:{line}: "{name}" is {type(value).__name__}, expected a string or a list of strings.')
    return Completion(str(value), is_prediction=name == "prediction", is_list=is_list)
