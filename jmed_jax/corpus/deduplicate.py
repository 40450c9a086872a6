"""Exact and near duplicates, across all sources, through datatrove's stages.

What is ours: shingles of characters (datatrove's word tokenizers and normalisation are not made for Japanese), and that
of several equal documents the first is kept, in the order of the sources: put the better ones first.
"""

import re
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig, ExactDedupSignature, get_sig_dtype
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.utils.word_tokenizers import WordTokenizer

# Two documents are candidates if all hashes of one bucket agree: with a share s of common shingles that happens with
# probability 1 - (1 - s^13)^9, which is .93 at s = .9, .40 at .8 and .08 at .7. The paper gives no figures; Swallow
# (arXiv 2404.17733 §3) takes character 5-grams and a threshold of .9 for Japanese web text.
SHINGLE = 5
BUCKETS = 9
HASHES_PER_BUCKET = 13

# Priorities are 16 bits.
MOST_TASKS = 65_000


def minhash_config() -> MinhashConfig:
    """The configuration that all stages must share."""
    return MinhashConfig(n_grams=SHINGLE, num_buckets=BUCKETS, hashes_per_bucket=HASHES_PER_BUCKET)


# --- exact duplicates -------------------------------------------------------------------------------------------------


def _content(document: Document) -> str:
    """What must be equal: the text without its white space."""
    return "".join(document.text.split())


def exact_config() -> ExactDedupConfig:
    """Of the stages that look for equal documents and drop them."""
    return ExactDedupConfig(content_getter=_content)


class ExactSignature(ExactDedupSignature):
    """A hash of every document's text; earlier tasks have the higher priority.

    datatrove's own holds a Python tuple a document, ten times as much.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), exact_config())

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        assert world_size <= MOST_TASKS
        hashes = array("Q", (self.hash_fc(_content(document)) for document in data))
        signatures = np.empty(len(hashes), get_sig_dtype(self.config.hash_config))
        signatures["hash"] = hashes
        signatures["priority"] = MOST_TASKS - rank
        signatures["doc"] = np.arange(len(hashes))
        self.save_hashes(rank, signatures)


# --- near duplicates --------------------------------------------------------------------------------------------------

_NOT_COMPARED = re.compile(r"[\W_]+")
# Shingles whose hashes are computed at one time: 8 bytes × 117 hashes × this is about 4 MB, which stays in the cache.
_CHUNK = 4096
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15 * (2 * i + 1) % 2**64 | 1 for i in range(SHINGLE)], dtype=np.uint64)


class _NoTokenizer(WordTokenizer):
    """datatrove wants a tokenizer of words; shingles of characters need none."""

    def word_tokenize(self, text: str) -> list[str]:
        raise AssertionError("not used")

    sent_tokenize = span_tokenize = word_tokenize


class NearSignature(MinhashDedupSignature):
    """MinHash over the sets of character 5-grams, letters and digits only, lower case."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), minhash_config(), language=_NoTokenizer())

    def get_shingles(self, text: str) -> np.ndarray:
        """Hashes of the different shingles, uint64 [N, 1]; none for a text shorter than one."""
        compared = _NOT_COMPARED.sub("", text.lower())
        codes = np.frombuffer(compared.encode("utf-32-le", errors="replace"), np.uint32).astype(np.uint64)
        if len(codes) < SHINGLE:
            return np.empty((0, 1), np.uint64)
        hashes = np.zeros(len(codes) - SHINGLE + 1, np.uint64)
        for i, multiplier in enumerate(_MULTIPLIERS):
            hashes = _mix(hashes ^ (codes[i : i + len(hashes)] * multiplier))
        return np.unique(hashes)[:, None]

    def get_signature(self, shingles: np.ndarray) -> list[list[int]]:
        """The smallest of every permutation's hashes, in buckets, in bounded memory."""
        a, b = self.parameters
        smallest = np.full(self.num_hashes, np.iinfo(np.uint64).max, np.uint64)
        for start in range(0, len(shingles), _CHUNK):
            # The shingles are mixed already, so an odd factor and a shift permute well enough, without a slow modulo.
            hashes = (shingles[start : start + _CHUNK] * (a | np.uint64(1)) + b) >> np.uint64(3)
            np.minimum(smallest, hashes.min(axis=0), out=smallest)
        return [bucket.tolist() for bucket in np.split(smallest, self.config.num_buckets)]


def _mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class KeepFirst(PipelineStep):
    """Clusters the pairs of `MinhashDedupBuckets` and names for removal all but the first document of a cluster.

    In the place of datatrove's `MinhashDedupCluster`, which keeps an arbitrary one and holds every pair in Python
    dictionaries. Memory: some 60 bytes a document that has duplicates, and the pairs of one bucket.

    Args:
        pairs: folder of the `.dups` files.
        removals: folder for the `.remove` files, in the format that `MinhashDedupFilter` reads.
    """

    type = "corpus"
    name = "keep first"

    def __init__(self, pairs: Path, removals: Path) -> None:
        super().__init__()
        self.pairs = pairs
        self.removals = removals

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        assert world_size == 1, "all pairs must be seen"
        self.removals.mkdir(parents=True, exist_ok=True)
        duplicates = _duplicates(_read_pairs(path) for path in sorted(self.pairs.glob("*.dups")))
        files, documents = duplicates >> np.uint64(32), duplicates.astype(np.uint32)
        for file in np.unique(files):
            (self.removals / f"{int(file):06d}.remove").write_bytes(documents[files == file].tobytes())


def _read_pairs(path: Path) -> np.ndarray:
    """Pairs of documents, uint64 [P, 2]: task in the upper half, place in the task in the lower."""
    numbers = np.fromfile(path, "<u4").reshape(-1, 2).astype(np.uint64)
    return ((numbers[:, 0] << np.uint64(32)) | numbers[:, 1]).reshape(-1, 2)


def _duplicates(buckets: Iterable[np.ndarray]) -> np.ndarray:
    """All documents, sorted, that are not the first of their cluster."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # A forest, as pairs of a document and the first of its cluster so far: what earlier buckets amount to.
    forest = np.empty((0, 2), np.uint64)
    for pairs in buckets:
        nodes, places = np.unique(np.concatenate([forest, pairs]), return_inverse=True)
        places = places.reshape(-1, 2)
        edges = coo_array((np.ones(len(places), bool), (places[:, 0], places[:, 1])), shape=(len(nodes), len(nodes)))
        _, labels = connected_components(edges, directed=False)
        # Nodes are sorted, so the first place of a label is the first document.
        _, firsts = np.unique(labels, return_index=True)
        forest = np.stack([nodes, nodes[firsts[labels]]], axis=1)
    return forest[forest[:, 0] != forest[:, 1], 0]
