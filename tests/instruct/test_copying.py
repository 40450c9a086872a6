"""Exercises in copying."""

from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.instruct.copying import PIECES, copy_exercises, whole_pieces, write_copy_exercises
from jmed_jax.jsonl import read_jsonl
from jmed_jax.tokenizer.tokenizer import Tokenizer


def test_the_answer_is_the_question_and_lengths_vary() -> None:
    pieces = ["熱", "が", "高い"]
    rows = list(copy_exercises(pieces, 200, seed=1))
    texts = [[message["content"] for message in row["messages"][1:]] for row in rows]
    assert all(question == answer for question, answer in texts)
    assert len({len(question) for question, _ in texts}) > 20
    assert all(PIECES[0] <= len(question) <= 2 * PIECES[1] for question, _ in texts)
    assert rows == list(copy_exercises(pieces, 200, seed=1)) != list(copy_exercises(pieces, 200, seed=2))


def test_pieces_are_whole_characters_of_the_tokenizer(tokenizer: Tokenizer) -> None:
    pieces = whole_pieces(tokenizer)
    assert len(pieces) > 50
    assert all(piece.strip() and "\ufffd" not in piece for piece in pieces)
    specials = {tokenizer.decode([index], skip_special=False) for index in (tokenizer.eos_id, tokenizer.pad_id)}
    assert specials.isdisjoint(pieces)


def test_what_exists_is_not_replaced(tokenizer: Tokenizer, tmp_path: Path) -> None:
    out = tmp_path / "copies.jsonl"
    assert write_copy_exercises(tokenizer.path, out, count=3) == 3
    assert len(list(read_jsonl(out))) == 3
    with pytest.raises(InputError, match="exists"):
        write_copy_exercises(tokenizer.path, out, count=3)
