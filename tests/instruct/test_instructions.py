"""From sources to conversations: what is written, what is left out and counted, and what is drawn."""

import json
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.artifact import file_sha256
from jmed_jax.errors import InputError
from jmed_jax.instruct import instructions
from jmed_jax.instruct.held_out import HeldOut
from jmed_jax.instruct.instructions import InstructionConfig, Source, write_instructions
from jmed_jax.jsonl import read_jsonl

LONG = "六十五歳の女性が三日前から続く発熱と咳嗽と呼吸困難を主訴に救急外来を受診した。最も考えられる疾患はどれか。"
CASE = (
    "A woman of middle age comes to the clinic because of fever and cough, and of pain in the chest that grows with "
    "every breath."
)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def national(number: int, **changed: Any) -> dict[str, Any]:
    choices = [f"選択肢{number}の{letter}" for letter in "あいうえお"]
    row = {
        "problem_id": f"112A{number}",
        "problem_text": f"第{number}問。正しいのはどれか。",
        "choices": choices,
        "answer": ["b"],
    }
    return row | changed


def english(number: int) -> dict[str, Any]:
    choices = [f"{number}{letter}" for letter in "abcde"]
    return {
        "problem_id": f"112A{number}",
        "problem_text_en": f"Number {number}?",
        "choices_en": choices,
        "answer": ["b"],
    }


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def make(tmp_path: Path, *sources: Source, **settings: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    config = {name: settings.pop(name) for name in InstructionConfig.__dataclass_fields__ if name in settings}
    out = tmp_path / "out.jsonl"
    counts = write_instructions(list(sources), out, InstructionConfig(**config), overwrite=True, **settings)
    return counts, [row for _, row in read_jsonl(out)]


def test_a_question_stands_next_to_its_translation(tmp_path: Path) -> None:
    write(tmp_path / "exam/ja/2018.jsonl", national(1), national(2))
    write(tmp_path / "exam/en/2018.jsonl", english(1), english(2))
    counts, rows = make(tmp_path, Source("igakuqa", tmp_path / "exam", "CC0"))
    assert [row["id"] for row in rows] == [f"igakuqa/112A{n}/{language}" for n in (1, 2) for language in ("ja", "en")]
    assert counts["languages"] == {"ja": 2, "en": 2}
    assert [message["role"] for message in rows[0]["messages"]] == ["system", "user", "assistant"]
    assert rows[0]["messages"][2]["content"] == "答え: 選択肢1のい"
    assert (rows[0]["license"], rows[0]["source"], rows[0]["language"]) == ("CC0", "igakuqa", "ja")
    assert rows[1]["provenance"]["sha256"] == file_sha256(tmp_path / "exam/en/2018.jsonl")
    assert rows[0]["provenance"]["pair"] == rows[1]["provenance"]["pair"]
    _, only = make(tmp_path, Source("igakuqa", tmp_path / "exam"), languages=("en",))
    assert {row["language"] for row in only} == {"en"} and len(only) == 2


def test_the_manifest_says_what_went_in_and_names_no_place_of_this_machine(tmp_path: Path) -> None:
    write(tmp_path / "exam/ja/2018.jsonl", national(1))
    counts, rows = make(tmp_path, Source("denqa", tmp_path / "exam"))
    text = (tmp_path / "out.manifest.json").read_text(encoding="utf-8")
    manifest = json.loads(text)
    assert manifest["kind"] == "instructions" and manifest["counts"] == counts
    assert manifest["inputs"] == {"denqa/ja/2018.jsonl": rows[0]["provenance"]["sha256"]}
    assert manifest["config"]["prompts"] == rows[0]["provenance"]["prompts"]
    assert manifest["config"]["licenses"] == {"denqa": ["MIT"]}
    assert manifest["files"]["out.jsonl"]["sha256"] == file_sha256(tmp_path / "out.jsonl")
    assert str(tmp_path) not in text + json.dumps(rows)


def test_killed_before_its_manifest_a_new_file_has_no_older_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, Source("denqa", write(tmp_path / "q.jsonl", national(1))))
    monkeypatch.setattr(instructions, "write_manifest", killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, Source("denqa", write(tmp_path / "q.jsonl", national(2))))
    assert [row["provenance"]["row"] for _, row in read_jsonl(tmp_path / "out.jsonl")] == ["112A2"]
    assert not (tmp_path / "out.manifest.json").exists()


def test_what_cannot_be_asked_is_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        national(1),
        national(2, text_only=False),
        national(3, choices=[], answer=["26"]),
        national(4, problem_text=" "),
        national(5, problem_text="長" * 2000),
    ]
    path = write(tmp_path / "q.jsonl", *rows)
    counts, written = make(tmp_path, Source("denqa", path), longest={"ja": 1024})
    assert [row["provenance"]["row"] for row in written] == ["112A1"]
    assert counts["left_out"] == {"needs a picture": 1, "no choices or no text": 2, "too long": 1}
    assert len(make(tmp_path, Source("denqa", path))[1]) == 2
    with pytest.raises(InputError, match=r"nothing is left to train on \(no explanation: 2, needs a picture: 1"):
        make(tmp_path, Source("denqa", path), target="cot")


def test_a_chain_of_thought_is_the_explanation_of_the_source(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", national(1, explanation="いが正しい。"), national(2))
    counts, (row,) = make(tmp_path, Source("denqa", path), target="cot")
    assert row["messages"][-1]["content"] == "いが正しい。\n答え: 選択肢1のい"
    assert counts["left_out"] == {"no explanation": 1}
    with pytest.raises(InputError, match="letters has no chain of thought"):
        InstructionConfig(style="letters", target="cot")


def test_examples_come_first_but_never_the_question_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", national(1), national(2))
    shots = write(tmp_path / "shots.jsonl", national(1), national(7))
    _, (first, second) = make(
        tmp_path, Source("denqa", path), languages=("ja",), shots=2, examples=Source("denqa", shots)
    )
    assert [len(first["messages"]), len(second["messages"])] == [5, 7]
    assert "第7問" in first["messages"][1]["content"]
    with pytest.raises(InputError, match="2 examples in ja; --shots asks for 3"):
        make(tmp_path, Source("denqa", path), languages=("ja",), shots=3, examples=Source("denqa", shots))
    with pytest.raises(InputError, match="belong together"):
        make(tmp_path, Source("denqa", path), shots=3)


def test_drawing_is_seeded_and_does_not_depend_on_other_sources(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", *(national(number) for number in range(1, 40)))
    other = write(tmp_path / "o.jsonl", *(national(number) for number in range(1, 40)))

    def drawn(*sources: Source, seed: int = 0) -> list[str]:
        rows = make(tmp_path, *sources, limit=5, seed=seed)[1]
        return [row["provenance"]["row"] for row in rows if row["source"] == "denqa"]

    assert len(drawn(Source("denqa", path))) == 5
    assert drawn(Source("denqa", path)) == drawn(Source("jjsimqa", other), Source("denqa", path))
    assert drawn(Source("denqa", path)) != drawn(Source("denqa", path), seed=1)


def test_evaluation_questions_are_left_out_with_their_translations(tmp_path: Path) -> None:
    short = national(1)
    # The same stem with other choices is another question; width and punctuation are no difference.
    other = national(2, problem_text=short["problem_text"], choices=["ア", "イ", "ウ", "エ", "オ"])
    near = national(3, problem_text=f"次の症例。{LONG}答えを選べ。")
    train = write(tmp_path / "ja/2018.jsonl", short, other, near, national(4))
    write(tmp_path / "en/2018.jsonl", english(1), english(4))
    test_rows = [short | {"problem_text": "第１問 正しいのはどれか", "choices": short["choices"][::-1]}]
    test_rows.append({"id": "x", "question": LONG, "options": {"A": "肺炎", "B": "喘息"}, "answer": "A"})
    test = write(tmp_path / "held/test.jsonl", *test_rows)
    counts, rows = make(tmp_path, Source("igakuqa", tmp_path), exclude_test=[test.parent], languages=("ja", "en"))
    assert train.exists()
    assert [row["id"] for row in rows] == ["igakuqa/112A2/ja", "igakuqa/112A4/ja", "igakuqa/112A4/en"]
    assert counts["left_out"] == {"evaluation question": 3}


def test_an_original_is_held_out_by_its_translation_and_dialogues_by_their_text(tmp_path: Path) -> None:
    row = {"id": "mmlu/anatomy/0001", "question": "Which?", "choices": list("wxyz"), "answer": "A"}
    translated = row | {"id": "jmmlu/anatomy/0000", "question": LONG, "mmlu_id": row["id"]}
    test = write(tmp_path / "jmmlu.jsonl", translated, {"question": CASE})
    mmlu = write(tmp_path / "mmlu.jsonl", row, row | {"id": "mmlu/anatomy/0002"})
    dialogues = [{"instruction": f"Tell me: {CASE}", "output": "x"}, {"instruction": "Hello", "output": "こんにちは"}]
    chat = write(tmp_path / "chat.jsonl", *dialogues)
    sources = (Source("mmlu", mmlu), Source("alpaca", chat, "CC-BY-NC-4.0"))
    counts, rows = make(tmp_path, *sources, exclude_test=[test])
    assert [(row["source"], row["language"]) for row in rows] == [("mmlu", "en"), ("alpaca", "ja")]
    assert rows[1]["license"] == "CC-BY-NC-4.0"
    assert counts["left_out"] == {"evaluation question": 2}
    assert HeldOut([test]).holds_text(CASE.upper().replace(",", ""))


def test_a_short_question_is_known_in_every_publishers_layout(tmp_path: Path) -> None:
    options = dict(zip(("opa", "opb", "opc", "opd"), ("gout", "mumps", "rash", "flu"), strict=True))
    rows = [{"id": "1", "question": "Which is true?", **options, "cop": 4}, {"id": "2", "question": CASE, **options}]
    train = write(tmp_path / "train.jsonl", rows[0] | {"id": "t1"}, rows[0] | {"id": "t2", "opa": "asthma"})
    counts, kept = make(tmp_path, Source("medmcqa", train), exclude_test=[write(tmp_path / "dev.jsonl", *rows)])
    assert [row["provenance"]["row"] for row in kept] == ["t2"]
    assert counts["left_out"] == {"evaluation question": 1}


def test_the_original_of_a_question_that_we_translated_is_held_out(tmp_path: Path) -> None:
    row = {"question": "Which is true?", "choices": list("wxyz"), "answer": "A"}
    train = write(tmp_path / "train.jsonl", *({"id": str(number), **row} for number in (1, 2)))
    plain = {"source": "medmcqa", "language": "ja", "choices": list("あいうえ"), "answer": ["a"], "license": "MIT"}
    # A bare number may be that of any set.
    translated = [{"id": "1", "question": LONG, "pair": "medmcqa/1"}, {"id": "2", "question": LONG, "pair": "2"}]
    test = write(tmp_path / "ja.jsonl", *(plain | row for row in translated))
    _, kept = make(tmp_path, Source("medmcqa", train), exclude_test=[test])
    assert [row["provenance"]["row"] for row in kept] == ["2"]


@pytest.mark.parametrize("trained", ["ja", "en"])
def test_a_question_of_the_physicians_examination_is_held_out_in_the_other_language_too(
    tmp_path: Path, trained: str
) -> None:
    physicians = {"year": 2022, "section": "A"}
    rows = {
        language: [row(number) | physicians | {"problem_id": f"116A{number}"} for number in (1, 2)]
        for language, row in (("ja", national), ("en", english))
    }
    held_out = "en" if trained == "ja" else "ja"
    source = Source("igakuqa", write(tmp_path / "train.jsonl", *rows[trained]))
    test = write(tmp_path / "test.jsonl", rows[held_out][0], {"question": LONG})
    counts, kept = make(tmp_path, source, exclude_test=[test])
    assert [row["id"] for row in kept] == [f"igakuqa/116A2/{trained}"]
    assert counts["left_out"] == {"evaluation question": 1}


def test_our_translation_of_a_question_of_igakuqa119_is_held_out_by_its_original(tmp_path: Path) -> None:
    plain = {"source": "igakuqa119", "language": "en", "choices": list("wxyz"), "answer": ["a"], "license": "x"}
    translated = [plain | {"id": f"119A{n}", "question": f"{n}?", "pair": f"igakuqa119/119A{n}"} for n in (1, 2)]
    train = write(tmp_path / "train.jsonl", *translated)
    original = national(1, problem_id="119A1", year=2025, section="A")
    test = write(tmp_path / "test.jsonl", original, {"question": LONG})
    _, kept = make(tmp_path, Source("questions", train), exclude_test=[test])
    assert [row["provenance"]["row"] for row in kept] == ["119A2"]


@pytest.mark.parametrize("year", [{}, {"year": 2023, "section": "A"}])
def test_equal_numbers_of_the_dentists_hold_nothing_out_and_are_not_held_out(
    tmp_path: Path, year: dict[str, Any]
) -> None:
    dental = write(tmp_path / "dental.jsonl", national(1, problem_id="116A1", **year), {"question": LONG})
    physicians = write(tmp_path / "physicians.jsonl", english(1) | {"problem_id": "116A1", "year": 2022})
    assert len(make(tmp_path, Source("igakuqa", physicians), exclude_test=[dental])[1]) == 1
    dental = write(tmp_path / "dental.jsonl", national(1, problem_id="116A1", **year))
    physicians = write(tmp_path / "physicians.jsonl", english(1) | {"problem_id": "116A1", "year": 2022}, {"q": LONG})
    assert len(make(tmp_path, Source("denqa", dental), exclude_test=[physicians])[1]) == 1


def test_files_of_one_name_keep_their_own_hashes(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / name / "chat.jsonl", {"id": name, "instruction": f"Say {name}", "output": name})
        for name in "ab"
    ]
    _, rows = make(tmp_path, *(Source("alpaca", path) for path in paths))
    hashes = [file_sha256(path) for path in paths]
    assert [row["provenance"]["sha256"] for row in rows] == hashes
    manifest = json.loads((tmp_path / "out.manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"] == dict(zip(["alpaca/chat.jsonl", "alpaca/chat.jsonl#2"], hashes, strict=True))


def test_a_directory_gives_no_test_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"question": "Which?", "options": {"A": "x", "B": "y"}, "answer_idx": "A"}
    write(tmp_path / "medqa/train.jsonl", row)
    test = write(tmp_path / "medqa/test.jsonl", row, row)
    assert make(tmp_path, Source("medqa", tmp_path / "medqa"))[0]["conversations"] == 1
    assert "1 test files are passed over" in capsys.readouterr().err
    assert make(tmp_path, Source("medqa", test))[0]["conversations"] == 2
    (tmp_path / "medqa/train.jsonl").unlink()
    with pytest.raises(InputError, match="only test files here"):
        make(tmp_path, Source("medqa", tmp_path / "medqa"))


def test_what_cannot_be_a_source(tmp_path: Path) -> None:
    path = write(tmp_path / "q.jsonl", national(1))
    with pytest.raises(InputError, match=r'no set "usmle"\. There are: .*medqa.*alpaca, sharegpt, messages'):
        make(tmp_path, Source("usmle", path))
    with pytest.raises(InputError, match="alpaca is read from a file"):
        make(tmp_path, Source("alpaca", tmp_path))
    with pytest.raises(InputError, match='id "112A1" of denqa also stands in'):
        make(tmp_path, Source("denqa", path), Source("denqa", path))
    assert not (tmp_path / "out.jsonl").exists()
