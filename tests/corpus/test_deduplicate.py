"""Shingles, signatures and clusters of near duplicates, against exact sets and against datatrove's own clustering."""

import random
from pathlib import Path

import numpy as np
import pytest
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupCluster

from jmed_jax.corpus import deduplicate
from jmed_jax.corpus.deduplicate import KeepFirst, NearSignature, minhash_config

SYLLABLES = "あいうえおかきくけこさしすせそ発熱咳嗽肺炎血圧糖尿"


def text(seed: int, length: int = 400) -> str:
    return "".join(random.Random(seed).choices(SYLLABLES, k=length))


def changed(original: str, characters: int) -> str:
    """The text with a run of its characters replaced."""
    return original[:-characters] + text(999, characters)


def jaccard(a: str, b: str) -> float:
    first, second = ({t[i : i + 5] for i in range(len(t) - 4)} for t in (a, b))
    return len(first & second) / len(first | second)


def test_shingles_are_the_different_character_5_grams(tmp_path: Path) -> None:
    signature = NearSignature(tmp_path)
    sample = text(1)
    assert len(signature.get_shingles(sample)) == len({sample[i : i + 5] for i in range(len(sample) - 4)})
    assert len(signature.get_shingles("発熱です")) == 0
    assert len(signature.get_shingles("発熱です。か")) == 1


def test_shingles_do_not_see_punctuation_space_and_case(tmp_path: Path) -> None:
    signature = NearSignature(tmp_path)
    plain, written = "crpは高値であったため入院", "CRP は、高値であった\nため「入院」。"
    np.testing.assert_array_equal(signature.get_shingles(plain), signature.get_shingles(written))


def test_signatures_estimate_the_share_of_common_shingles(tmp_path: Path) -> None:
    signature = NearSignature(tmp_path)
    original = text(1, 4000)
    for replaced in (200, 1000, 2000):
        other = changed(original, replaced)
        a, b = (np.concatenate(signature.get_signature(signature.get_shingles(t))) for t in (original, other))
        # 117 hashes: three standard deviations are at most .14.
        assert abs((a == b).mean() - jaccard(original, other)) < 0.14


def test_long_texts_give_the_same_signature_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = NearSignature(tmp_path)
    shingles = signature.get_shingles(text(1, 3000))
    whole = signature.get_signature(shingles)
    monkeypatch.setattr(deduplicate, "_CHUNK", 100)
    assert signature.get_signature(shingles) == whole


def removed(folder: Path) -> set[tuple[int, int]]:
    """(task, place) of every document that a `.remove` file names."""
    return {
        (int(path.stem), int(place)) for path in folder.glob("*.remove") for place in np.fromfile(path, dtype="<u4")
    }


def test_all_but_the_first_of_a_cluster_go_and_as_many_as_datatrove_drops(tmp_path: Path) -> None:
    originals = [text(seed) for seed in range(30)]
    tasks = [originals[:20], [*(changed(t, 8) for t in originals[5:15]), *originals[20:]], [originals[25], text(500)]]
    for rank, texts in enumerate(tasks):
        documents = [Document(text=t, id=str(i)) for i, t in enumerate(texts)]
        NearSignature(tmp_path / "signatures").run(documents, rank, len(tasks))
    for bucket in range(deduplicate.BUCKETS):
        buckets = MinhashDedupBuckets(str(tmp_path / "signatures"), str(tmp_path / "pairs"), config=minhash_config())
        buckets.run(None, bucket, deduplicate.BUCKETS)
    KeepFirst(tmp_path / "pairs", tmp_path / "ours").run()
    MinhashDedupCluster(str(tmp_path / "pairs"), str(tmp_path / "theirs"), config=minhash_config()).run()
    assert removed(tmp_path / "ours") == {*((1, place) for place in range(10)), (2, 0)}
    assert len(removed(tmp_path / "theirs")) == 11


def test_clusters_join_over_buckets() -> None:
    # 1-2 in one bucket, 2-0 in another: one cluster of three, though no bucket has them all.
    buckets = [np.array([[1, 2]], np.uint64), np.array([[2, 0], [7, 8]], np.uint64)]
    assert deduplicate._duplicates(buckets).tolist() == [1, 2, 8]


def test_no_pairs_are_no_duplicates(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "00000_00.dups").write_bytes(b"")
    KeepFirst(tmp_path / "pairs", tmp_path / "removals").run()
    assert removed(tmp_path / "removals") == set()
