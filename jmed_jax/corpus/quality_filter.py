"""The quality classifier at work: a corpus without the documents that it calls low quality."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from shutil import copyfile
from typing import Any

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.backends.protocol import Encoder
from jmed_jax.corpus.config import CorpusConfig, SourceConfig
from jmed_jax.corpus.documents import REPORT_FILE, document_shards
from jmed_jax.corpus.finish import CONTAMINATED_FILE, Finish
from jmed_jax.corpus.quality import BATCH, Quality, batched, encode, load_quality
from jmed_jax.corpus.record import Examples, Records, Tally
from jmed_jax.corpus.steps import CONTAMINATED_SUFFIX, INPUTS_SUFFIX, RECORD_SUFFIX, write_json
from jmed_jax.corpus.unfinished import unfinished
from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_jsonl, write_jsonl
from jmed_jax.progress import track

NAME = "low_quality"


@dataclass(frozen=True)
class LowQuality:
    """How the report shows the classifier: as one more filter."""

    threshold: float
    name: str = NAME
    description: str = "The quality classifier's probability that an annotator would say high quality."
    keeps: str = "at least"
    bins: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 20))


def apply_quality(
    corpus: Path,
    quality: Path,
    encoder: Encoder,
    out: Path,
    *,
    threshold: float = 0.5,
    sources: Collection[str] = (),
    overwrite: bool = False,
) -> Artifact:
    """Write a "corpus" artefact of the same shards without the documents whose P("high") is below `threshold`.

    Its report counts them as dropped by `low_quality`, and its mixture is worked out anew. Shard by shard: a call that
    was interrupted, made again, goes on with the shards that are left. Memory holds `BATCH` documents.

    Args:
        sources: names of those that are judged; all if none is given. The paper judges its common corpus, not the
            medical textbooks (arXiv 2412.16423 §2.1).

    Raises:
        InputError: `out` exists, the encoder is not the one of the training, a source is unknown, low quality was
            dropped from this corpus before, or nothing is left.
    """
    artifact.check_free(out, overwrite)
    opened = artifact.open_artifact(corpus, "corpus")
    classifier = load_quality(quality)
    classifier.check_encoder(encoder)
    report = _read_report(opened)
    _check_sources(opened, report, sources)
    judged = sorted(sources or report["sources"])
    inputs = {"corpus": opened.fingerprint, "quality": classifier.fingerprint}
    settings = {**inputs, "threshold": threshold, "sources": judged}
    judge = _Judge(classifier, encoder, LowQuality(threshold), frozenset(judged))
    with unfinished(out, settings) as folder:
        records, documents = folder / "records", folder / "documents"
        for name in track(document_shards(opened), "Judging quality", unit="shards"):
            # The record is written last: a shard that has one is complete.
            if not (records / (name + RECORD_SUFFIX)).exists():
                counts = judge.copy_shard(corpus / name, documents / name)
                write_json(records / (name + RECORD_SUFFIX), counts.to_json())
        write_json(records / ("corpus" + RECORD_SUFFIX), _before(report).to_json())
        write_json(records / ("corpus" + INPUTS_SUFFIX), inputs)
        if CONTAMINATED_FILE in opened.files:
            copyfile(corpus / CONTAMINATED_FILE, records / ("corpus" + CONTAMINATED_SUFFIX))
        rules = _rules(opened.config) | {"quality": {"threshold": threshold, "sources": judged}}
        # The last step of a build only describes them.
        filters: list[Any] = [*map(_Described, report["filters"]), judge.filter]
        Finish(_corpus_config(opened.config), filters, rules, documents, records, out.absolute(), overwrite).run()
    return artifact.open_artifact(out, "corpus")


class _Judge:
    """Keeps and drops documents, and counts."""

    def __init__(self, quality: Quality, encoder: Encoder, filter_: LowQuality, sources: frozenset[str]) -> None:
        self.quality = quality
        self.encoder = encoder
        self.filter = filter_
        self.sources = sources

    def copy_shard(self, source: Path, target: Path) -> Records:
        """Write the documents that are kept, and return what was kept and dropped."""
        records = Records()
        with artifact.replacing(target) as temporary:
            write_jsonl(temporary, self._keep(source, records))
        return records

    def _keep(self, shard: Path, records: Records) -> Iterator[dict[str, Any]]:
        for batch in batched((row for _, row in read_jsonl(shard)), BATCH):
            texts = [row["text"] for row in batch if row["source"] in self.sources]
            probabilities = iter(self.quality.forest.probabilities(encode(self.encoder, texts)))
            for row in batch:
                record = records[row["source"]]
                if row["source"] in self.sources:
                    probability = float(next(probabilities))
                    record.measure(NAME, bisect_right(self.filter.bins, probability))
                    if probability < self.filter.threshold:
                        record.drop(NAME, row["id"], row["text"], f"{probability:.3g}")
                        continue
                record.keep(row["id"], row["text"])
                yield row


# --- the corpus as it was ---------------------------------------------------------------------------------------------


class _Described:
    """A filter of the corpus, as its report describes it."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.__dict__.update(entry)


def _read_report(corpus: Artifact) -> dict[str, Any]:
    if REPORT_FILE not in corpus.files:
        raise InputError(f"{corpus.path}: no {REPORT_FILE} in this corpus. Build it again with `jmed corpus build`.")
    return json.loads((corpus.path / REPORT_FILE).read_text(encoding="utf-8"))


def _check_sources(corpus: Artifact, report: Mapping[str, Any], sources: Collection[str]) -> None:
    unknown = sorted(set(sources) - report["sources"].keys())
    if unknown:
        raise InputError(f"{corpus.path}: no source {unknown[0]}. There are {', '.join(report['sources'])}.")
    if any(entry["name"] == NAME for entry in report["filters"]):
        raise InputError(f"{corpus.path}: low quality was dropped here already. Give the corpus that it was made from.")


def _before(report: Mapping[str, Any]) -> Records:
    """The records of the build without what was kept, which the shards count anew."""
    records = Records.from_json(report["sources"])
    for _, record in records:
        record.kept, record.samples, record.lengths = Tally(), Examples(), Counter()
    return records


def _corpus_config(config: Mapping[str, Any]) -> CorpusConfig:
    """The configuration that a corpus artefact was built with."""
    own = {entry.name: config[entry.name] for entry in fields(CorpusConfig)}
    return CorpusConfig(**{**own, "sources": tuple(SourceConfig(**source) for source in config["sources"])})


def _rules(config: Mapping[str, Any]) -> dict[str, Any]:
    own = {entry.name for entry in fields(CorpusConfig)}
    return {name: value for name, value in config.items() if name not in own}
