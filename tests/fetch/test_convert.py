"""Every converter turns its home's layout into ours, which the evaluation reads."""

import gzip
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.errors import InputError
from jmed_jax.fetch.catalogue import read_catalogue
from jmed_jax.fetch.convert.jmed_llm import document_id
from jmed_jax.fetch.convert.jmmlu import link
from jmed_jax.tokenizer.dictionary import build_dictionary
from tests.fetch import samples


def convert(name: str, tmp_path: Path, files: samples.Files | None = None) -> Path:
    module, _, function = read_catalogue()[name].converter.partition(":")
    out = tmp_path / "out"
    out.mkdir()
    downloads = samples.write(name, tmp_path / "in", files)
    getattr(importlib.import_module(f"jmed_jax.fetch.convert.{module}"), function or "convert")(downloads, out)
    return out


def rows(path: Path) -> list[dict[str, Any]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize("name", read_catalogue())
def test_a_set_writes_what_the_catalogue_says_and_no_more(name: str, tmp_path: Path) -> None:
    assert name in samples.SAMPLES, "give the set a sample in the layout of its home"
    out = convert(name, tmp_path)
    writes = read_catalogue()[name].writes
    assert all((out / written).exists() for written in writes)
    for file in (path for path in out.rglob("*") if path.is_file()):
        assert file.stat().st_size
        assert any(file.is_relative_to(out / written) for written in writes)


def test_igakuqa(tmp_path: Path) -> None:
    out = convert("igakuqa", tmp_path) / "igakuqa"
    japanese = rows(out / "ja" / "2022.jsonl")
    assert len(japanese) == 12
    assert japanese[0]["problem_id"] == "116A1"
    assert japanese[0] | {"section": "A", "year": 2022, "points": 1, "answer": ["b"]} == japanese[0]
    assert japanese[1] | {"points": 3, "accepted_answers": [["a"], ["d"]]} == japanese[1]
    english = rows(out / "en" / "2022.jsonl")[1]
    assert english["problem_text_en"] == "Which is invented?"
    assert english | {"points": 3, "text_only": True, "accepted_answers": [["a"], ["d"]]} == english
    assert rows(out / "metadata" / "2018.jsonl")[0] == {"problem_id": "112A1", "kinki": ["cde"]}
    predictions = rows(out / "reference_predictions.jsonl")
    assert len(predictions) == 5 * 6 * 5
    assert predictions[0] == {"problem_id": "112A1", "year": 2018, "system": "gpt4", "prediction": "b"}
    assert rows(out / "fewshot.jsonl") == [{"problem_id": "100A1", "explanation": "架空"}]


def test_igakuqa119_without_the_letters_of_its_choices(tmp_path: Path) -> None:
    out = rows(convert("igakuqa119", tmp_path) / "igakuqa119" / "questions.jsonl")
    assert out[0] == {
        "problem_id": "119A1",
        "year": 2025,
        "section": "A",
        "problem_text": "架空の問題はどれか。2つ選べ。",
        "choices": ["甲", "乙", "丙"],
        "answer": ["a", "c"],
        "text_only": True,
    }
    assert (out[1]["answer"], out[1]["choices"]) == (["600"], [])
    assert [row["text_only"] for row in out[:4]] == [True, True, False, True]


def test_national_examinations(tmp_path: Path) -> None:
    usable, unusable = rows(convert("denqa", tmp_path) / "denqa" / "questions.jsonl")
    assert usable | {"answer": ["b"], "points": 1, "scorable": True} == usable
    assert unusable | {"answer": [], "scorable": False} == unusable


def test_a_comma_is_no_answer(tmp_path: Path) -> None:
    (row,) = rows(convert("jjsimqa", tmp_path) / "jjsimqa" / "questions.jsonl")
    assert row["answer"] == ["d", "e"]
    assert "choices_orig" not in row


def test_medmcqa(tmp_path: Path) -> None:
    (row,) = rows(convert("medmcqa", tmp_path) / "medmcqa" / "dev.jsonl")
    assert row == {"id": "0-1", "question": "Invented?", "choices": list("wxyz"), "answer": "C"}


def test_medqa_with_five_and_four_options(tmp_path: Path) -> None:
    out = convert("medqa", tmp_path) / "medqa"
    (test,) = rows(out / "test.jsonl")
    assert test["id"] == "medqa-test-0000"
    assert (test["options"][test["answer_idx"]], test["options_4"][test["answer_idx_4"]]) == ("x", "x")
    (dev,) = rows(out / "dev.jsonl")
    assert dev | {"options": {"A": "v", "B": "w. w", "C": "x"}, "answer_idx": "B"} == dev
    (train,) = rows(out / "train_subset.jsonl")
    assert train["category"] == "Diagnosis"
    assert "metamap_phrases" not in train


def test_releases_of_medqa_of_different_length_are_refused(tmp_path: Path) -> None:
    files = samples.medqa_files()
    files["data/en/MedQA-4op/medqa_en_4op.jsonl"] *= 2
    with pytest.raises(InputError, match="2 questions, not 1"):
        convert("medqa", tmp_path, files)


def test_mmlu_takes_the_final_wording_and_drops_what_the_final_release_dropped(tmp_path: Path) -> None:
    files = samples.mmlu_files()
    path = "data/en/MMLU/mmlu_en_medical.jsonl"
    final = [json.loads(line) for line in files[path].splitlines()]
    final[0]["problem_text"] += " (as of 2020)"
    final[1]["choices"][0] = "1:2"
    final[2]["problem_text"] = "  anatomy\n2?"
    del final[3]
    files[path] = samples.json_lines(final)
    out = convert("mmlu", tmp_path, files) / "mmlu"
    anatomy = rows(out / "test" / "anatomy.jsonl")
    assert [row["id"] for row in anatomy[:4]] == [f"mmlu/anatomy/000{number}" for number in (0, 1, 2, 4)]
    assert anatomy[0]["question"] == "anatomy 0? (as of 2020)"
    assert anatomy[1]["choices"] == ["1:2", "x", "y", "z"]
    assert [row for row in anatomy if "note" in row] == anatomy[:2]
    assert anatomy[2]["question"] == "anatomy 2?"
    assert rows(out / "dev" / "virology.jsonl")[0]["id"] == "mmlu-dev/virology/0000"


def test_two_releases_of_mmlu_that_differ_much_are_refused(tmp_path: Path) -> None:
    files = samples.mmlu_files()
    path = "data/en/MMLU/mmlu_en_medical.jsonl"
    files[path] = b"".join(files[path].splitlines(keepends=True)[11:])
    with pytest.raises(InputError, match="lacks 11 questions"):
        convert("mmlu", tmp_path, files)


def test_jmmlu_names_the_english_question(tmp_path: Path) -> None:
    out = rows(convert("jmmlu", tmp_path) / "jmmlu" / "test" / "virology.jsonl")
    assert out[0] == {
        "id": "jmmlu/virology/0000",
        "subject": "virology",
        "question": "和訳 virology 1?",
        "choices": ["甲", "乙", "丙", "丁"],
        "answer": "B",
        "mmlu_id": "mmlu/virology/0001",
    }


def test_links_are_given_where_they_are_certain() -> None:
    english = "ABCDABCD"
    assert link("BCDABCD", english, ()) == [1, 2, 3, 4, 5, 6, 7]
    # One of rows 3 and 4 (D, A) has no translation; the letter of what is left says which.
    assert link("BCDBCD", english, (range(3, 5),)) == [1, 2, 3, 5, 6, 7]
    assert link("BCABCD", english, (range(3, 5),)) == [1, 2, 4, 5, 6, 7]
    assert link("BCDCD", "ABCDDCD", (range(3, 5),)) == [1, 2, None, 5, 6]
    assert link("BCA", english, ()) == [1, 2, None]


def test_jmed_llm(tmp_path: Path) -> None:
    out = convert("jmed_llm", tmp_path) / "jmed_llm"
    (crade,) = rows(out / "test" / "crade.jsonl")
    assert crade["id"] == "crade-test-00000"
    assert crade | {"tag": "disease", "options": {"A": "ない", "B": "ある"}, "answer": "B"} == crade
    (nrner,) = rows(out / "test" / "nrner.jsonl")
    assert nrner["answers"] == ["薬", "内服"]
    (jcsts,) = rows(out / "test" / "jcsts.jsonl")
    assert jcsts["options"] == {"A": "同じ\nS1: 甲", "B": "違う"}
    assert json.loads((out / "jcsts_options.json").read_text(encoding="utf-8")) == jcsts["options"]
    assert not jcsts.keys() & {"tag", "doc_id"}
    (jmmlu,) = rows(out / "test" / "jmmlu_med.jsonl")
    assert jmmlu["jmmlu_id"] == "jmmlu/anatomy/0003"


def test_jmed_llm_training_rows_are_the_rest_and_say_what_they_share_with_the_tests(tmp_path: Path) -> None:
    out = convert("jmed_llm", tmp_path) / "jmed_llm" / "train"
    crade = rows(out / "crade.jsonl.gz")
    assert [(row["id"], row["doc_in_own_test"], row["source_file"]) for row in crade] == [
        ("crade-train-00000", True, "CRADE"),
        ("crade-train-00001", False, "CRADE"),
    ]
    assert [row["tag"] for row in rows(out / "mrner_medicine.jsonl.gz")] == ["m-key", "m-val"]
    assert [row["source_file"] for row in rows(out / "mrner_disease.jsonl.gz")] == ["CRNER", "RRNER"]
    twin, unknown = rows(out / "jmmlu_med.jsonl.gz")
    assert (twin["jmmlu_id"], twin["same_question_in_test"]) == ("jmmlu/anatomy/0004", False)
    assert unknown["jmmlu_id"] is None


def test_a_report_is_one_whatever_is_asked_about_it() -> None:
    assert document_id("薬は？\n「ＡＢ\u3000報告。\n続き」") == document_id("病名は？\n「AB報告。続き」")
    assert document_id("薬は？\n「報告一」") != document_id("薬は？\n「報告二」")


def test_term_lists_are_tables_with_our_columns(tmp_path: Path) -> None:
    out = convert("dictionary", tmp_path) / "dictionary"
    names = gzip.decompress((out / "manbyo_disease_names.csv.gz").read_bytes()).decode()
    assert names.splitlines() == ["surface,icd10,standard", "空想熱,R50,空想熱", "架空疹,-1,-1"]
    frequent = (out / "manbyo_frequent_with_readings.csv").read_text(encoding="utf-8").splitlines()
    assert frequent == [
        "surface,icd10,standard,reading_hiragana,utokyo_record_count",
        "空想熱,R50,空想熱,くうそうねつ,12",
    ]
    diseases = (out / "nando_diseases.csv").read_text(encoding="utf-8").splitlines()
    assert diseases[1:3] == [
        "7,designated_intractable,空想病7,Invented disease 7,甲病|乙病,7",
        "1,pediatric_chronic,空想病1,Invented disease 1,,1",
    ]
    made = build_dictionary([out], tmp_path / "compiled")
    assert made.counts["words"] >= 4


def test_a_disease_with_a_description_is_a_document(tmp_path: Path) -> None:
    (document,) = rows(convert("pediatric_chronic_diseases", tmp_path) / "pretrain/pediatric_chronic_diseases.jsonl.gz")
    assert (document["id"], document["license"]) == ("shoman-1", "CC BY 4.0")
    assert document["text"] == "空想病1（Invented disease 1）\n発熱が続く。"


def test_the_tokenizers_vocabulary_and_merges_are_files_of_their_own(tmp_path: Path) -> None:
    out = convert("qwen2_tokenizer", tmp_path) / "qwen2_tokenizer"
    assert (out / "vocab.json").read_text(encoding="utf-8") == '{"!":0,"Ġ":1,"ĠĠ":2}'
    assert (out / "merges.txt").read_text(encoding="utf-8") == "#version: 0.2\nĠ Ġ\n"
    assert (
        json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))["tokenizer_class"] == "Qwen2Tokenizer"
    )


@pytest.mark.parametrize(
    ("name", "path", "content", "message"),
    [
        ("medmcqa", "data/en/MedMCQA/medmcqa.jsonl", b"<html>\n", "medmcqa.jsonl:1"),
        ("igakuqa119", "results/correct_answers.csv", b"number,key\n", "no column"),
        ("igakuqa119", "questions/119A_json.json", b"<html>", "not JSON"),
        ("dictionary", "flask/MANBYO_mini.txt", "出現形\n".encode(), "no column"),
        ("dictionary", "data/nanbyo.json", b"{}", "no list of diseases"),
        ("mmlu", "data/test/virology_test.csv", b"a,b,c\n", "a row of 3 columns, not 6"),
        ("qwen2_tokenizer", "tokenizer-qwen2_5-3.7.2.tgz", b"no archive", "no tokenizer in it"),
    ],
)
def test_a_file_in_another_layout_is_named(name: str, path: str, content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert(name, tmp_path, samples.SAMPLES[name]() | {path: content})
