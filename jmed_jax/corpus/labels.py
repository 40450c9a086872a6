"""Files of quality labels, by one annotator or several: reading, agreement, and the label that is learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from jmed_jax.corpus.annotate import summarize_labels
from jmed_jax.corpus.annotation_prompt import LABELS
from jmed_jax.errors import InputError
from jmed_jax.jsonl import field, read_jsonl


@dataclass(frozen=True)
class LabelFile:
    """What `jmed corpus annotate` wrote.

    Attributes:
        name: of the file.
        labels: id → "high" or "low"; documents without a label aside.
        summary: see `summarize_labels`.
    """

    name: str
    labels: Mapping[str, str]
    summary: Mapping[str, Any]


def read_labels(path: Path) -> LabelFile:
    """Read a file of labels, by a model or a person: JSON Lines of {"id", "label"} at least.

    Raises:
        InputError: a row lacks something, has another label, or stands there twice; names file and line.
    """
    rows = []
    labels: dict[str, str | None] = {}
    for number, row in read_jsonl(path):
        identifier = field(row, "id", str, path, number)
        if row.get("label", "missing") not in (*LABELS, None):
            raise InputError(f'{path}:{number}: "label" must be "high", "low" or null (found: {", ".join(row)}).')
        if identifier in labels:
            raise InputError(f"{path}:{number}: a second row of {identifier}. Give each annotator a file of its own.")
        labels[identifier] = row["label"]
        rows.append(row)
    return LabelFile(path.name, {key: label for key, label in labels.items() if label}, summarize_labels(rows))


def majority_labels(files: Sequence[LabelFile]) -> dict[str, str | None]:
    """Id → the label that most annotators gave; None where they are tied."""
    votes: dict[str, int] = {}
    for file in files:
        for identifier, label in file.labels.items():
            votes[identifier] = votes.get(identifier, 0) + (1 if label == "high" else -1)
    return {key: None if vote == 0 else "high" if vote > 0 else "low" for key, vote in votes.items()}


def agreement(files: Sequence[LabelFile]) -> list[dict[str, Any]]:
    """For every two annotators: documents that both labelled, share of equal labels, and Cohen's kappa.

    Kappa is None where it is not defined: both annotators gave one and the same label throughout.
    """
    return [_agreement(a, b) for a, b in combinations(files, 2)]


def _agreement(a: LabelFile, b: LabelFile) -> dict[str, Any]:
    from sklearn.metrics import cohen_kappa_score

    both = sorted(a.labels.keys() & b.labels.keys())
    pair = [[file.labels[identifier] for identifier in both] for file in (a, b)]
    equal = sum(x == y for x, y in zip(*pair, strict=True))
    defined = len({label for labels in pair for label in labels}) > 1
    return {
        "a": a.name,
        "b": b.name,
        "documents": len(both),
        "equal": equal / len(both) if both else None,
        "kappa": float(cohen_kappa_score(*pair)) if defined else None,
    }
