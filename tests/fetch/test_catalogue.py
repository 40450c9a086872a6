"""The catalogue is complete and unambiguous."""

import importlib
import re
from collections import Counter

import pytest

from jmed_jax.errors import InputError
from jmed_jax.fetch.catalogue import DataSet, choose, expand, read_catalogue

SETS = list(read_catalogue().values())


def test_patterns_expand_as_in_a_shell() -> None:
    assert expand("a/{b,c}{,_d}.csv") == ["a/b.csv", "a/b_d.csv", "a/c.csv", "a/c_d.csv"]
    assert expand("plain") == ["plain"]


@pytest.mark.parametrize("entry", SETS, ids=lambda entry: entry.name)
def test_a_set_says_what_one_must_know(entry: DataSet) -> None:
    assert entry.title and entry.good_for and entry.rows and entry.license and entry.license_stated
    assert all(re.search(r"/tree/[0-9a-f]{40}$|/v/[0-9.]+$", home) for home in entry.homes), "pinned"
    assert len({upstream.place for upstream in entry.upstream}) == len(entry.upstream)
    assert all(upstream.sha256 is None or re.fullmatch("[0-9a-f]{64}", upstream.sha256) for upstream in entry.upstream)
    module, _, function = entry.converter.partition(":")
    assert callable(getattr(importlib.import_module(f"jmed_jax.fetch.convert.{module}"), function or "convert"))


def test_no_two_sets_write_the_same() -> None:
    assert max(Counter(name for entry in SETS for name in entry.writes).values()) == 1


def test_addresses_are_pinned_by_commit_and_have_one_place_each() -> None:
    (upstream,) = read_catalogue()["medmcqa"].upstream
    commit = "614599e5042052a374fca74590a2dd95c80a56b3"
    path = f"aistairc/medLLM_QA_benchmark/{commit}/data/en/MedMCQA/medmcqa.jsonl"
    assert upstream.url == f"https://raw.githubusercontent.com/{path}"
    assert upstream.place == f"github/{path}"


def test_sets_are_chosen_by_name() -> None:
    assert [entry.name for entry in choose(["mmlu", "igakuqa", "mmlu"])] == ["igakuqa", "mmlu"]
    assert choose(["all"]) == SETS
    with pytest.raises(InputError, match="igaku: no such set"):
        choose(["igaku"])
