"""What a killed run had answered is there for the next."""

from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.journal import ANSWERS_FILE, SETTINGS_FILE, Journal

SETTINGS = {"model": "m"}


def written(directory: Path) -> list[dict]:
    with Journal(directory, SETTINGS) as journal:
        return [record for _, record in journal.records()]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with Journal(tmp_path / "journal", SETTINGS) as journal:
        journal.append([{"id": 1, "text": "肺炎"}, {"id": 2, "text": "発熱"}])
    return tmp_path / "journal"


def test_records_outlive_the_process_that_wrote_them(directory: Path) -> None:
    assert written(directory) == [{"id": 1, "text": "肺炎"}, {"id": 2, "text": "発熱"}]


def test_a_run_that_is_refused_before_its_first_answer_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError), Journal(tmp_path / "journal", SETTINGS):
        raise InputError("no such model")
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_a_kill_cut_off_is_dropped_and_the_next_one_is_whole(directory: Path) -> None:
    answers = directory / ANSWERS_FILE
    answers.write_bytes(answers.read_bytes() + b'{"id": 3, "te')
    with Journal(directory, SETTINGS) as journal:
        journal.append([{"id": 4}])
    assert [record["id"] for record in written(directory)] == [1, 2, 4]


def test_a_record_is_found_again_by_its_place(directory: Path) -> None:
    with Journal(directory, SETTINGS) as journal:
        assert all(journal.read(place) == record for place, record in journal.records())


def test_other_settings_and_a_second_writer_are_refused(directory: Path) -> None:
    with pytest.raises(InputError, match="other settings \\(model\\)"):
        Journal(directory, {"model": "another"})
    with Journal(directory, SETTINGS), pytest.raises(InputError, match="another process"):
        Journal(directory, SETTINGS)


def test_damage_is_named_with_its_line(directory: Path) -> None:
    answers = directory / ANSWERS_FILE
    answers.write_bytes(answers.read_bytes().replace(b'{"id": 2', b'"id": 2'))
    with pytest.raises(InputError, match=f"{ANSWERS_FILE}:2: damaged"):
        written(directory)
    (directory / SETTINGS_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        Journal(directory, SETTINGS)
