import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmed_jax.evaluate.exam_answers import fill_boxes, is_right, parse_letters, parse_number, relax


def test_letters_are_compared_as_a_set() -> None:
    assert is_right("c,a", [("a", "c")])
    assert not is_right("a", [("a", "c")])
    assert not is_right("a,b,c", [("a", "c")])
    assert not is_right("", [("a",)])


def test_blanks_and_case_count_as_the_published_figures_have_it() -> None:
    assert not is_right("a, c", [("a", "c")])
    assert not is_right("A", [("a",)])
    assert is_right(relax("C, a"), [("a", "c")])


def test_any_accepted_answer_is_right_but_not_their_union() -> None:
    accepted = [("a or d",), ("a",), ("d",)]
    assert is_right("a", accepted) and is_right("d", accepted)
    assert not is_right("a,d", accepted)


def test_numerals_are_compared_as_numbers() -> None:
    assert is_right("7.2", [("7.20",)])
    assert not is_right("72", [("7.20",)])
    assert is_right(relax("１，１３０"), [("130",), ("1130",)])


@pytest.mark.parametrize(
    ("output", "letters"),
    [
        ("c", "c"),
        ("Ｃ．", "c"),
        ("e,c", "c,e"),
        ("a、 cとe", "a,c,e"),
        ("ac", "a,c"),
        ("(a)と(c)", "a,c"),
        ("a and d", "a,d"),
        ("c: ビタミンB6", "c"),
        ("b\na: 誤り。c: 誤り。", "b"),
        ("考えてみます。a は違う。答え: d", "d"),
        ("aかもしれない。答えはb、いや、正解はcです。", "c"),
        ("最も考えられるのは、e: 胆管癌です", "e"),
        ("aまたはbのどちらか", "a"),
        ("選択肢aとbは違うので判断できません", ""),
        ("bad question", ""),
        ("画像がないため答えられません", ""),
        ("f", ""),
        ("", ""),
    ],
)
def test_letters_are_read_out_of_free_text(output: str, letters: str) -> None:
    assert parse_letters(output, "abcde") == letters


def test_letters_beyond_the_offered_ones_are_not_read() -> None:
    assert parse_letters("g", "abcdefgh") == "g"
    assert parse_letters("g", "abcde") == ""


@pytest.mark.parametrize(
    ("output", "number"),
    [
        ("26", "26"),
        ("①２ ②６", "26"),
        ("1,130 kcal", "1130"),
        ("25.73を四捨五入して26。解答: ①26Torr(小数第1位まで)", "26"),
        ("408/40000 = 0.0102, 0.0102/0.0012 = 8.5", "8.5"),
        ("答えられません", ""),
    ],
)
def test_the_number_is_read_out_of_free_text(output: str, number: str) -> None:
    assert parse_number(output) == number


@settings(deadline=None)
@given(st.text(alphabet=st.characters() | st.sampled_from("abcde答え解,、①1. ()")))
def test_the_parsers_never_raise_and_give_canonical_answers(output: str) -> None:
    letters = parse_letters(output, "abcde")
    assert letters == relax(letters)
    assert set(letters) <= set("abcde,")
    parse_number(output)


def test_long_outputs_are_read_in_linear_time() -> None:
    for output in ("①" + " " * 100_000 + "x", "答え" * 50_000, "a,b " * 25_000 + "x", "1," * 50_000):
        parse_letters(output, "abcde")
        parse_number(output)


@pytest.mark.parametrize(
    ("text", "digits", "number"),
    [
        ("求めよ。解答：①②.③/人口1,000対", "100", "10.0"),
        ("求めよ。解答：1, ①②③ kcal", "130", "1130"),
        ("求めよ。解答：①.②", "1.2", "1.2"),
        ("①から③のうち、解答：①②Torr", "26", "26"),
        ("解答：①②", "123", None),
        ("求めよ。", "26", None),
    ],
)
def test_digits_fill_the_boxes_of_the_question(text: str, digits: str, number: str | None) -> None:
    assert fill_boxes(text, digits) == number
