"""Invented rows for the tests of evaluate/, and the files they stand in."""

import gzip
import json
from pathlib import Path
from typing import Any

from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.questions import ChoiceQuestion, ExamQuestion, ExtractionQuestion


def choice(id: str = "smdis-test-00000", answer: str = "A", tag: str | None = "cold", **other: Any) -> ChoiceQuestion:
    fields: dict[str, Any] = {
        "task": "smdis",
        "question": "この人は風邪ですか？\n「鼻がつまる。」",
        "options": {"A": "風邪である", "B": "風邪でない"},
    }
    return ChoiceQuestion(id=id, answer=answer, tag=tag, **{**fields, **other})


def extraction(
    id: str = "nrner-test-00000", answers: tuple[str, ...] = ("発熱",), tag: str = "d", **other: Any
) -> ExtractionQuestion:
    fields: dict[str, Any] = {"task": "nrner", "question": "症状は？\n「昨日から発熱と咳嗽。頭痛なし。」"}
    return ExtractionQuestion(id=id, answers=answers, tag=tag, **{**fields, **other})


def exam(problem_id: str = "112A1", answer: tuple[str, ...] = ("a",), **other: Any) -> ExamQuestion:
    fields: dict[str, Any] = {
        "year": 2018,
        "section": problem_id[3],
        "text": "正しいのはどれか。",
        "choices": ("一", "二", "三", "四", "五"),
        "accepted": (answer,),
        "any_answer_accepted": False,
        "points": 1,
        "text_only": True,
        "language": "ja",
    }
    return ExamQuestion(problem_id=problem_id, answer=answer, **{**fields, **other})


def multiple_choice(id: str = "q1", answer: tuple[str, ...] = ("b",), **other: Any) -> MultipleChoiceQuestion:
    fields: dict[str, Any] = {
        "source": "medqa",
        "language": "ja",
        "text": "最も考えられるのはどれか。",
        "choices": ("肺炎", "胸膜炎", "気胸", "肺血栓塞栓症"),
        "accepted": (answer,),
        "license": "MIT",
    }
    return MultipleChoiceQuestion(id=id, **{**fields, **other})


def choice_row(id: str = "smdis-test-00000", answer: str = "A", **other: Any) -> dict[str, Any]:
    fields = {"task": "smdis", "tag": "cold", "question": f"風邪ですか？\n「{id}」", "doc_id": f"doc-{id}"}
    return {"id": id, **fields, "options": {"A": "はい", "B": "いいえ"}, "answer": answer, **other}


def extraction_row(id: str = "nrner-test-00000", answers: tuple[str, ...] = ("発熱",), **other: Any) -> dict[str, Any]:
    fields = {"task": "nrner", "tag": "d", "question": "症状は？\n「昨日から発熱。」", "doc_id": f"doc-{id}"}
    return {"id": id, **fields, "answers": list(answers), **other}


def exam_row(problem_id: str = "112A1", answer: Any = ("a",), **other: Any) -> dict[str, Any]:
    fields = {"year": 2018, "section": problem_id[3], "problem_text": "正しいのはどれか。", "text_only": True}
    choices = ["一", "二", "三", "四", "五"]
    listed = list(answer) if isinstance(answer, tuple) else answer
    return {"problem_id": problem_id, **fields, "choices": choices, "answer": listed, "points": 1, **other}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path
