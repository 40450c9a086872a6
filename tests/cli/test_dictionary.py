"""`jmed dictionary`: build reports conflicts, check measures what a dictionary does to text."""

from pathlib import Path

import pytest

from jmed_jax.artifact import open_artifact
from jmed_jax.cli import main
from jmed_jax.tokenizer.dictionary import CONFLICTS_FILE, SHORTEST_GENERAL_TERM
from tests.cli.conftest import Ask, Refuse, Workshop

LIST = "出現形,出現形よみ,ICDコード,標準病名,信頼度レベル,頻度レベル\n"
WORD_OF_IPADIC = "already a word of ipadic"
ROWS = "架空性腎炎,かくうせいじんえん,N00,架空性腎炎,S,\n架空痛,,-1,-1,F,\n下痢,,A09,下痢,S,\n"


def test_build_reads_the_declared_encoding_and_prints_what_it_left_out(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manbyo.csv").write_bytes((LIST + ROWS).encode("cp932"))
    built = ask("dictionary", "build", tmp_path / "manbyo.csv", "--encoding", "cp932", "--out", tmp_path / "out")
    assert built["counts"]["terms"] == 2
    assert built["counts"]["problems"] == {"already a word of ipadic": 1, "dropped: MANBYO has no code": 1}
    command = ["dictionary", "build", tmp_path / "manbyo.csv", "--encoding", "cp932", "--reliability", "S"]
    assert main([str(part) for part in (*command, "--out", tmp_path / "again")]) == 0
    printed = capsys.readouterr().out
    assert "dropped: MANBYO has no code" in printed and "conflicts.tsv" in printed
    assert open_artifact(tmp_path / "again", "dictionary").config["reliability"] == "S"


def test_an_undeclared_encoding_is_one_line(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "manbyo.csv").write_bytes((LIST + ROWS).encode("cp932"))
    line = refuse("dictionary", "build", tmp_path / "manbyo.csv", "--out", tmp_path / "out")
    assert "manbyo.csv:1: not UTF-8. Name the encoding, e.g. --encoding cp932" in line
    assert not (tmp_path / "out").exists()


def test_ordinary_words_of_ones_own_list_get_no_entry_and_the_help_says_so(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, why in (("terms.txt", "dropped: ordinary word of a glossary"), ("disease.txt", WORD_OF_IPADIC)):
        (tmp_path / name).write_text("肺炎\n架空性腎炎\n", encoding="utf-8")
        built = ask("dictionary", "build", tmp_path / name, "--out", tmp_path / name.removesuffix(".txt"))
        assert (built["counts"]["words"], built["counts"]["problems"]) == (1, {why: 1})
    capsys.readouterr()
    main(["dictionary", "build", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert f"ordinary words get no entry and are noted in {CONFLICTS_FILE}: those of ipadic" in printed
    assert f"under {SHORTEST_GENERAL_TERM} characters" in printed


def test_check_measures_terms_and_texts(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "ordinary.txt").write_text("今日は良い天気なので、公園へ散歩に出かけた。\n", encoding="utf-8")
    check = ("dictionary", "check", "--terms-per-kind", "20", workshop["dictionary"])
    result = ask(*check, tmp_path / "ordinary.txt")
    assert result["terms"].keys() == {"term"}
    assert result["terms"]["term"]["sentences"] == 20 * 5
    assert all(row["whole"] > 0.9 > row["whole_with_ipadic_alone"] for row in result["terms"].values())
    texts = result["texts"]
    assert (texts["characters"], texts["boundaries_joined"], texts["boundaries_split"]) == (22, 0, 0)
    assert "texts" not in ask(*check)
    # A corpus is text too, and there the dictionary joins words.
    assert ask(*check, workshop["corpus"])["texts"]["most_joined"]


def test_check_refuses_what_is_no_dictionary(refuse: Refuse, workshop: Workshop) -> None:
    line = refuse("dictionary", "check", workshop["corpus"])
    assert "this is a corpus directory; a dictionary directory is needed here" in line
