from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmed_jax.evaluate.scores import (
    exact_f1,
    overlap_f1,
    parse_choice,
    parse_string_list,
    partial_f1,
    print_list,
)

STRINGS = st.lists(st.text(alphabet="胃癌頭痛ab", max_size=4), max_size=6)


@pytest.mark.parametrize(
    ("output", "letter"),
    [("B", "B"), ("答えはCです。Bではない", "C"), ("Answer: B", "A"), ("b", "None"), ("Ｂ", "None"), ("", "None")],
)
def test_first_letter_wins(output: str, letter: str) -> None:
    assert parse_choice(output) == letter


@pytest.mark.parametrize(
    ("output", "strings"),
    [
        ("['胃癌', '発熱']", ("胃癌", "発熱")),
        ('\n ["胃癌"] \n', ("胃癌",)),
        ("[]", ()),
        ("胃癌", None),
        ("('胃癌',)", None),
        ("[['胃癌']]", None),
        ("['胃癌', 1]", None),
        ("['胃癌'", None),
        ("['胃癌'] です", None),
        ("[" * 15_000, None),
        ("[" + "-" * 15_000 + "1]", None),
        ("[" + "1+" * 9_000 + "1]", None),
        ("['" + "癌" * 100_000 + "']", None),
    ],
)
def test_only_a_list_literal_of_strings_is_parsed(output: str, strings: tuple[str, ...] | None) -> None:
    assert parse_string_list(output) == strings


def test_model_output_is_never_run(tmp_path: Path) -> None:
    assert parse_string_list(f"__import__('os').system('touch {tmp_path}/run')") is None
    assert parse_string_list(f"[__import__('pathlib').Path('{tmp_path}/run').touch()]") is None
    assert not any(tmp_path.iterdir())


@settings(deadline=None)
@given(st.text())
def test_the_list_parser_never_raises(output: str) -> None:
    parse_string_list(output)
    parse_string_list(f"['{output}']")


@settings(deadline=None)
@given(STRINGS)
def test_a_printed_list_is_parsed_back(strings: list[str]) -> None:
    assert parse_string_list(str(strings)) == tuple(strings)
    assert parse_string_list(print_list(strings)) == tuple(strings)


def test_a_full_width_space_is_printed_as_it_is() -> None:
    assert print_list(["Ｂｉｌ\u3000上昇", "\\u3000"]) == "['Ｂｉｌ\u3000上昇', '\\\\u3000']"


def test_exact_f1_counts_equal_strings() -> None:
    # One of two found, one of three right: P 1/3, R 1/2.
    assert exact_f1(["胃癌", "発熱"], ["胃癌", "熱", "咳"]) == pytest.approx(0.4)


def test_f1_is_over_sets() -> None:
    assert exact_f1(["胃癌", "胃癌"], ["胃癌"]) == 1.0


def test_one_correct_string_makes_every_gold_string_count_in_partial_f1() -> None:
    assert partial_f1(["胃癌", "発熱", "咳"], ["発熱"]) == pytest.approx(1.5)


def test_partial_f1_knows_no_substrings_but_overlap_f1_does() -> None:
    assert partial_f1(["早期胃癌"], ["胃癌"]) == 0.0
    assert overlap_f1(["早期胃癌"], ["胃癌"]) == 1.0
    assert overlap_f1(["胃癌"], ["早期胃癌", "咳"]) == pytest.approx(2 / 3)


def test_the_empty_string_overlaps_with_nothing() -> None:
    assert overlap_f1(["胃癌"], [""]) == 0.0


def test_empty_sets() -> None:
    assert exact_f1(["胃癌"], []) == partial_f1(["胃癌"], []) == overlap_f1(["胃癌"], []) == 0.0
    assert exact_f1([], []) == partial_f1([], []) == 0.0
    assert overlap_f1([], []) == 1.0


@settings(deadline=None)
@given(STRINGS, STRINGS)
def test_overlap_f1_is_bounded_and_not_below_exact_f1(gold: list[str], predicted: list[str]) -> None:
    assert 0.0 <= overlap_f1(gold, predicted) <= 1.0
    without_empty = [text for text in gold if text], [text for text in predicted if text]
    assert overlap_f1(*without_empty) >= exact_f1(*without_empty) - 1e-12


@settings(deadline=None)
@given(STRINGS, STRINGS)
def test_partial_f1_is_zero_or_at_least_exact_f1(gold: list[str], predicted: list[str]) -> None:
    assert partial_f1(gold, predicted) >= exact_f1(gold, predicted) - 1e-12
