"""Epochs from configuration, weights and cap; and documents as often as they say."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from jmed_jax import artifact
from jmed_jax.corpus.config import CorpusConfig, SourceConfig
from jmed_jax.corpus.mixture import iter_mixture, mix
from jmed_jax.errors import InputError
from jmed_jax.jsonl import write_jsonl

WEB = SourceConfig("web", ("web",))
BOOKS = SourceConfig("books", ("books",))
MADE = SourceConfig("made", ("made",), synthetic=True)
CHARACTERS = {"web": 9_000, "books": 1_000, "made": 2_000}


def shares(config: CorpusConfig) -> dict[str, float]:
    epochs = mix(config, CHARACTERS).epochs
    total = math.fsum(epochs[name] * CHARACTERS[name] for name in epochs)
    return {name: epochs[name] * CHARACTERS[name] / total for name in epochs}


def test_epochs_are_the_configured_ones() -> None:
    config = CorpusConfig("c", (WEB, replace(BOOKS, epochs=5.5)))
    assert mix(config, CHARACTERS).epochs == {"web": 1.0, "books": 5.5}


def test_a_weight_is_a_share_and_leaves_the_others_as_they_are() -> None:
    config = CorpusConfig("c", (WEB, replace(BOOKS, weight=0.25)))
    assert mix(config, CHARACTERS).epochs["web"] == 1.0
    assert shares(config) == pytest.approx({"web": 0.75, "books": 0.25})


def test_weights_of_all_sources_see_every_character_once_on_average() -> None:
    config = CorpusConfig("c", (replace(WEB, weight=0.5), replace(BOOKS, weight=0.5)))
    assert mix(config, CHARACTERS).epochs == pytest.approx({"web": 5_000 / 9_000, "books": 5.0})


def test_the_cap_lowers_synthetic_epochs_and_says_so() -> None:
    config = CorpusConfig("c", (WEB, BOOKS, replace(MADE, epochs=5)), synthetic_cap=0.1)
    assert shares(config)["made"] == pytest.approx(0.1)
    mixture = mix(config, CHARACTERS)
    assert mixture.epochs["web"] == 1.0
    assert "50.0% of the mixture; the cap is 10.0%" in mixture.notes[0]


def test_below_the_cap_nothing_changes() -> None:
    config = CorpusConfig("c", (WEB, MADE), synthetic_cap=0.5)
    assert mix(config, CHARACTERS) == mix(replace(config, synthetic_cap=1.0), CHARACTERS)
    assert not mix(config, CHARACTERS).notes


def test_impossible_weights_are_errors() -> None:
    with pytest.raises(InputError, match="leave nothing"):
        CorpusConfig("c", (WEB, replace(BOOKS, weight=0.5), replace(MADE, weight=0.5)))
    with pytest.raises(InputError, match="exceed 1"):
        CorpusConfig("c", (replace(WEB, weight=0.6), replace(BOOKS, weight=0.6)))


def test_a_weighted_source_without_documents_is_noted() -> None:
    mixture = mix(CorpusConfig("c", (WEB, replace(BOOKS, weight=0.5))), {"web": 1, "books": 0})
    assert mixture.epochs["web"] == 1.0
    assert mixture.notes == ("books has a weight, but no document of it is left.",)


def write_corpus(out: Path, epochs: dict[str, float]) -> Path:
    rows = [{"id": f"{name}/{i}", "text": f"{name}{i}", "source": name} for name in epochs for i in range(400)]
    with artifact.create(out, "corpus", {"epochs": epochs}) as draft:
        write_jsonl(draft.path / "documents-00000.jsonl.zst", rows)
    return out


def test_documents_come_as_often_as_the_epochs_say(tmp_path: Path) -> None:
    seen = Counter(row["id"] for row in iter_mixture(write_corpus(tmp_path / "c", {"web": 1, "books": 2.5, "off": 0})))
    assert {count for name, count in seen.items() if name.startswith("web")} == {1}
    books = Counter(count for name, count in seen.items() if name.startswith("books"))
    # Half of 400, give or take three standard deviations.
    assert set(books) == {2, 3} and abs(books[3] - 200) < 30
    assert not any(name.startswith("off") for name in seen)


def test_a_smaller_fraction_is_part_of_a_larger_one(tmp_path: Path) -> None:
    few, many = (
        {row["id"] for row in iter_mixture(write_corpus(tmp_path / str(epochs), {"web": epochs}))}
        for epochs in (0.2, 0.6)
    )
    assert few < many
