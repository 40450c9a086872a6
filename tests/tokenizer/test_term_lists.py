"""Published lists are read by the columns of their headers, into entries of typed fields."""

import gzip
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.tokenizer.term_lists import LIST_FORMATS, ListEntry, list_format, read_list

# One invented row of each format, with the header as its publisher writes it.
PUBLISHED = {
    "MANBYO_202106.csv": (
        "出現形,出現形よみ,ICDコード,標準病名,信頼度レベル,頻度レベル\n"
        "架空病・後遺症,かくうびょう・こういしょう,I69.3;G81,架空病後遺症;片麻痺,A,90-95%\n",
        ListEntry(
            "架空病・後遺症",
            "disease",
            standard_names=("架空病後遺症", "片麻痺"),
            icd10=("I693", "G81"),
            reading="カクウビョウ・コウイショウ",
            reliability="A",
        ),
    ),
    "MANBYO_201907.csv": (
        "出現形,ICD10コード,標準病名,信頼度LEVEL,頻度LEVEL,しゅつげんけい;icd=ICD10コード;lv=信頼度LEVEL/freq=頻度LEVEL;標準病名\n"
        "架空痛,-1,-1,d,1,かくうつう;icd=-1;lv=D/freq=1;-1\n",
        ListEntry("架空痛", "disease", reliability="D", uncoded=True),
    ),
    "subset.csv": (
        'surface,icd10,standard,reading_hiragana,utokyo_record_count\n架空炎,"A09,C71$",架空炎，別炎,かくうえん,12\n',
        ListEntry("架空炎", "disease", standard_names=("架空炎", "別炎"), icd10=("A09", "C71"), reading="カクウエン"),
    ),
    "nando.csv": (
        "id,kind,name_ja,name_en,synonyms_ja,notification_no\n1,x,架空症候群,Imaginary syndrome,架空病; カクウ病,1\n",
        ListEntry("架空症候群", "disease", synonyms=("架空病", "カクウ病"), english="Imaginary syndrome"),
    ),
    "price_list.csv": (
        '薬価基準収載品目リスト,,,,,,,\n区分,"薬価基準収載\n医薬品コード",成分名,規格,,,,品名,メーカー名\n'
        "内用薬,1,カクウジン塩酸塩（遺伝子組換え）,５ｍｇ１錠,,,,カクマールＯＤ錠５ｍｇ「架空」,架空製薬\n",
        ListEntry(
            "カクウジン塩酸塩",
            "drug",
            synonyms=("カクウジン", "カクマール"),
            ingredient="カクウジン塩酸塩（遺伝子組換え）",
            brand="カクマールＯＤ錠５ｍｇ「架空」",
            specification="５ｍｇ１錠",
        ),
    ),
    "meddic.csv": (
        "出現形,[細分類],[大分類],[ICDコード],[標準病名],[MedDRA]\n架空斑,-1,-1,[AMB],[AMB],[AMB]\n",
        ListEntry("架空斑", "disease"),
    ),
    "meddic_drug.csv": ("一般名,[細分類],[大分類]\nカクウマブ,抗がん剤,抗がん剤\n", ListEntry("カクウマブ", "drug")),
    "icd10.csv": (
        "MDCコード,分類コード,ICD名称,ICDコード\n01,0010,架空部の悪性新生物＜腫瘍＞,C71$\n",
        ListEntry("架空部の悪性新生物", "disease", icd10=("C71",)),
    ),
    "glossary.utx": (
        "#UTX 1.01; en/ja; CC BY 3.0\n#src\ttgt\tsrc:pos\nimaginary node\t架空結節\tnoun\n",
        ListEntry("架空結節", "term", english="imaginary node"),
    ),
    "glossary.tsv": (
        "en\tja\tpos\nimaginary node\t架空結節\tnoun\n",
        ListEntry("架空結節", "term", english="imaginary node"),
    ),
    "wikidata.csv": (
        "qid,en_label,ja_label,category_en\nQ0,imaginary virus,架空ウイルス,virus\n",
        ListEntry("架空ウイルス", "term", english="imaginary virus"),
    ),
    "diseases.txt": ("架空熱\n\n", ListEntry("架空熱", "disease")),
    "drugs.txt": ("カクウシン\n", ListEntry("カクウシン", "drug")),
    "words.txt": ("架空語\n", ListEntry("架空語", "term")),
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("written", ["utf-8", "utf-8-sig", "cp932", "gzip"])
def test_a_published_list_is_read_as_it_is_written(name: str, written: str, tmp_path: Path) -> None:
    text, entry = PUBLISHED[name]
    path = tmp_path / (f"{name}.gz" if written == "gzip" else name)
    path.write_bytes(gzip.compress(text.encode()) if written == "gzip" else text.encode(written))
    assert list(read_list(path, encoding="cp932" if written == "cp932" else None)) == [entry]


def test_every_format_has_an_example_here(tmp_path: Path) -> None:
    found = set()
    for name, (text, _) in PUBLISHED.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        if not name.endswith(".txt"):
            found.add(list_format(tmp_path / name))
    # The price list that the data folder carries is in the dictionary's fixture.
    assert {known.name for known in LIST_FORMATS} - {known.name for known in found if known} == {
        "NHI drug price list, cleaned"
    }


def test_an_undeclared_encoding_names_line_and_option(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("surface,icd10,standard\n架空病,A09,架空病\n".encode("cp932"))
    with pytest.raises(InputError, match=r"list\.csv:2: not UTF-8.*--encoding cp932"):
        list(read_list(path))
    with pytest.raises(InputError, match="neither UTF-8 nor euc_jp"):
        list(read_list(path, encoding="euc_jp"))
    with pytest.raises(InputError, match="neither UTF-8 nor shift-jiss"):
        list(read_list(path, encoding="shift-jiss"))


def test_a_truncated_or_missing_list_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "list.csv.gz"
    path.write_bytes(gzip.compress(b"surface,icd10,standard\n" * 100)[:-9])
    with pytest.raises(InputError, match=r"list\.csv\.gz: broken"):
        list(read_list(path))
    with pytest.raises(InputError, match=r"none\.csv: No such file"):
        list(read_list(tmp_path / "none.csv"))


def test_short_rows_and_rows_without_a_name_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "nando.csv"
    path.write_text("id,name_ja,name_en,synonyms_ja\n1,架空病\n2,,Nothing,\n\n", encoding="utf-8")
    assert list(read_list(path)) == [ListEntry("架空病", "disease")]


@pytest.mark.slow
def test_the_real_lists_have_the_fields_they_should(real_data: Path) -> None:
    folder = real_data / "dictionary"
    frequent = list(read_list(folder / "manbyo_frequent_with_readings.csv"))
    assert len(frequent) == 9122
    assert sum(bool(entry.reading) for entry in frequent) > 9000
    assert sum(bool(entry.icd10) for entry in frequent) > 9000
    products = list(read_list(folder / "nhi_drug_price_list_20250716.csv.gz"))
    assert all(entry.ingredient and entry.brand and entry.specification for entry in products)
