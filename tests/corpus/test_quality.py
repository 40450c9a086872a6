import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, confusion_matrix, roc_auc_score

from jmed_jax import artifact
from jmed_jax.backends.protocol import Encoder
from jmed_jax.corpus import quality, quality_filter, tasks
from jmed_jax.corpus.config import CorpusConfig, SourceConfig
from jmed_jax.corpus.documents import iter_documents
from jmed_jax.corpus.labels import agreement, majority_labels, read_labels
from jmed_jax.corpus.mixture import iter_mixture
from jmed_jax.corpus.pipeline import build_corpus
from jmed_jax.corpus.quality import encode, load_quality, train_quality
from jmed_jax.corpus.quality_filter import apply_quality
from jmed_jax.corpus.quality_measures import (
    THRESHOLDS,
    Prices,
    cost_per_million,
    held_out_metrics,
    roc_points,
    threshold_table,
    verdict,
)
from jmed_jax.errors import InputError
from tests.corpus.texts import document, write_jsonl

ADVERTISEMENT = "送料は無料です。"


class Counting(Encoder):
    """Two numbers a text: how much of it advertises, and a hash, which says nothing."""

    name = "counting"

    def __init__(self, fingerprint: str = "1", max_length: int = 512) -> None:
        self.fingerprint = fingerprint
        self.max_length = max_length
        self.tokens = 0
        self.most_at_once = 0
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.most_at_once = max(self.most_at_once, len(texts))
        self.tokens += sum(map(len, texts))
        self.texts += texts
        rows = [(text.count("無料"), sum(map(ord, text)) % 97) for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), 2)


def is_low(row: dict[str, Any]) -> bool:
    return "無料" in row["text"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 documents of two sources; every fourth one of "web" advertises, and of "book" none."""
    folder = tmp_path_factory.mktemp("corpus")
    web = [{"id": str(n), "text": document(n) + ADVERTISEMENT * (n % 4 == 0)} for n in range(160)]
    (folder / "web").mkdir()
    for part in range(4):
        lines = [json.dumps(row) + "\n" for row in web[40 * part : 40 * part + 40]]
        (folder / "web" / f"{part}.jsonl").write_text("".join(lines))
    write_jsonl(folder / "book.jsonl", [document(n) for n in range(1000, 1080)] + ["短い。"])
    sources = (SourceConfig("web", ("web",), license="CC0"), SourceConfig("book", ("book.jsonl",), weight=0.5))
    config = CorpusConfig("test", sources, near_duplicates=False)
    with pytest.MonkeyPatch.context() as patch:
        # A task, and so a shard, for every file.
        patch.setattr(tasks, "SMALLEST_TASK_BYTES", 1)
        return build_corpus(config, folder / "corpus", data=folder).path


def write_labels(path: Path, labels: dict[str, str | None], name: str = "model", **fields: Any) -> Path:
    empty = {"annotator": name, "attempts": 1, "answers": [], "malformed": [], "seconds": 0.5}
    tokens = {"prompt_tokens": 400, "completion_tokens": 4}
    rows = [{"id": i, "label": label, **empty, **tokens, **fields} for i, label in labels.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def labels(corpus: Path) -> dict[str, str | None]:
    return {row["id"]: "low" if is_low(row) else "high" for row in iter_documents(corpus)}


@pytest.fixture(scope="module")
def trained(corpus: Path, labels: dict[str, str | None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    path = write_labels(folder / "labels.jsonl", labels)
    return train_quality(corpus, [path], Counting(), folder / "quality", trees=20).path


# --- training ---------------------------------------------------------------------------------------------------------


def test_a_forest_learns_what_the_vectors_show(trained: Path) -> None:
    record = load_quality(trained).record
    assert record["held_out"]["documents"] == 48
    assert record["held_out"]["accuracy"] == record["held_out"]["roc_auc"] == 1.0
    assert record["held_out"]["baselines"]["majority"]["accuracy"] == pytest.approx(40 / 48)
    assert record["labels"]["documents"] == 240
    assert record["labels"]["high_share"] == pytest.approx(200 / 240)
    assert record["corpus"]["documents"] == 240
    assert record["encoder"] == {"name": "counting", "fingerprint": "1", "max_length": 512}
    half = next(row for row in record["thresholds"] if row["threshold"] == 0.5)
    assert half["dropped_documents"] == pytest.approx(8 / 48)
    assert (half["low_caught"], half["high_lost"], half["dropped_low"]) == (1, 0, 1)


def test_the_same_seed_gives_the_same_forest(corpus: Path, trained: Path, tmp_path: Path) -> None:
    labels = trained.parent / "labels.jsonl"
    files = [artifact.open_artifact(trained, "quality").files["forest.npz"]["sha256"]]
    for seed in (0, 1):
        made = train_quality(corpus, [labels], Counting(), tmp_path / str(seed), trees=20, seed=seed)
        files.append(made.files["forest.npz"]["sha256"])
    assert files[0] == files[1] != files[2]


def test_nothing_in_the_artefact_is_pickled(trained: Path) -> None:
    arrays = np.load(trained / "forest.npz", allow_pickle=False)
    assert all(arrays[name].dtype.kind in "if" for name in arrays.files)


def test_inputs_are_named_by_their_hashes(corpus: Path, trained: Path) -> None:
    made = artifact.open_artifact(trained, "quality")
    assert made.inputs["corpus"] == artifact.open_artifact(corpus, "corpus").fingerprint
    assert made.inputs["encoder"] == "1"
    assert made.inputs["labels labels.jsonl"] == artifact.file_sha256(trained.parent / "labels.jsonl")


@pytest.mark.parametrize("low", [0, 1, 9])
def test_too_few_labels_of_a_kind(corpus: Path, labels: dict[str, str | None], tmp_path: Path, low: int) -> None:
    lows = [i for i, label in labels.items() if label == "low"]
    kept = {i: label for i, label in labels.items() if label == "high" or i in lows[:low]}
    path = write_labels(tmp_path / "labels.jsonl", kept)
    encoder = Counting()
    with pytest.raises(InputError, match=f"200 documents are labelled high and {low} low.*larger --sample"):
        train_quality(corpus, [path], encoder, tmp_path / "quality")
    # It says so before hours of encoding.
    assert encoder.texts == []
    assert not (tmp_path / "quality").exists()


def test_labels_of_another_corpus(corpus: Path, tmp_path: Path) -> None:
    path = write_labels(tmp_path / "labels.jsonl", {f"other/{n}": ("high", "low")[n % 2] for n in range(40)})
    with pytest.raises(InputError, match="none of the labelled documents"):
        train_quality(corpus, [path], Counting(), tmp_path / "quality")


def test_an_encoder_sees_the_beginning_of_a_long_text() -> None:
    encoder = Counting(max_length=10)
    encode(encoder, ["あ" * 1_000_000])
    assert encoder.texts == ["あ" * 80]


# --- labels -----------------------------------------------------------------------------------------------------------


def test_the_majority_is_learned_and_ties_are_left_out(tmp_path: Path) -> None:
    votes = {"a": "hhl", "b": "lll", "c": "hl-", "d": "--h", "e": "---"}
    names = {"h": "high", "l": "low", "-": None}
    files = [
        read_labels(write_labels(tmp_path / f"{n}.jsonl", {i: names[v[n]] for i, v in votes.items()})) for n in range(3)
    ]
    assert majority_labels(files) == {"a": "high", "b": "low", "c": None, "d": "high"}


def test_agreement_is_that_of_scikit_learn_over_what_both_labelled(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    first = {str(n): ("high", "low")[int(draw.random() < 0.3)] for n in range(100)}
    second = {i: (label if draw.random() < 0.8 else "low") for i, label in first.items() if int(i) >= 20}
    second["0"] = None
    a = read_labels(write_labels(tmp_path / "a.jsonl", first))
    b = read_labels(write_labels(tmp_path / "b.jsonl", second))
    (row,) = agreement([a, b])
    pair = [(first[i], label) for i, label in second.items() if label]
    assert (row["a"], row["b"], row["documents"]) == ("a.jsonl", "b.jsonl", 80)
    assert row["equal"] == pytest.approx(sum(x == y for x, y in pair) / 80)
    assert row["kappa"] == pytest.approx(cohen_kappa_score(*zip(*pair, strict=True)))


def test_agreement_of_annotators_that_say_one_thing_only(tmp_path: Path) -> None:
    files = [read_labels(write_labels(tmp_path / f"{n}.jsonl", {"a": "high", "b": "high"})) for n in range(2)]
    (row,) = agreement(files)
    assert (row["equal"], row["kappa"]) == (1.0, None)
    nothing = [files[0], read_labels(write_labels(tmp_path / "c.jsonl", {"c": "low"}))]
    assert agreement(nothing)[0] == {"a": "0.jsonl", "b": "c.jsonl", "documents": 0, "equal": None, "kappa": None}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"label": "high"}', r'labels\.jsonl:2: no "id"'),
        ('{"id": "x", "label": "good"}', r'labels\.jsonl:2: "label" must be "high"'),
        ('{"id": "x"}', r'labels\.jsonl:2: "label" must be "high"'),
        ('{"id": "a", "label": "high"}', r"labels\.jsonl:2: a second row of a"),
        ("[]", r"labels\.jsonl:2"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = write_labels(tmp_path / "labels.jsonl", {"a": "high"})
    with path.open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(InputError, match=message):
        read_labels(path)


def test_a_persons_file_needs_no_more_than_ids_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": "a", "label": "high"}\n{"id": "b", "label": null}\n')
    file = read_labels(path)
    assert file.labels == {"a": "high"}
    assert (file.summary["documents"], file.summary["seconds"]) == (2, 0)


# --- measures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weak() -> tuple[Any, Any, Any]:
    draw = np.random.default_rng(0)
    is_high_N = draw.random(2000) < 0.94
    probability_N = np.clip(0.5 + 0.15 * is_high_N + 0.2 * draw.normal(size=2000), 0, 1)
    return is_high_N, probability_N, draw.integers(10, 1000, 2000)


def test_metrics_are_those_of_scikit_learn(weak: tuple[Any, Any, Any]) -> None:
    is_high_N, probability_N, length_N = weak
    metrics = held_out_metrics(*weak)
    predicted_N = probability_N >= 0.5
    assert metrics["accuracy"] == pytest.approx(accuracy_score(is_high_N, predicted_N))
    assert metrics["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(is_high_N, predicted_N))
    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(is_high_N, probability_N))
    by_length = roc_auc_score(is_high_N, length_N)
    assert metrics["baselines"]["length"]["roc_auc"] == pytest.approx(max(by_length, 1 - by_length))
    shorter_is_better = held_out_metrics(is_high_N, probability_N, 1000 * ~is_high_N + length_N)
    assert shorter_is_better["baselines"]["length"]["roc_auc"] > 0.99
    assert metrics["baselines"]["majority"]["accuracy"] == pytest.approx(is_high_N.mean())
    (low_dropped, low_kept), (high_dropped, high_kept) = confusion_matrix(is_high_N, predicted_N)
    assert metrics["confusion"] == {
        "high_kept": high_kept,
        "high_dropped": high_dropped,
        "low_kept": low_kept,
        "low_dropped": low_dropped,
    }


def test_the_curve_is_short_and_has_the_area(weak: tuple[Any, Any, Any]) -> None:
    points = roc_points(*weak[:2])
    x, y = points["false_positive_rate"], points["true_positive_rate"]
    assert len(x) == len(y) <= 101
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(held_out_metrics(*weak)["roc_auc"], abs=0.01)


def test_the_table_counts_what_each_threshold_drops(weak: tuple[Any, Any, Any]) -> None:
    is_high_N, probability_N, length_N = weak
    rows = threshold_table(*weak)
    assert [row["threshold"] for row in rows] == list(THRESHOLDS)
    row = rows[THRESHOLDS.index(0.6)]
    dropped_N = probability_N < 0.6
    assert row["dropped_documents"] == pytest.approx(dropped_N.mean())
    assert row["dropped_characters"] == pytest.approx(length_N[dropped_N].sum() / length_N.sum())
    assert row["low_caught"] == pytest.approx((dropped_N & ~is_high_N).sum() / (~is_high_N).sum())
    assert row["high_lost"] == pytest.approx((dropped_N & is_high_N).sum() / is_high_N.sum())
    assert row["dropped_low"] == pytest.approx((dropped_N & ~is_high_N).sum() / dropped_N.sum())
    assert threshold_table(is_high_N, np.ones(2000), length_N)[0]["dropped_low"] is None


def test_costs_follow_from_tokens_hours_and_prices(trained: Path) -> None:
    record = load_quality(trained).record
    (annotation,) = record["per_million"]["annotation"]
    # 240 documents of 0.5 s, 400 and 4 tokens each.
    assert annotation["seconds"] == pytest.approx(500_000)
    assert (annotation["prompt_tokens"], annotation["completion_tokens"]) == (400e6, 4e6)
    cost = cost_per_million(record["per_million"], Prices(prompt=0.5, completion=2, hour=3.6, annotator_hour=0.36))
    assert cost["annotation"][0]["cost"] == pytest.approx(400 * 0.5 + 4 * 2 + 50)
    assert cost["labels"] == pytest.approx(258 * 240 / 1e6)
    classification = record["per_million"]["classification"]
    assert cost["classification"] == pytest.approx(classification["seconds"] / 1000)
    assert classification["tokens"] > 0
    assert classification["seconds"] == pytest.approx(
        classification["encoding_seconds"] + classification["forest_seconds"], abs=0.2
    )


def test_the_verdict_says_whether_it_beats_keeping_everything(trained: Path, weak: tuple[Any, Any, Any]) -> None:
    record = dict(load_quality(trained).record)
    cost = cost_per_million(record["per_million"], Prices())
    assert "0.167 more than by keeping everything (0.833)" in verdict(record, cost)[0]
    record |= {"held_out": held_out_metrics(*weak), "thresholds": threshold_table(*weak)}
    assert "less than by keeping everything" in verdict(record, cost)[0]


# --- applying ---------------------------------------------------------------------------------------------------------


def report(path: Path) -> dict[str, Any]:
    return json.loads((path / "report.json").read_text(encoding="utf-8"))


def test_low_quality_is_dropped_and_the_report_says_so(corpus: Path, trained: Path, tmp_path: Path) -> None:
    made = apply_quality(corpus, trained, Counting(), tmp_path / "high")
    kept = [row for row in iter_documents(corpus) if not is_low(row)]
    assert list(iter_documents(made.path)) == kept
    before, after = report(corpus), report(made.path)
    web = after["sources"]["web"]
    assert web["dropped"]["low_quality"]["documents"] == 40
    assert web["kept"] == {"documents": 120, "characters": sum(len(r["text"]) for r in kept if r["source"] == "web")}
    assert len(web["examples"]["low_quality"]) == 5
    assert all("無料" in example["text"] for example in web["examples"]["low_quality"])
    assert sum(web["measures"]["low_quality"].values()) == 160
    assert sum(web["lengths"].values()) == 120
    # What happened before is still there.
    assert after["sources"]["book"]["dropped"] == before["sources"]["book"]["dropped"]
    assert web["read"] == before["sources"]["web"]["read"]
    assert after["filters"][:-1] == before["filters"]
    low_quality = after["filters"][-1]
    assert (low_quality["name"], low_quality["threshold"], low_quality["keeps"]) == ("low_quality", 0.5, "at least")


def test_the_artefact_names_what_it_was_made_from(corpus: Path, trained: Path, tmp_path: Path) -> None:
    made = apply_quality(corpus, trained, Counting(), tmp_path / "high", threshold=0.7)
    before = artifact.open_artifact(corpus, "corpus")
    assert made.inputs == {
        "corpus": before.fingerprint,
        "quality": artifact.open_artifact(trained, "quality").fingerprint,
    }
    assert made.config["quality"] == {"threshold": 0.7, "sources": ["book", "web"]}
    assert made.config["filters"] == before.config["filters"]
    assert made.counts["documents"] == 200
    assert made.counts["dropped"] == before.counts["dropped"] | {"low_quality": 40}
    assert {name for name in made.files if name.startswith("documents")} == {
        name for name in before.files if name.startswith("documents")
    }


def test_the_mixture_is_worked_out_anew(corpus: Path, trained: Path, tmp_path: Path) -> None:
    def book_share(path: Path) -> float:
        characters = {"web": 0, "book": 0}
        for row in iter_mixture(path):
            characters[row["source"]] += len(row["text"])
        return characters["book"] / sum(characters.values())

    made = apply_quality(corpus, trained, Counting(), tmp_path / "high")
    before = artifact.open_artifact(corpus, "corpus").config["epochs"]
    assert made.config["epochs"]["book"] < before["book"]
    assert book_share(corpus) == pytest.approx(0.5, abs=0.06)
    assert book_share(made.path) == pytest.approx(0.5, abs=0.06)


def test_only_the_sources_asked_for_are_judged(corpus: Path, trained: Path, tmp_path: Path) -> None:
    encoder = Counting()
    made = apply_quality(corpus, trained, encoder, tmp_path / "high", threshold=0.99, sources=["book"])
    assert len(encoder.texts) == 80
    assert "low_quality" not in report(made.path)["sources"]["web"]["dropped"]
    with pytest.raises(InputError, match="no source wiki"):
        apply_quality(corpus, trained, Counting(), tmp_path / "other", sources=["wiki"])


def test_documents_are_judged_in_batches(
    corpus: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_filter, "BATCH", 7)
    encoder = Counting()
    made = apply_quality(corpus, trained, encoder, tmp_path / "high")
    assert encoder.most_at_once == 7
    assert made.fingerprint == apply_quality(corpus, trained, Counting(), tmp_path / "same").fingerprint


def test_killed_it_goes_on_with_the_shards_that_are_left(corpus: Path, trained: Path, tmp_path: Path) -> None:
    shards = [name for name in artifact.open_artifact(corpus, "corpus").files if name.startswith("documents")]
    assert len(shards) > 1

    class Dies(Counting):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            if len(self.texts) > 0:
                raise KeyboardInterrupt
            return super().encode(texts)

    first = Dies()
    with pytest.raises(KeyboardInterrupt):
        apply_quality(corpus, trained, first, tmp_path / "high")
    assert not (tmp_path / "high").exists()
    second = Counting()
    made = apply_quality(corpus, trained, second, tmp_path / "high")
    assert len(first.texts) + len(second.texts) == 240
    assert made.fingerprint == apply_quality(corpus, trained, Counting(), tmp_path / "whole").fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["high", "whole"]


def test_another_encoder_is_refused(corpus: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="trained on vectors of counting"):
        apply_quality(corpus, trained, Counting("2"), tmp_path / "high")
    with pytest.raises(InputError, match="--max-length 512"):
        apply_quality(corpus, trained, Counting(max_length=64), tmp_path / "high")


def test_low_quality_is_dropped_once(corpus: Path, trained: Path, tmp_path: Path) -> None:
    made = apply_quality(corpus, trained, Counting(), tmp_path / "high")
    with pytest.raises(InputError, match="dropped here already"):
        apply_quality(made.path, trained, Counting(), tmp_path / "higher")


def test_a_corpus_of_which_nothing_is_left(corpus: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no document is left"):
        apply_quality(corpus, trained, Counting(), tmp_path / "none", threshold=1.1)
    assert not (tmp_path / "none").exists()


def test_batches_are_whole_but_the_last() -> None:
    assert list(quality.batched(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(quality.batched([], 3)) == []
    assert math.isclose(sum(map(len, quality.batched(range(100), 9))), 100)
