"""The check counts which terms stay whole and which words of a text change, with examples."""

from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.tokenizer.dictionary import build_dictionary
from jmed_jax.tokenizer.dictionary_check import BROKEN, INSIDE, WHOLE, _differences, _outcome, check_terms, check_texts


@pytest.mark.parametrize(
    ("words", "outcome", "holding"),
    [
        (["急性", "肺炎", "の"], WHOLE, ["肺炎"]),
        (["急性", "肺", "炎", "の"], BROKEN, ["肺", "炎"]),
        (["急性肺炎", "の"], INSIDE, ["急性肺炎"]),
        (["急性肺", "炎の"], BROKEN, ["急性肺", "炎の"]),
    ],
)
def test_what_became_of_a_term(words: list[str], outcome: str, holding: list[str]) -> None:
    assert _outcome(words, (2, 4)) == (outcome, holding)


def test_differences_are_the_shortest_runs() -> None:
    before = ["私", "は", "脳", "梗塞", "だ", "った", "東京", "都"]
    after = ["私", "は", "脳梗塞", "だ", "っ", "た", "東", "京都"]
    assert list(_differences(before, after)) == [
        (["脳", "梗塞"], ["脳梗塞"]),
        (["った"], ["っ", "た"]),
        (["東京", "都"], ["東", "京都"]),
    ]


def test_terms_of_each_kind_are_counted_with_and_without_the_dictionary(dictionary: Path) -> None:
    checks = check_terms(dictionary, terms_per_kind=100)
    assert set(checks) == {"disease", "drug"}
    diseases = checks["disease"]
    assert diseases.sentences == 4 * 5
    assert diseases.outcomes == {WHOLE: 20}
    assert diseases.whole_without < 20
    assert not diseases.broken
    assert check_terms(dictionary, terms_per_kind=1)["disease"].sentences == 5


def test_texts_tell_which_words_were_joined(dictionary: Path) -> None:
    check = check_texts(dictionary, ["脳梗塞後遺症と診断。\n今日は晴れ。", "脳梗塞後遺症。"])
    assert check.characters == 17 + 7
    assert check.joined == {"脳 梗塞 後遺症 → 脳梗塞後遺症": 2}
    assert (check.boundaries_joined, check.boundaries_split) == (4, 0)


def test_a_term_that_cuts_into_an_ordinary_word_shows(tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("小児科学\n", encoding="utf-8")
    built = build_dictionary([tmp_path / "terms.txt"], tmp_path / "out")
    check = check_texts(built.path, ["昨日、 小児科学会で"])
    assert check.split == {"小児科 学会 → 小児科学 会": 1}
    assert (check.boundaries_joined, check.boundaries_split) == (1, 1)


def test_a_directory_without_a_dictionary_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no manifest"):
        check_terms(tmp_path, terms_per_kind=1)
