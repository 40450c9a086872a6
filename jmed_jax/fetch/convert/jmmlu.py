"""JMMLU: MMLU in Japanese, ten subjects of health, each question linked to the English one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jmed_jax.fetch.convert import mmlu
from jmed_jax.fetch.convert.downloads import Downloads
from jmed_jax.jsonl import write_jsonl

HOME = "nlp-waseda/JMMLU"

# Row numbers of MMLU's files that JMMLU left out, beside the first, which it left out everywhere. Of a longer range it
# is one: questions there are linked only where the answers' letters leave no doubt.
LEFT_OUT: Mapping[str, tuple[range, ...]] = {
    "anatomy": (range(32, 34), range(86, 87)),
    "human_sexuality": (range(90, 93), range(101, 102), range(126, 128)),
    "nutrition": (range(22, 24),),
    "professional_medicine": (range(38, 40), range(58, 59), range(59, 60), range(116, 117)),
}


def convert(downloads: Downloads, out: Path) -> None:
    """Write `jmmlu/`."""
    (out / "jmmlu" / "test").mkdir(parents=True)
    for subject in mmlu.SUBJECTS:
        write_jsonl(out / "jmmlu" / "test" / f"{subject}.jsonl", _rows(downloads, subject))


def questions(downloads: Downloads, subject: str) -> Iterator[mmlu.Question]:
    """The questions of a subject, in the order of its file."""
    for number, row in enumerate(downloads.table(HOME, f"JMMLU/{subject}.csv", columns=6)):
        text, *choices, answer = row
        yield mmlu.Question(f"jmmlu/{subject}/{number:04d}", text, tuple(choices), answer)


def linked(downloads: Downloads, subject: str) -> Iterator[tuple[mmlu.Question, int | None]]:
    """The questions of a subject, each with the row of MMLU's file that it is, where that is certain."""
    english = [row[-1] for row in downloads.table(mmlu.HOME, f"data/test/{subject}_test.csv", columns=6)]
    japanese = list(questions(downloads, subject))
    numbers = link([question.answer for question in japanese], english, LEFT_OUT.get(subject, ()))
    return zip(japanese, numbers, strict=True)


def _rows(downloads: Downloads, subject: str) -> Iterator[dict[str, Any]]:
    for question, number in linked(downloads, subject):
        row = {
            "id": question.id,
            "subject": subject,
            "question": question.text.strip(),
            "choices": [choice.strip() for choice in question.choices],
            "answer": question.answer,
        }
        yield row | ({} if number is None else {"mmlu_id": f"mmlu/{subject}/{number:04d}"})


def link(japanese: Sequence[str], english: Sequence[str], left_out: Sequence[range]) -> list[int | None]:
    """The English row of every Japanese one, where it is certain.

    Args:
        japanese: answers of the Japanese rows, in their order.
        english: answers of the English ones, whose first row has no translation.
        left_out: where the English rows without a translation are; one in each range.
    """
    links: list[int | None] = []
    number = 1
    for places in left_out:
        links += range(number, places.start)
        kept = len(places) - 1
        answers = list(japanese[len(links) : len(links) + kept])
        possible = [[row for row in places if row != place] for place in places]
        fits = [rows for rows in possible if [english[row] for row in rows] == answers]
        links += fits[0] if len(fits) == 1 else [None] * kept
        number = places.stop
    links += range(number, len(english))
    # The two agree in the letter everywhere: where they do not the table above is wrong.
    return [
        row if row is not None and english[row] == answer else None
        for row, answer in zip(links, japanese, strict=False)
    ]
