"""Questions in our own layout, which `jmed data translate` writes: a row says its language, source and licence itself.

{"id", "source", "language", "question", "choices": [text, …], "answer": [letter, …], "license", "explanation", …}
"""

from collections.abc import Iterator
from pathlib import Path

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.question import LANGUAGES, Language, MultipleChoiceQuestion, QuestionSet
from jmed_jax.evaluate.exams.rows import Row, accepted_answers, check_answer, choices_of
from jmed_jax.jsonl import field, read_jsonl


def _read(path: Path, language: Language) -> Iterator[MultipleChoiceQuestion]:
    for line, row in read_jsonl(path):
        own = field(row, "language", str, path, line)
        if own not in LANGUAGES:
            raise InputError(f'{path}:{line}: language "{own}"; expected {" or ".join(LANGUAGES)}.')
        if own != language:
            continue
        choices = choices_of(row, "choices", path, line)
        identifier = field(row, "id", str, path, line)
        key = check_answer(field(row, "answer", list, path, line), choices, path, line)
        yield MultipleChoiceQuestion(
            id=identifier,
            source=field(row, "source", str, path, line),
            language=language,
            text=field(row, "question", str, path, line),
            choices=choices,
            accepted=tuple(dict.fromkeys([key, *accepted_answers(row, choices, path, line)])),
            license=field(row, "license", str, path, line),
            explanation=str(row.get("explanation") or ""),
            subject=str(row.get("subject") or ""),
            pair=str(row.get("pair") or identifier),
            text_only=row.get("text_only") is not False,
        )


def plain_row(question: MultipleChoiceQuestion) -> Row:
    """A question as a row that this reader reads back."""
    also_accepted = [list(answer) for answer in question.accepted[1:]]
    return {
        "id": question.id,
        "source": question.source,
        "language": question.language,
        "question": question.text,
        "choices": list(question.choices),
        "answer": list(question.answer),
        **({"accepted_answers": also_accepted} if also_accepted else {}),
        "license": question.license,
        **({"explanation": question.explanation} if question.explanation else {}),
        **({"subject": question.subject} if question.subject else {}),
        "pair": question.pair,
        **({} if question.text_only else {"text_only": False}),
    }


SETS = (QuestionSet("questions", LANGUAGES, "as each row says", _read),)
