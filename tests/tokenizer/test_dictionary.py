"""Term lists become a MeCab user dictionary that keeps names whole and ordinary language as it is."""

import csv
from pathlib import Path

import pytest

from jmed_jax import artifact
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.dictionary import build_dictionary, read_terms, reason_to_drop
from jmed_jax.tokenizer.morphology import Segmenter, open_tagger


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


@pytest.mark.parametrize("names", [("低体温", "超低体温"), ("無尿", "外傷性", "外傷性無尿"), ("突然死", "心臓突然死")])
def test_a_term_that_ipadic_splits_at_little_cost_wins_over_its_parts(names: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "diseases.txt").write_text("\n".join(names), encoding="utf-8")
    built = build_dictionary([tmp_path / "diseases.txt"], tmp_path / "out")
    assert Segmenter(built.path / "user.dic").words(names[-1]) == [names[-1]]


AFFIXES = [
    "{}後遺症なし。",
    "{}疑い。",
    "{}の既往がある。",
    "{}様の症状。",
    "左{}。",
    "{}性である。",
    "{}化した。",
    "{}後に再発した。",
]


@pytest.mark.parametrize("sentence", AFFIXES)
def test_a_disease_keeps_apart_from_its_affixes(dictionary: Path, sentence: str) -> None:
    assert "急性心筋梗塞" in Segmenter(dictionary / "user.dic").words(sentence.format("急性心筋梗塞"))


PRESCRIBED = [
    "{}錠15mg 1日1回",
    "{}15mgを開始",
    "{}OD錠を処方",
    "{}が投与されていた",
    "{}による出血",
    "{}・アスピリン併用",
]


@pytest.mark.parametrize("sentence", PRESCRIBED)
@pytest.mark.parametrize("drug", ["リバーロキサバン", "架空塩酸塩水和物"])
def test_a_drug_keeps_apart_from_strength_form_and_verb(dictionary: Path, drug: str, sentence: str) -> None:
    assert drug in Segmenter(dictionary / "user.dic").words(sentence.format(drug))


def test_readings_go_into_mecabs_entry(tmp_path: Path) -> None:
    header = "surface,icd10,standard,reading_hiragana\n"
    (tmp_path / "list.csv").write_text(header + "架空腎炎,N00,架空腎炎,かくうじんえん\n", encoding="utf-8")
    (tmp_path / "drugs.txt").write_text("カクウザパム\n", encoding="utf-8")
    built = build_dictionary([tmp_path], tmp_path / "out")
    assert built.counts["with_reading"] == 2
    assert [term.reading for term in read_terms(built.path)] == ["カクウザパム", "カクウジンエン"]
    tagger = open_tagger("%H", ";", built.path / "user.dic")
    entry = "名詞,一般,*,*,*,*,{0},{1},{1};"
    assert tagger.parse("架空腎炎") == entry.format("架空腎炎", "カクウジンエン")
    assert tagger.parse("カクウザパム") == entry.format("カクウザパム", "カクウザパム")


@pytest.mark.parametrize(
    ("term", "kind", "reason"),
    [
        ("胃癌", "disease", None),
        ("B型肝炎", "disease", None),
        ("ワルファリン", "drug", None),
        ("冠動脈造影", "term", None),
        ("胃", "disease", "too short"),
        ("胃癌" * 21, "disease", "too long"),
        ("いる", "disease", "digits, or few letters or kana"),
        ("ガン", "disease", "digits, or few letters or kana"),
        ("2024", "disease", "digits, or few letters or kana"),
        ("ACE", "disease", "digits, or few letters or kana"),
        ("肺炎 、左", "disease", "spaces, brackets or marks"),
        ("肺炎(左)葉", "disease", "spaces, brackets or marks"),
        ('肺炎",左', "disease", "spaces, brackets or marks"),
        ("腸のその他の疾患", "disease", "heading of a classification"),
        ("第一", "term", "ordinary word of a glossary"),
        ("大きさの変化", "term", "ordinary word of a glossary"),
    ],
)
def test_terms_that_would_break_words_are_left_out(term: str, kind: str, reason: str | None) -> None:
    assert reason_to_drop(term, kind) == reason


def test_names_lose_remarks_at_their_end_and_spaces(tmp_path: Path) -> None:
    (tmp_path / "diseases.txt").write_text("架空肝炎（活動性）\n架空萎縮症 III 型\n", encoding="utf-8")
    built = build_dictionary([tmp_path / "diseases.txt"], tmp_path / "out")
    assert set(terms_of(built.path)) == {"架空肝炎", "架空萎縮症III型"}


def test_conflicts_and_dropped_names_are_written_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "surface,icd10,standard\n架空炎,A09,架空炎\n架空痛,R52,架空痛\n下痢,A09,下痢\n独り言,-1,-1\n", encoding="utf-8"
    )
    (tmp_path / "b.csv").write_text(
        "出現形,[標準病名],[ICDコード]\n架空炎,別の架空炎,B001\n架空痛,架空痛,R521\n架,[AMB],[AMB]\n", encoding="utf-8"
    )
    (tmp_path / "drugs.txt").write_text("架空痛\n", encoding="utf-8")
    built = build_dictionary([tmp_path], tmp_path / "out")
    lines = (built.path / "conflicts.tsv").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "surface\tproblem\tdetail",
        "架空炎\tstandard names differ\ta.csv: 架空炎; b.csv: 別の架空炎",
        "架空炎\tICD-10 codes differ\ta.csv: A09; b.csv: B001",
        "架空痛\tkinds differ\ta.csv: disease; b.csv: disease; drugs.txt: drug",
        "架\tdropped: too short\tb.csv",
        "独り言\tdropped: MANBYO has no code\ta.csv",
        "下痢\talready a word of ipadic\ta.csv",
    ]
    assert built.counts["problems"] == {
        "ICD-10 codes differ": 1,
        "already a word of ipadic": 1,
        "dropped: MANBYO has no code": 1,
        "dropped: too short": 1,
        "kinds differ": 1,
        "standard names differ": 1,
    }


@pytest.mark.parametrize(("level", "names"), [("S", {"架空甲病"}), ("C", {"架空甲病", "架空乙病"})])
def test_manbyo_is_taken_down_to_a_level(level: str, names: set[str], tmp_path: Path) -> None:
    header = "出現形,出現形よみ,ICDコード,標準病名,信頼度レベル,頻度レベル\n"
    rows = "架空甲病,,A09,,S,\n架空乙病,,A09,,C,\n架空丙病,,A09,,D,\n"
    (tmp_path / "manbyo.csv").write_text(header + rows, encoding="utf-8")
    built = build_dictionary([tmp_path / "manbyo.csv"], tmp_path / "out", reliability=level)
    assert set(terms_of(built.path)) == names
    assert built.counts["problems"][f"dropped: MANBYO's level is below {level}"] == 3 - len(names)


def test_an_unknown_level_is_an_error(lists: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reliability 'G': MANBYO's levels are S, A, B, C, D, E, F"):
        build_dictionary([lists], tmp_path / "out", reliability="G")


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
