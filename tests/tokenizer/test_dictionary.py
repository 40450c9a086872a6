"""Term lists become a MeCab user dictionary that keeps names whole and ordinary language as it is."""

import csv
from pathlib import Path

import pytest

from jmed_jax import artifact
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.dictionary import build_dictionary, is_usable
from jmed_jax.tokenizer.morphology import Segmenter


def terms_of(path: Path) -> dict[str, str]:
    with (path / "terms.tsv").open(encoding="utf-8") as stream:
        return {row["term"]: row["kind"] for row in csv.DictReader(stream, delimiter="\t")}


def test_names_are_cleaned_and_stripped_of_maker_strength_and_form(dictionary: Path) -> None:
    terms = terms_of(dictionary)
    diseases = {term for term, kind in terms.items() if kind == "disease"}
    drugs = {term for term, kind in terms.items() if kind == "drug"}
    assert diseases == {"脳梗塞後遺症", "2型糖尿病", "急性心筋梗塞", "高血圧症"}
    assert drugs == {"リバーロキサバン", "架空マブ", "カクウビ", "架空塩酸塩水和物", "架空", "カクウジン"}


@pytest.mark.parametrize("name", ["脳梗塞後遺症", "リバーロキサバン", "2型糖尿病", "急性心筋梗塞"])
@pytest.mark.parametrize("sentence", ["{}の既往あり。", "患者は{}と診断された。", "昨年より{}に対し治療中、"])
def test_a_name_stays_whole_in_a_sentence(dictionary: Path, name: str, sentence: str) -> None:
    assert name in Segmenter(dictionary / "user.dic").words(sentence.format(name))


@pytest.mark.parametrize(
    "sentence",
    [
        "今日は良い天気なので、公園へ散歩に出かけた。",
        "東京都内の病院へ行き、薬をもらって帰った。",
        "その糖は甘く、血は赤い。",
    ],
)
def test_ordinary_sentences_do_not_change(dictionary: Path, sentence: str) -> None:
    assert Segmenter(dictionary / "user.dic").words(sentence) == Segmenter().words(sentence)


def test_a_long_term_wins_over_shorter_terms_within_it(tmp_path: Path) -> None:
    (tmp_path / "diseases.txt").write_text("筋収縮\n頭痛症\n筋収縮性頭痛\n筋収縮性頭痛症\n", encoding="utf-8")
    built = build_dictionary([tmp_path / "diseases.txt"], tmp_path / "out")
    assert "筋収縮性頭痛症" in Segmenter(built.path / "user.dic").words("患者は筋収縮性頭痛症である。")


@pytest.mark.parametrize(
    ("term", "usable"),
    [
        ("胃癌", True),
        ("B型肝炎", True),
        ("ワルファリン", True),
        ("胃", False),
        ("あ" * 41, False),
        ("いる", False),
        ("ガン", False),
        ("2024", False),
        ("ACE", False),
        ("肺炎 、左", False),
        ("肺炎(左)", False),
        ('肺炎",左', False),
    ],
)
def test_terms_that_would_break_words_are_left_out(term: str, usable: bool) -> None:
    assert is_usable(term, "disease") is usable


def test_ordinary_words_of_a_glossary_are_left_out() -> None:
    assert not is_usable("第一", "term")
    assert not is_usable("大きさの変化", "term")
    assert is_usable("冠動脈造影", "term")


def test_unknown_columns_name_the_file_and_what_was_found(lists: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"prices\.csv: unknown columns 'year,price'.*icd10,standard,surface"):
        build_dictionary([lists / "prices.csv"], tmp_path / "out")


def test_no_usable_term_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("胃\n123\n", encoding="utf-8")
    with pytest.raises(InputError, match="no usable term"):
        build_dictionary([tmp_path / "terms.txt"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_directory_without_lists_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no term list in this directory"):
        build_dictionary([tmp_path], tmp_path / "out")


def test_the_artefact_counts_and_names_its_sources(dictionary: Path) -> None:
    built = artifact.open_artifact(dictionary, "dictionary")
    assert built.counts["terms"] == 10
    assert set(built.inputs) == {"manbyo.csv", "nhi.csv"}


@pytest.mark.slow
def test_the_published_lists_are_all_understood(real_data: Path, tmp_path: Path) -> None:
    built = build_dictionary([real_data / "dictionary"], tmp_path / "out")
    assert len(built.inputs) == 11
    assert built.counts["terms"] > 80_000
    words = Segmenter(built.path / "user.dic").words("転移性肝腫瘍のためリバーロキサバンを中止した。")
    assert words == ["転移性肝腫瘍", "の", "ため", "リバーロキサバン", "を", "中止", "し", "た", "。"]
