"""`jmed evaluate compare` and `jmed evaluate contamination`."""

import json
from pathlib import Path

import numpy as np
import pytest

from jmed_jax.cli import main
from jmed_jax.corpus.documents import iter_corpus
from jmed_jax.evaluate.row_scores import RowScores
from tests.evaluate.evaluation_directories import TaskAnswers, write_evaluation
from tests.evaluate.rows import exam_row, write_rows

from .conftest import Ask, Refuse, Workshop


def write_model(path: Path, right: list[int], *tasks: str) -> Path:
    scores = RowScores({"accuracy": np.array(right, float)}, {"accuracy": "mean"})
    return write_evaluation(path, path.name, {task: TaskAnswers(scores, "accuracy") for task in tasks})


def test_models_are_compared_and_the_table_is_written(tmp_path: Path, ask: Ask) -> None:
    weak, good = (write_model(tmp_path / name, [right] * 20, "medqa") for name, right in (("weak", 0), ("good", 1)))
    out = tmp_path / "compared.json"
    result = ask("evaluate", "compare", weak, good, "--out", out)
    (row,) = result["comparisons"]
    assert (row["first"], row["second"], row["difference"], row["test"]) == ("weak", "good", 1.0, "McNemar")
    assert result["correction"] == "Holm over 1 comparisons"
    assert json.loads(out.read_text())["comparisons"] == result["comparisons"]


def test_a_p_that_rounds_to_nothing_is_not_printed_as_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weak, good = (write_model(tmp_path / name, [right] * 20, "medqa") for name, right in (("weak", 0), ("good", 1)))
    assert main(["evaluate", "compare", str(weak), str(good)]) == 0
    (table,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("medqa")]
    assert table.split()[-2:] == ["<0.0001", "<0.0001"]


def test_languages_are_compared(tmp_path: Path, ask: Ask) -> None:
    model = write_model(tmp_path / "model", [1, 0, 1], "igakuqa", "igakuqa_en")
    (row,) = ask("evaluate", "compare", "--languages", model)["comparisons"]
    assert (row["model"], row["benchmark"], row["n"], row["difference"]) == ("model", "igakuqa", 3, 0.0)


def test_what_cannot_be_compared_is_said_in_a_line(tmp_path: Path, refuse: Refuse) -> None:
    one = write_model(tmp_path / "one", [1, 0], "medqa")
    assert "Name two or more" in refuse("evaluate", "compare", one)
    more = write_model(tmp_path / "more", [1, 0, 1], "medqa")
    assert "different questions (0 and 1" in refuse("evaluate", "compare", one, more)


def test_questions_that_stand_in_training_data_are_counted(workshop: Workshop, tmp_path: Path, ask: Ask) -> None:
    document = max(iter_corpus(Path(workshop["corpus"])), key=len)
    lines = Path(workshop["conversations.jsonl"]).read_text(encoding="utf-8").splitlines()
    asked = [json.loads(line)["messages"][1]["content"] for line in lines]
    unseen = "いろはにほへとちりぬるをわかよたれそつねならむうゐのおくやまけふこえて"
    rows = [exam_row(f"112A{n}", ("a",), problem_text=text) for n, text in enumerate([unseen, document, *asked])]
    write_rows(tmp_path / "igakuqa119" / "questions.jsonl", rows)
    # Packing leaves out and truncates what is longer than a row; the document is in the corpus alone.
    for source, least in (("corpus", 1), ("rows", 2), ("files", 10)):
        texts = workshop["conversations.jsonl"] if source == "files" else workshop[source]
        to = (f"--{source}", texts, "--data", tmp_path, "--out", tmp_path / f"{source}.json")
        found = ask("evaluate", "contamination", *to, "--n-gram", "12")["tasks"]["igakuqa119"]
        seen = {example["id"] for example in found["examples"]}
        assert found["n"] == len(rows) > found["overlapping"] >= least
        assert "112A0" not in seen and ("112A1" in seen) == (source == "corpus")
