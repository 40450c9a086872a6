"""From sources to a corpus: what is kept, what is dropped, and the record of it."""

import json
from pathlib import Path

import pytest

from jmed_jax import artifact
from jmed_jax.corpus import pipeline
from jmed_jax.corpus.documents import iter_corpus, iter_documents
from jmed_jax.corpus.filters import Filter, NoKana, NotJapanese, TooShort, Unfinished
from jmed_jax.corpus.pipeline import build_corpus
from jmed_jax.errors import InputError

GOOD = "患者は発熱と咳嗽を主訴に来院した。胸部ＣＴで肺炎と診断し、抗菌薬を開始した。"
OTHER = "高血圧症の治療では、まず減塩と運動を勧める。改善がなければ降圧薬を用いることが多い。"


def write(path: Path, texts: list[str]) -> Path:
    rows = [{"id": str(index), "text": text, "source": "架空", "license": "CC0"} for index, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("filter_", "dropped", "kept"),
    [
        (TooShort(10), "短い。", "これは十分に長い文である。"),
        (NotJapanese(), "The patient was treated with antibiotics. 了解", "抗TNFα抗体(infliximab)を投与した。"),
        (NotJapanese(), "1234 5678", "1234 です"),
        (NoKana(), "患者因肺炎入院治疗后出院随访观察", "患者は肺炎で入院し、治療後に退院した。"),
        (Unfinished(), "トップページ 診療案内 交通案内 お問い合わせ 採用情報\n" * 5, GOOD),
    ],
)
def test_filter(filter_: Filter, dropped: str, kept: str) -> None:
    assert filter_.drops(dropped)
    assert not filter_.drops(kept)


def test_documents_are_cleaned_and_carry_source_and_license(tmp_path: Path) -> None:
    built = build_corpus([write(tmp_path / "a.jsonl", [GOOD, OTHER])], tmp_path / "corpus")
    rows = list(iter_documents(built.path))
    assert rows[0] == {"id": "0", "text": GOOD.replace("ＣＴ", "CT"), "source": "架空", "license": "CC0"}
    assert list(iter_corpus(built.path)) == [row["text"] for row in rows]


def test_counts_by_file_and_reason_and_examples_of_what_was_dropped(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", [GOOD, "短い。", GOOD.replace("ＣＴ", "CT ")])
    second = write(tmp_path / "b.jsonl", [OTHER, GOOD])
    built = build_corpus([first, second], tmp_path / "corpus")
    assert built.counts["documents"] == 2
    assert built.counts["dropped"] == {"too_short": 1, "duplicate": 2}
    assert built.counts["sources"]["a"]["documents"] == 1
    assert built.counts["sources"]["a"]["dropped"] == {"too_short": 1, "duplicate": 1}
    assert built.counts["sources"]["b"]["dropped"] == {"duplicate": 1}
    record = json.loads((built.path / "dropped.json").read_text(encoding="utf-8"))
    assert record["too_short"]["examples"] == [{"id": "1", "file": "a", "text": "短い。"}]
    assert record["duplicate"]["dropped"] == 2
    assert record["no_kana"] == {"threshold": 0.05, "dropped": 0, "examples": []}
    assert set(built.inputs) == {"a.jsonl", "b.jsonl"}


def test_at_most_five_examples_are_kept(tmp_path: Path) -> None:
    built = build_corpus([write(tmp_path / "a.jsonl", [GOOD, *["短い。"] * 50])], tmp_path / "corpus")
    record = json.loads((built.path / "dropped.json").read_text(encoding="utf-8"))
    assert record["too_short"]["dropped"] == 50
    assert len(record["too_short"]["examples"]) == 5


def test_shards_are_bounded_and_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "SHARD_CHARACTERS", 100)
    texts = [f"症例{index}は発熱と咳嗽を主訴に来院し、肺炎と診断されて治療を受けた。" for index in range(20)]
    built = build_corpus([write(tmp_path / "a.jsonl", texts)], tmp_path / "corpus")
    shards = [name for name in built.files if name.startswith("documents-")]
    assert len(shards) > 3
    assert list(iter_corpus(built.path)) == texts


def test_no_document_left_is_an_error_that_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", ["短い。", "hello"])
    with pytest.raises(InputError, match=r"no document is left\. Dropped: too_short 2"):
        build_corpus([source], tmp_path / "corpus")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl"]


def test_an_existing_corpus_stays_without_overwrite(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", [GOOD])
    before = build_corpus([source], tmp_path / "corpus").fingerprint
    with pytest.raises(InputError, match="--overwrite"):
        build_corpus([source], tmp_path / "corpus")
    write(source, [OTHER])
    assert build_corpus([source], tmp_path / "corpus", overwrite=True).fingerprint != before


def test_the_same_sources_give_the_same_corpus(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", [GOOD, OTHER])
    prints = {build_corpus([source], tmp_path / name).fingerprint for name in ("x", "y")}
    assert len(prints) == 1


def test_a_corpus_of_medical_documents_passes_the_filters(real_data: Path, tmp_path: Path) -> None:
    built = build_corpus([real_data / "pretrain" / "pediatric_chronic_diseases.jsonl.gz"], tmp_path / "corpus")
    assert built.counts["documents"] >= 730
    assert artifact.open_artifact(built.path, "corpus").counts == built.counts
