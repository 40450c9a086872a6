"""The quality classifier: a random forest over a transformer's vectors of documents (arXiv 2412.16423 §2.1).

Axes: N documents, D dimensions of a vector.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.backends.protocol import Encoder
from jmed_jax.corpus import quality_measures
from jmed_jax.corpus.documents import iter_documents
from jmed_jax.corpus.forest import Forest
from jmed_jax.corpus.labels import LabelFile, agreement, majority_labels, read_labels
from jmed_jax.errors import InputError
from jmed_jax.progress import say, track

T = TypeVar("T")

FOREST_FILE = "forest.npz"
QUALITY_FILE = "quality.json"
CHARACTERS_A_TOKEN = 8
"""More than any tokenizer puts into one on average: the text behind that is not even tokenized."""
BATCH = 1024
"""Documents encoded at a time; the encoder sorts them by length."""
FEWEST = 10
"""Labels of a kind without which a held-out fifth says nothing."""


class Sample(NamedTuple):
    """N labelled documents as the forest sees them, and what it took to encode them.

    Attributes:
        vectors: [N, D].
        is_high: [N] the label.
        length: [N] characters.
        seconds, tokens: of encoding all of them.
    """

    vectors: NDArray[np.float32]
    is_high: NDArray[np.bool_]
    length: NDArray[np.int64]
    seconds: float
    tokens: int


@dataclass(frozen=True)
class Quality:
    """A trained classifier.

    Attributes:
        forest: P("high") of a vector.
        record: `quality.json`: what it was trained on, and how well it did.
        fingerprint: of the artefact.
    """

    forest: Forest
    record: Mapping[str, Any]
    fingerprint: str

    def check_encoder(self, encoder: Encoder) -> None:
        """
        Raises:
            InputError: the vectors of `encoder` are not those the forest was trained on.
        """
        trained = self.record["encoder"]
        if (encoder.fingerprint, encoder.max_length) != (trained["fingerprint"], trained["max_length"]):
            raise InputError(
                f"the classifier was trained on vectors of {trained['name']} (--max-length {trained['max_length']}), "
                f"not on those of {encoder.name} (--max-length {encoder.max_length}). Give that encoder."
            )


def load_quality(path: Path) -> Quality:
    """Open a "quality" artefact.

    Raises:
        InputError: it is none, or damaged.
    """
    opened = artifact.open_artifact(path, "quality")
    record = json.loads((path / QUALITY_FILE).read_text(encoding="utf-8"))
    return Quality(Forest.load(path / FOREST_FILE), record, opened.fingerprint)


def encode(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Vectors float32 [N, D] of documents; of each its beginning, as far as the encoder reads."""
    characters = CHARACTERS_A_TOKEN * encoder.max_length
    return encoder.encode([text[:characters] for text in texts])


# --- training ---------------------------------------------------------------------------------------------------------


def train_quality(
    corpus: Path,
    labels: Sequence[Path],
    encoder: Encoder,
    out: Path,
    *,
    trees: int = 300,
    held_out: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
) -> Artifact:
    """Train a forest on labelled documents, measure it on those held out, and write a "quality" artefact.

    It holds `forest.npz` and `quality.json`. The forest that is kept is the one that was measured; the documents held
    out are not added afterwards.

    Args:
        corpus: where the labelled documents are from.
        labels: files of `jmed corpus annotate`, one an annotator. The majority's label is learned; ties are left out.
        trees: of the forest; both labels weigh the same in each, since about 94 % are "high" (§2.1).
        held_out: share of the labelled documents, of each label alike.

    Raises:
        InputError: `out` exists, too few labels of one kind, or no labelled document is in the corpus.
    """
    artifact.check_free(out, overwrite)
    opened = artifact.open_artifact(corpus, "corpus", verify_hashes=False)
    files = [read_labels(path) for path in labels]
    learned = majority_labels(files)
    _check_counts(sum(label == "high" for label in learned.values()), sum(label == "low" for label in learned.values()))
    sample = _encode_labelled(corpus, learned, encoder)
    high = int(sample.is_high.sum())
    _check_counts(high, len(sample.is_high) - high)
    forest, test_I = _fit(sample, trees, held_out, seed)
    record = {
        "encoder": {"name": encoder.name, "fingerprint": encoder.fingerprint, "max_length": encoder.max_length},
        "corpus": {name: opened.counts[name] for name in ("documents", "characters")},
        "labels": _describe_labels(files, learned, sample),
        "agreement": agreement(files),
        **_measure(sample, forest, test_I, files),
    }
    config = {"trees": trees, "held_out": held_out, "seed": seed, "encoder": record["encoder"]}
    with artifact.create(out, "quality", config, overwrite=overwrite) as draft:
        forest.save(draft.path / FOREST_FILE)
        text = json.dumps(record, ensure_ascii=False, indent=1) + "\n"
        (draft.path / QUALITY_FILE).write_text(text, encoding="utf-8")
        draft.inputs |= {"corpus": opened.fingerprint, "encoder": encoder.fingerprint}
        draft.inputs |= {f"labels {path.name}": artifact.file_sha256(path) for path in labels}
        draft.counts |= {"documents": len(sample.is_high), "held_out": len(test_I), "nodes": len(forest.left)}
    return artifact.open_artifact(out, "quality")


def _check_counts(high: int, low: int) -> None:
    if min(high, low) < FEWEST:
        raise InputError(
            f"{high:,} documents are labelled high and {low:,} low; at least {FEWEST} of each are needed. "
            "Label more of them: jmed corpus annotate with a larger --sample."
        )


def _encode_labelled(corpus: Path, learned: Mapping[str, str | None], encoder: Encoder) -> Sample:
    vectors, is_high, lengths = [], [], []
    seconds, tokens = 0.0, encoder.tokens
    for batch in batched(_labelled(corpus, learned), BATCH):
        start = time.perf_counter()
        vectors.append(encode(encoder, [text for _, text in batch]))
        seconds += time.perf_counter() - start
        is_high += [label == "high" for label, _ in batch]
        lengths += [len(text) for _, text in batch]
    if not vectors:
        raise InputError(f"{corpus}: none of the labelled documents is here. Give the corpus that was annotated.")
    return Sample(np.concatenate(vectors), np.array(is_high), np.array(lengths), seconds, encoder.tokens - tokens)


def _labelled(corpus: Path, learned: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """(label, text) of every document that has a label."""
    for row in track(iter_documents(corpus), "Encoding labelled documents", unit="documents read"):
        label = learned.get(row["id"])
        if label:
            yield label, row["text"]


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _fit(sample: Sample, trees: int, held_out: float, seed: int) -> tuple[Forest, NDArray[np.int64]]:
    """The forest, and which documents it has not seen."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    train_I, test_I = train_test_split(
        np.arange(len(sample.is_high)), test_size=held_out, stratify=sample.is_high, random_state=seed
    )
    # The same trees for any number of jobs: each has a seed of its own.
    trained = RandomForestClassifier(trees, class_weight="balanced", random_state=seed, n_jobs=-1)
    trained.fit(sample.vectors[train_I], sample.is_high[train_I].astype(int))
    return Forest.from_sklearn(trained), test_I


def _measure(sample: Sample, forest: Forest, test_I: NDArray[np.int64], files: Sequence[LabelFile]) -> dict[str, Any]:
    start = time.perf_counter()
    probability_N = forest.probabilities(sample.vectors[test_I])
    forest_seconds = quality_measures.MILLION * (time.perf_counter() - start) / len(test_I)
    encoding_seconds = quality_measures.MILLION * sample.seconds / len(sample.is_high)
    is_high_N, length_N = sample.is_high[test_I], sample.length[test_I]
    return {
        "held_out": quality_measures.held_out_metrics(is_high_N, probability_N, length_N),
        "roc": quality_measures.roc_points(is_high_N, probability_N),
        "thresholds": quality_measures.threshold_table(is_high_N, probability_N, length_N),
        "per_million": {
            "annotation": quality_measures.annotation_per_million([file.summary for file in files]),
            "classification": {
                "seconds": round(encoding_seconds + forest_seconds, 1),
                "encoding_seconds": round(encoding_seconds, 1),
                "forest_seconds": round(forest_seconds, 1),
                "tokens": round(quality_measures.MILLION * sample.tokens / len(sample.is_high)),
            },
        },
    }


def _describe_labels(files: Sequence[LabelFile], learned: Mapping[str, str | None], sample: Sample) -> dict[str, Any]:
    labelled = sum(label is not None for label in learned.values())
    missing = labelled - len(sample.is_high)
    if missing:
        say(f"{missing:,} labelled documents are not in this corpus and are left out")
    return {
        "files": [{"file": file.name, **file.summary} for file in files],
        "documents": len(sample.is_high),
        "high_share": float(sample.is_high.mean()),
        "tied": len(learned) - labelled,
        "not_in_corpus": missing,
    }
