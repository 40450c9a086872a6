"""One question with its answer, before it is given an id and a side of the split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LETTERS = "ABCDEF"


@dataclass(frozen=True)
class Example:
    """A question about one or more documents.

    Attributes:
        tag: the sub-task, where the task has any.
        question: the whole prompt question.
        documents: the texts that must not stand on both sides of the split.
        stratum: the class in which the test set is balanced.
        test_fields: answer and options as a test row has them.
        train_fields: the same for a training row.
        has_document_id: the task's rows carry a `doc_id`.
    """

    tag: str | None
    question: str
    documents: tuple[str, ...]
    stratum: str
    test_fields: Mapping[str, Any]
    train_fields: Mapping[str, Any] = field(default_factory=dict)
    has_document_id: bool = True


def choice_example(
    tag: str, instruction: str, document: str, options: Sequence[str], answer: str, stratum: str
) -> Example:
    """A multiple-choice question about a quoted document."""
    fields = {"options": lettered(options), "answer": answer}
    return Example(tag, f"{instruction}\n「{document}」", (document,), stratum, fields, fields)


def extraction_example(tag: str, instruction: str, document: str, answers: Sequence[str]) -> Example:
    """A question for expressions that stand verbatim in a quoted document."""
    assert answers and all(answer in document for answer in answers), (document, answers)
    fields = {"answers": list(dict.fromkeys(answers))}
    return Example(tag, f"{instruction}\n「{document}」", (document,), tag, fields, fields)


def lettered(options: Sequence[str]) -> dict[str, str]:
    """Options by their letters, A first."""
    return dict(zip(LETTERS, options, strict=False))
