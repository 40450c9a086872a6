"""Packing: nothing lost, nothing split, and counts that say what happened."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.corpus.config import CorpusConfig, SourceConfig
from jmed_jax.corpus.pipeline import build_corpus
from jmed_jax.data import pack
from jmed_jax.data.pack import (
    Example,
    Holdout,
    PackCounts,
    encode_conversations,
    pack_concat,
    pack_conversations,
    pack_corpus,
    pack_documents,
    pack_fit,
)
from jmed_jax.data.rows import Row, open_rows
from jmed_jax.errors import InputError
from jmed_jax.jsonl import write_jsonl
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.pretrained import PretrainedTokenizer
from jmed_jax.tokenizer.tokenizer import Tokenizer
from tests.tiny import TEXTS
from tests.tokenizer.test_pretrained import write_tokenizer

PAD = 2


def read_rows(path: Path) -> tuple[Artifact, list[Row]]:
    import grain

    rows, row_format, shards = open_rows(path)
    source = grain.sources.ArrayRecordDataSource([str(shard) for shard in shards])
    return rows, [row_format.decode(record) for record in source]


# --- concat -----------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(3, 90), max_size=12), max_size=12), st.integers(2, 9))
def test_concat_keeps_every_token_in_order_and_pads_only_the_last_row(documents: list[list[int]], length: int) -> None:
    counts = PackCounts()
    rows = list(pack_concat(documents, length, PAD, counts))
    kept = [row.tokens[row.segment_ids > 0] for row in rows]
    tokens = [token for document in documents for token in document]
    assert [int(token) for part in kept for token in part] == tokens
    assert all(len(row.tokens) == length for row in rows)
    assert all(len(part) == length for part in kept[:-1])
    assert (counts.documents, counts.tokens) == (len(documents), len(tokens))
    assert counts.target_tokens == sum(int(row.loss_mask[1:].sum()) for row in rows)


def test_concat_numbers_the_documents_of_each_row_from_one() -> None:
    documents = [[11, 12, 13], [21], [31, 32, 33, 34, 35, 36], [41]]
    rows = list(pack_concat(documents, 5, PAD, PackCounts()))
    assert [row.tokens.tolist() for row in rows] == [
        [11, 12, 13, 21, 31],
        [32, 33, 34, 35, 36],
        [41, PAD, PAD, PAD, PAD],
    ]
    assert [row.segment_ids.tolist() for row in rows] == [[1, 1, 1, 2, 3], [1] * 5, [1, 0, 0, 0, 0]]
    assert [row.loss_mask.tolist() for row in rows] == [[True] * 5, [True] * 5, [True, False, False, False, False]]


# --- fit --------------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 16), min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_fit_keeps_every_example_whole_with_its_mask(lengths: list[int], random: object) -> None:
    # Every token occurs once, so that an example is recognised by its tokens.
    starts = np.cumsum([10, *lengths])
    masks = [np.array([random.random() < 0.5 for _ in range(n)], bool) for n in lengths]  # type: ignore[attr-defined]
    examples = [
        Example(np.arange(start, start + n, dtype=np.int32), mask)
        for start, n, mask in zip(starts, lengths, masks, strict=False)
    ]
    counts = PackCounts()
    rows = list(pack_fit(examples, 16, PAD, counts))
    found = set()
    for row in rows:
        segments = [s for s in np.unique(row.segment_ids) if s]
        assert segments == list(range(1, len(segments) + 1))
        for segment in segments:
            inside = row.segment_ids == segment
            index = int(np.searchsorted(starts, row.tokens[inside][0]))
            np.testing.assert_array_equal(row.tokens[inside], examples[index].tokens)
            np.testing.assert_array_equal(row.loss_mask[inside], examples[index].loss_mask)
            found.add(index)
        assert (row.tokens[row.segment_ids == 0] == PAD).all()
        assert not row.loss_mask[row.segment_ids == 0].any()
    assert found == set(range(len(examples)))
    assert counts.tokens == sum(lengths)
    assert counts.target_tokens == sum(mask.sum() for mask in masks)


def test_fit_takes_the_tightest_place() -> None:
    # First fit would put the 4 beside the 10, and the 6 would need a third row.
    examples = [Example(np.full(n, n, np.int32), np.ones(n, bool)) for n in (10, 12, 4, 6)]
    rows = list(pack_fit(examples, 16, PAD, PackCounts()))
    assert sorted(sorted(set(row.tokens.tolist())) for row in rows) == [[4, 12], [6, 10]]


# --- documents --------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=40), st.integers(2, 16))
def test_documents_lose_nothing_and_only_long_ones_are_cut(lengths: list[int], row_length: int) -> None:
    # Every token occurs once, and stands for as many bytes as it is large.
    starts = np.cumsum([0, *lengths])
    documents = [np.arange(start, start + n) for start, n in zip(starts, lengths, strict=False)]
    expected = {
        tuple(document[at : at + row_length].tolist()) for document in documents for at in range(0, 99, row_length)
    } - {()}
    counts = PackCounts()
    rows = list(pack_documents(documents, row_length, PAD, counts, np.arange(starts[-1] + 1)))
    found = []
    for row in rows:
        assert (row.tokens[row.segment_ids == 0] == PAD).all()
        for segment in range(1, row.segment_ids.max() + 1):
            inside = row.segment_ids == segment
            found.append(tuple(row.tokens[inside].tolist()))
            assert row.loss_mask[inside].tolist() == [False, *[True] * (inside.sum() - 1)]
    assert len(found) == len(expected) and set(found) == expected
    assert (counts.documents, counts.tokens) == (len(lengths), sum(lengths))
    assert counts.target_tokens == sum(int(row.loss_mask.sum()) for row in rows)
    assert counts.target_bytes == sum(sum(piece[1:]) for piece in found)


def test_best_fit_keeps_few_rows_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "PACKING_BINS", 2)
    drawn = []

    def examples() -> Iterator[Example]:
        for size in (9, 8, 7, 6, 1):
            drawn.append(size)
            yield Example(np.full(size, size, np.int32), np.ones(size, bool))

    first = next(iter(pack_fit(examples(), 10, PAD, PackCounts())))
    assert drawn == [9, 8, 7] and first.tokens.tolist() == [9] * 9 + [PAD]


# --- conversations ----------------------------------------------------------------------------------------------------


def conversation(question: str, answer: str) -> dict:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def write_conversations(path: Path, rows: Sequence[dict]) -> Path:
    write_jsonl(path, rows)
    return path


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A short conversation, one with a long question, and one with a long answer."""
    rows = [conversation("発熱", "はい"), conversation(TEXTS[0], "肺炎"), conversation("主訴は", TEXTS[0])]
    return write_conversations(tmp_path / "three.jsonl", rows)


def test_overlong_conversations_are_dropped_and_counted(tokenizer: Tokenizer, three: Path) -> None:
    counts = PackCounts()
    examples = encode_conversations(tokenizer, [three], 24, "drop", counts)
    assert (counts.documents, counts.dropped, counts.truncated, len(examples)) == (3, 2, 0, 1)
    assert examples[0].tokens.tolist() == tokenizer.encode_chat(conversation("発熱", "はい")["messages"])
    assert counts.target_bytes == len("はい".encode())


def test_truncation_cuts_the_prompt_and_keeps_the_whole_answer(tokenizer: Tokenizer, three: Path) -> None:
    counts = PackCounts()
    examples = encode_conversations(tokenizer, [three], 24, "truncate", counts)
    assert (counts.documents, counts.dropped, counts.truncated, len(examples)) == (3, 1, 1, 2)
    whole, mask = map(np.array, tokenizer.encode_chat_with_mask(conversation(TEXTS[0], "肺炎")["messages"]))
    tokens, loss_mask = examples[1]
    answer = int(mask.sum())
    assert len(tokens) == 24
    np.testing.assert_array_equal(tokens[-answer - 1 :], whole[-answer - 1 :])
    np.testing.assert_array_equal(tokens[: -answer - 1], whole[: 24 - answer - 1])
    np.testing.assert_array_equal(np.flatnonzero(loss_mask), np.arange(24 - answer, 24))
    assert tokens[0] == tokenizer.bos_id and tokens[-1] == tokenizer.eos_id
    assert counts.target_bytes == len("はい".encode()) + len("肺炎".encode())


def test_targets_run_from_behind_assistant_through_the_end_token(tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = write_conversations(tmp_path / "talk.jsonl", [conversation("発熱", "はい"), conversation("咳嗽", "いいえ")])
    rows, packed = read_rows(pack_conversations(tokenizer.path, [path], tmp_path / "rows", row_length=40).path)
    (row,) = packed
    targets = [row.tokens[(row.segment_ids == segment) & row.loss_mask] for segment in (1, 2)]
    assert sorted(tokenizer.decode(ids, skip_special=False) for ids in targets) == [
        "いいえ<|end_of_text|>",
        "はい<|end_of_text|>",
    ]
    before = row.tokens[np.flatnonzero(np.diff(row.loss_mask.astype(int)) == 1)]
    assert (before == tokenizer.assistant_id).all()
    assert rows.config == {"mode": "fit", "row_length": 40, "vocab_size": tokenizer.vocab_size, "sources": {"talk": []}}
    assert rows.counts["target_tokens"] == row.loss_mask.sum()
    assert rows.inputs["tokenizer"] == tokenizer.fingerprint == Tokenizer.load(rows.path / "tokenizer").fingerprint


GOOD = json.dumps(conversation("a", "b"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ('{"text": "a"}', r'no "messages" field \(found: text\)'),
        ('{"messages": "a"}', '"messages" is str, expected list'),
        ('{"messages": []}', "no assistant message"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "no assistant message"),
        ('{"messages": [{"role": "robot", "content": "a"}, {"role": "assistant", "content": "b"}]}', "unknown role"),
        ('{"messages": [{"role": "assistant"}]}', 'no "content" field'),
        ('{"messages": [7, {"role": "assistant", "content": "b"}]}', "message 1 is int"),
        ('{"messages": [{"role": "assistant", "content": null}]}', '"content" is NoneType, expected str'),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(
    tokenizer: Tokenizer, tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text(f"{GOOD}\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"talk\.jsonl:2: .*{message}"):
        pack_conversations(tokenizer.path, [path], tmp_path / "rows", row_length=64)
    assert [entry.name for entry in tmp_path.iterdir()] == ["talk.jsonl"]


def test_conversations_of_which_none_fits_are_refused(tokenizer: Tokenizer, three: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of 3 conversations fits 3 tokens"):
        pack_conversations(tokenizer.path, [three], tmp_path / "rows", row_length=3)


# --- corpus -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus")
    write_jsonl(path / "notes.jsonl", [{"id": str(i), "text": text} for i, text in enumerate(TEXTS)])
    sources = (SourceConfig("notes", ("notes.jsonl",), skip_filters=("too_short",)),)
    return build_corpus(CorpusConfig("notes", sources), path / "corpus", data=path).path


def test_a_corpus_comes_back_from_its_rows(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    rows, packed = read_rows(pack_corpus(tokenizer.path, corpus, tmp_path / "rows", row_length=32).path)
    ids = np.concatenate([row.tokens[row.segment_ids > 0] for row in packed])
    documents = np.split(ids, np.flatnonzero(ids == tokenizer.bos_id)[1:])
    assert {tokenizer.decode(document) for document in documents} == set(map(clean, TEXTS))
    assert all(document[-1] == tokenizer.eos_id for document in documents)
    assert rows.config == {
        "mode": "concat",
        "row_length": 32,
        "vocab_size": tokenizer.base_vocab_size,
        "sources": {"notes": ["unknown"]},
    }
    assert rows.inputs == {
        "tokenizer": tokenizer.fingerprint,
        "source": artifact.open_artifact(corpus, "corpus").fingerprint,
    }
    assert (rows.counts["rows"], rows.counts["documents"], rows.counts["tokens"]) == (len(packed), len(TEXTS), len(ids))
    assert rows.counts["target_bytes"] == sum(len(clean(text).encode()) for text in TEXTS)


def test_two_processes_make_the_same_rows(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "DOCUMENTS_A_BATCH", 2)
    one = pack_corpus(tokenizer.path, corpus, tmp_path / "one", row_length=32)
    two = pack_corpus(tokenizer.path, corpus, tmp_path / "two", row_length=32, workers=2)
    assert two.fingerprint == one.fingerprint
    assert two.counts == one.counts


def test_documents_are_packed_as_often_as_the_mixture_says(tokenizer: Tokenizer, tmp_path: Path) -> None:
    for name, text in (("a", TEXTS[0]), ("b", TEXTS[1])):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"id": "0", "text": text, "license": "CC0"}])
    skip = ("too_short",)
    sources = (
        SourceConfig("a", ("a.jsonl",), epochs=3, skip_filters=skip),
        SourceConfig("b", ("b.jsonl",), skip_filters=skip),
    )
    corpus = build_corpus(CorpusConfig("mixed", sources), tmp_path / "corpus", data=tmp_path)
    rows = pack_corpus(tokenizer.path, corpus.path, tmp_path / "rows", row_length=32)
    assert rows.counts["documents"] == 4


def test_a_corpus_of_other_cleaning_rules_is_refused(
    tokenizer: Tokenizer, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "RULES_VERSION", 99)
    with pytest.raises(InputError, match=r"not by today's, 99\. Build it again"):
        pack_corpus(tokenizer.path, corpus, tmp_path / "rows", row_length=32)


def test_an_existing_output_is_kept(tokenizer: Tokenizer, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    with pytest.raises(InputError, match=r"rows exists\. Give another name, or --overwrite"):
        pack_corpus(tokenizer.path, corpus, tmp_path / "rows", row_length=32)
    assert list((tmp_path / "rows").iterdir()) == []


# --- hold-out ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 60 documents, seen twice."""
    path = tmp_path_factory.mktemp("many")
    write_jsonl(path / "notes.jsonl", [{"id": str(i), "text": f"第{i}病日。{TEXTS[i % 5]}"} for i in range(60)])
    sources = (SourceConfig("notes", ("notes.jsonl",), epochs=2, skip_filters=("too_short",)),)
    return build_corpus(CorpusConfig("notes", sources, near_duplicates=False), path / "corpus", data=path).path


def texts_of_rows(tokenizer: Tokenizer, path: Path) -> list[str]:
    _, packed = read_rows(path)
    return [tokenizer.decode(row.tokens[row.segment_ids == s]) for row in packed for s in set(row.segment_ids) - {0}]


@pytest.mark.parametrize("mode", ["concat", "documents"])
def test_held_out_documents_are_disjoint_from_the_others(
    tokenizer: Tokenizer, many: Path, tmp_path: Path, mode: pack.CorpusMode
) -> None:
    holdout = Holdout(0.2, tmp_path / "held")
    rows = pack_corpus(tokenizer.path, many, tmp_path / "rows", row_length=400, mode=mode, holdout=holdout)
    held = artifact.open_artifact(tmp_path / "held", "rows")
    every = pack_corpus(tokenizer.path, many, tmp_path / "all", row_length=400, mode=mode)
    assert 0 < held.counts["documents"] < 30
    # Each of two epochs in training, once in validation.
    assert rows.counts["documents"] + 2 * held.counts["documents"] == every.counts["documents"]
    if mode == "documents":
        trained, kept = (texts_of_rows(tokenizer, tmp_path / name) for name in ("rows", "held"))
        assert set(trained).isdisjoint(kept) and len(set(kept)) == len(kept)
        assert set(trained) | set(kept) == set(texts_of_rows(tokenizer, tmp_path / "all"))


def test_the_hold_out_depends_on_the_id_alone(tokenizer: Tokenizer, tmp_path: Path) -> None:
    talks = [conversation(f"質問{i}", f"答{i}") | {"id": f"q{i}"} for i in range(40)]
    repeated = [{**talk, "id": talk["id"] + "#2"} for talk in talks]
    held = set()
    for name, rows in (("a", [*talks, *repeated]), ("b", [*repeated, *talks][::-1])):
        path = write_conversations(tmp_path / f"{name}.jsonl", rows)
        holdout = Holdout(0.25, tmp_path / f"{name}-held")
        packed = pack_conversations(tokenizer.path, [path], tmp_path / name, row_length=40, holdout=holdout)
        kept = texts_of_rows(tokenizer, holdout.out)
        assert packed.counts["documents"] + len(kept) == 80
        assert set(texts_of_rows(tokenizer, packed.path)).isdisjoint(kept)
        held.add(tuple(sorted(kept)))
    assert len(held) == 1 and len(held.pop()) % 2 == 0


def test_rows_and_hold_out_are_both_written_or_neither(tokenizer: Tokenizer, three: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    holdout = Holdout(1e-9, tmp_path / "held")
    with pytest.raises(InputError, match="none of 0 held-out conversations"):
        pack_conversations(tokenizer.path, [three], tmp_path / "rows", row_length=64, holdout=holdout)
    same = Holdout(0.5, tmp_path / "rows")
    with pytest.raises(InputError, match="are the same"):
        pack_conversations(tokenizer.path, [three], tmp_path / "rows", row_length=64, holdout=same)
    with pytest.raises(InputError, match="between 0 and 1"):
        Holdout(1.0, tmp_path / "held")
    assert sorted(tmp_path.iterdir()) == before


# --- a tokenizer of Hugging Face --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> PretrainedTokenizer:
    return PretrainedTokenizer.load(write_tokenizer(tmp_path_factory.mktemp("pretrained") / "tokenizer"))


@pytest.mark.parametrize("mode", ["concat", "documents"])
def test_a_pretrained_tokenizer_packs_a_corpus(
    pretrained: PretrainedTokenizer,
    corpus: Path,
    tmp_path: Path,
    mode: pack.CorpusMode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The rules of our tokenizer are no concern of this one.
    monkeypatch.setattr(pack, "RULES_VERSION", 99)
    rows, packed = read_rows(pack_corpus(pretrained.path, corpus, tmp_path / "rows", row_length=600, mode=mode).path)
    segments = [row.tokens[row.segment_ids == s].tolist() for row in packed for s in set(row.segment_ids) - {0}]
    if mode == "documents":
        assert sorted(segments) == sorted(pretrained.document_ids(clean(text)) for text in TEXTS)
        first = sum(pretrained.byte_counts()[ids[0]] for ids in segments)
        assert rows.counts["target_bytes"] == sum(len(clean(text).encode()) for text in TEXTS) - first
    assert rows.config["vocab_size"] == pretrained.vocab_size
    assert rows.inputs["tokenizer"] == PretrainedTokenizer.load(rows.path / "tokenizer").fingerprint


def test_truncation_cuts_only_what_the_user_says(pretrained: PretrainedTokenizer, tmp_path: Path) -> None:
    long = conversation(TEXTS[0], "はい")["messages"]
    path = write_conversations(tmp_path / "talk.jsonl", [{"messages": long}])
    frame = pretrained.encode_chat(conversation("", "はい")["messages"])
    (short,) = encode_conversations(pretrained, [path], len(frame) + 5, "truncate", PackCounts())
    text = pretrained.decode(short.tokens, skip_special=False)
    whole = pretrained.encode(TEXTS[0])
    assert text == pretrained.decode(frame, skip_special=False).replace(
        "user\n", "user\n" + pretrained.decode(whole[:5])
    )
    counts = PackCounts()
    assert encode_conversations(pretrained, [path], len(frame) - 1, "truncate", counts) == []
    assert counts.dropped == 1
