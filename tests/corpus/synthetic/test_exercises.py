import pytest

from jmed_jax.corpus.synthetic.exercises import Exercise, format_exercises, parse_exercises

QUESTION = "次のうち空に浮かぶのはどれか。"
OPTIONS = ("石", "雲", "鉄", "砂", "泥")
EXPLANATION = "雲は空に浮かぶ。"
EXERCISE = Exercise(QUESTION, OPTIONS, "b", EXPLANATION)

ASKED = """【問題1】次のうち空に浮かぶのはどれか。
a. 石
b. 雲
c. 鉄
d. 砂
e. 泥
【正解】b
【解説】雲は空に浮かぶ。"""


@pytest.mark.parametrize(
    "text",
    [
        "以下に問題を示します。\n\n" + ASKED,
        ASKED.replace("【問題1】", "問1 "),
        ASKED.replace("【問題1】", "### 問題 1\n"),
        ASKED.replace("【問題1】", "**問題１**\n")
        .replace("【正解】b", "**正解**：(ｂ) 雲")
        .replace("【解説】", "**解説**：\n"),
        ASKED.replace("a. ", "Ａ．")
        .replace("b. ", "（B）")
        .replace("c. ", "- c) ")
        .replace("【正解】b", "【正解】\nB. 雲"),
        format_exercises([EXERCISE]),
    ],
)
def test_the_ways_in_which_models_write_an_exercise(text: str) -> None:
    assert parse_exercises(text) == ([EXERCISE], [])


def test_several_exercises_and_an_explanation_of_several_lines() -> None:
    second = Exercise("どれが重いか。", OPTIONS, "c", "鉄は重い。\n石も重い。")
    assert parse_exercises(format_exercises([EXERCISE, second])) == ([EXERCISE, second], [])


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("e. 泥\n", "", "not five options"),
        ("e. 泥\n", "e. 泥\nf. 灰\n", "not five options"),
        ("e. 泥\n", "d. 泥\n", "not five options"),
        ("d. 砂", "d. 雲", "duplicate options"),
        ("【正解】b", "【正解】f", "answer not among the options"),
        ("【正解】b", "【正解】雲", "answer not among the options"),
        ("【正解】b", "【正解】bとc", "answer not among the options"),
        ("【正解】b", "【正解】b, d", "answer not among the options"),
        ("【正解】b\n", "", "answer not among the options"),
        ("【解説】雲は空に浮かぶ。", "", "no explanation"),
        ("雲は空に浮かぶ。", "雲は空に浮か", "truncated"),
        (QUESTION, "", "no question"),
    ],
)
def test_what_is_wrong_with_an_exercise(old: str, new: str, reason: str) -> None:
    assert old in ASKED
    assert parse_exercises(ASKED.replace(old, new)) == ([], [reason])


def test_a_malformed_exercise_does_not_take_the_others_with_it() -> None:
    text = "\n".join([ASKED, ASKED.replace("【正解】b", "【正解】z"), ASKED])
    assert parse_exercises(text) == ([EXERCISE, EXERCISE], ["answer not among the options"])


def test_chatter_holds_no_exercise() -> None:
    assert parse_exercises("問題を作るには、まず題材を選びます。") == ([], [])
