from pathlib import Path

import pytest

from jmed_jax.corpus.synthetic.topics import read_topics, share_topics
from jmed_jax.errors import InputError
from tests.corpus.synthetic.lists import DISEASES


def test_a_line_is_a_topic_once(tmp_path: Path) -> None:
    path = tmp_path / "topics.txt"
    path.write_text("空想熱\n\n砂丘病\n 空想熱 \nＲ２Ｄ熱\nR2D熱\n", encoding="utf-8")
    assert read_topics([path], "disease") == ["空想熱", "砂丘病", "Ｒ２Ｄ熱"]


def test_published_lists_hold_topics(lists: Path) -> None:
    topics = read_topics([lists / "manbyo.csv", lists / "nando.csv"], "disease")
    assert {"空想熱", "鏡像失調症"} <= {*topics} and "空想熱の疑い" not in topics
    assert "アオゾリン塩酸塩" in read_topics([lists / "prices.csv"], "drug")


def test_bad_lists(lists: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "other.csv").write_text("colour,number\nred,1\n")
    for name, message in (("empty.txt", "no topics"), ("other.csv", "unknown columns"), ("absent.txt", r"absent\.txt")):
        with pytest.raises(InputError, match=message):
            read_topics([tmp_path / name], "disease")
    with pytest.raises(InputError, match="no topics of the kind drug"):
        read_topics([lists / "manbyo.csv"], "drug")


def test_shares_are_apart_and_do_not_depend_on_other_topics() -> None:
    shares = [share_topics(DISEASES, share, 3) for share in (1, 2, 3)]
    assert sorted(topic for share in shares for topic in share) == sorted(DISEASES)
    assert all(shares)
    assert share_topics(DISEASES[::-2], 2, 3) == [topic for topic in DISEASES[::-2] if topic in shares[1]]
