from pathlib import Path

import pytest

from jmed_jax.corpus.synthetic.facts import Facts, differ, drugs_differ, read_facts
from jmed_jax.errors import InputError


def test_a_code_is_told_of_standard_names_that_have_one(facts: Facts) -> None:
    codes = {name: disease.code for name in ("砂丘病", "凧揚骨折", "灯台失神") if (disease := facts.disease(name))}
    assert codes == {"砂丘病": "A01.0", "凧揚骨折": "S22.3", "灯台失神": "R55"}
    assert facts.disease("二重帳簿病") is None  # two codes
    assert facts.disease("空想熱の疑い") is None  # a phrase that MANBYO maps to a standard name
    assert facts.disease("意味不明の句") is None
    assert facts.category_names == {"A01": "空想熱", "B35": "真菌の斑"}


def test_a_phrase_is_no_other_spelling(facts: Facts) -> None:
    disease = facts.disease("頚飾腫瘍")
    assert disease and disease.spellings == ("頸飾腫瘍",)
    fever = facts.disease("空想熱")
    assert fever and fever.spellings == fever.synonyms == ()


def test_what_nando_says(facts: Facts) -> None:
    top, below = facts.disease("鏡像失調症"), facts.disease("鏡像性万華鏡病")
    assert top and (top.synonyms, top.number, top.parent) == (("鏡面病", "ミラー・ナンド病"), "1", ("", ""))
    assert below and (below.number, below.parent) == ("", ("1", "鏡像失調症"))
    for no_name in ("1から7までに掲げるもののほか、病気", "混合型"):
        assert facts.disease(no_name) is None


@pytest.mark.parametrize(
    ("name", "english"),
    [
        ("空想熱", ("phantom fever",)),  # one to one, of words that stand elsewhere too
        ("霧笛麻疹", ("measles",)),  # of several, the one that two lists have
        ("月光炎", ()),  # a word that stands nowhere else
        ("鉄琴痛", ()),  # labels alone
        ("花火脳症", ("hanabi encephalopathy",)),  # official
    ],
)
def test_an_english_name_is_told_where_lists_bear_it_out(facts: Facts, name: str, english: tuple[str, ...]) -> None:
    disease = facts.disease(name)
    assert disease and disease.english == english


def test_a_word_one_letter_from_a_frequent_one_is_a_slip(tmp_path: Path) -> None:
    official = (
        "id,kind,name_ja,name_en,synonyms_ja,notification_no\n1,designated_intractable,架空腺腫,Salivery tumor,,1\n"
    )
    (tmp_path / "nando.csv").write_text(official)
    words = "".join(f"salivary {word},唾液{number}\n" for number, word in enumerate(("stone", "fluid", "duct")))
    (tmp_path / "glossary.csv").write_text("en,ja\n" + words)
    disease = read_facts([tmp_path]).disease("架空腺腫")
    assert disease and disease.english == ()


def test_diseases_differ_only_where_the_lists_say_so(facts: Facts) -> None:
    def compare(one: str, other: str) -> bool:
        first, second = facts.disease(one), facts.disease(other)
        assert first and second
        return differ(first, second)

    assert compare("空想熱", "虹色斑")
    assert not compare("空想熱", "砂丘病")  # one category
    assert compare("鏡像失調症", "水琴窟難聴")
    assert not compare("鏡像失調症", "鏡像性万華鏡病")  # one entry
    assert not compare("鏡像失調症", "独楽症候群")  # two lists that know nothing of each other
    assert not compare("鏡像失調症", "空想熱")  # no list has both


def test_drugs_differ_by_category_and_name(facts: Facts) -> None:
    drugs = {name: facts.drug(name) for name in ("アオゾリン塩酸塩", "イロハプリル", "ケシゴム配合剤")}
    one, other, mixture = drugs.values()
    assert one and other and mixture
    assert drugs_differ(one, other) and not drugs_differ(one, one)
    assert mixture.is_mixture and mixture.name not in facts.plain_drugs


def test_names_of_a_topic(facts: Facts) -> None:
    assert "鏡面病" in facts.names("鏡像失調症", "disease")
    assert facts.names("未知の病", "disease") == ["未知の病"]
    assert facts.names("アオゾリン塩酸塩", "drug") == ["アオゾリン", "ソラリス"]
    assert facts.names("ガンシクロビル", "drug") == ["がんシクロビル"]  # spelt as the text it is looked for in


def test_lists_that_say_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("空想熱\n")
    with pytest.raises(InputError, match=r"names\.txt: no list that says anything"):
        read_facts([tmp_path / "names.txt"])
    with pytest.raises(InputError, match="no list that says anything"):
        read_facts([tmp_path])
    with pytest.raises(InputError, match=r"absent\.csv"):
        read_facts([tmp_path / "absent.csv"])
