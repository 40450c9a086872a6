"""The last step of a build: records merged into the report, shards and report made an artefact."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from jmed_jax import artifact
from jmed_jax.artifact import visible_files
from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.corpus.documents import REPORT_FILE, SHARD_PREFIX
from jmed_jax.corpus.filters import Filter
from jmed_jax.corpus.mixture import Mixture, mix
from jmed_jax.corpus.record import Records
from jmed_jax.corpus.steps import CONTAMINATED_SUFFIX, INPUTS_SUFFIX, RECORD_SUFFIX
from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_jsonl, write_jsonl

CONTAMINATED_FILE = "contaminated.jsonl"
# The report shows so many; the file has them all.
CONTAMINATED_IN_REPORT = 200


class Finish(PipelineStep):
    """Makes the corpus artefact from the shards and records of all tasks.

    Raises:
        InputError: no document is left.
    """

    type = "corpus"
    name = "finish"

    def __init__(
        self,
        config: CorpusConfig,
        filters: Sequence[Filter],
        rules: Mapping[str, Any],
        documents: Path,
        records: Path,
        out: Path,
        overwrite: bool,
    ) -> None:
        super().__init__()
        self.config = config
        self.filters = filters
        self.rules = rules
        self.documents = documents
        self.records = records
        self.out = out
        self.overwrite = overwrite

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> None:
        assert world_size == 1, "there is one corpus"
        records = self._merge_records()
        kept = {source.name: records[source.name].kept for source in self.config.sources}
        if not any(tally.documents for tally in kept.values()):
            raise InputError(f"{self.config.name}: no document is left. {_dropped_in_words(records)}")
        mixture = mix(self.config, {name: tally.characters for name, tally in kept.items()})
        config = {**asdict(self.config), **self.rules, "epochs": dict(mixture.epochs)}
        with artifact.create(self.out, "corpus", config, overwrite=self.overwrite) as draft:
            for shard in sorted(self.documents.glob(SHARD_PREFIX + "*")):
                _link(shard, draft.path / shard.name)
            contaminated = [row for path in self._files(CONTAMINATED_SUFFIX) for _, row in read_jsonl(path)]
            if self.config.evaluation_sets:
                write_jsonl(draft.path / CONTAMINATED_FILE, contaminated)
            report = self._report(records, mixture, contaminated[:CONTAMINATED_IN_REPORT])
            text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
            (draft.path / REPORT_FILE).write_text(text, encoding="utf-8")
            for path in self._files(INPUTS_SUFFIX):
                draft.inputs.update(json.loads(path.read_text(encoding="utf-8")))
            draft.counts.update(_counts(records))

    def _files(self, suffix: str) -> list[Path]:
        return visible_files(self.records, suffix)

    def _merge_records(self) -> Records:
        records = Records()
        for path in self._files(RECORD_SUFFIX):
            records.merge(Records.from_json(json.loads(path.read_text(encoding="utf-8"))))
        return records

    def _report(self, records: Records, mixture: Mixture, contaminated: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        sources = {}
        for source in self.config.sources:
            record = records[source.name]
            epochs = mixture.epochs[source.name]
            sources[source.name] = {
                **record.to_json(),
                "format": source.format,
                "synthetic": source.synthetic,
                "epochs": epochs,
                "mixture_characters": round(epochs * record.kept.characters),
            }
        total = sum(entry["mixture_characters"] for entry in sources.values())
        synthetic = sum(entry["mixture_characters"] for entry in sources.values() if entry["synthetic"])
        return {
            "name": self.config.name,
            "sources": sources,
            "filters": [_describe(filter_) for filter_ in self.filters],
            "mixture": {
                "documents": round(sum(entry["epochs"] * entry["kept"]["documents"] for entry in sources.values())),
                "characters": total,
                "synthetic_share": synthetic / total if total else 0.0,
                "notes": list(mixture.notes),
            },
            "contaminated": list(contaminated),
        }


def _describe(filter_: Filter) -> dict[str, Any]:
    names = ("name", "description", "threshold", "keeps")
    return {name: getattr(filter_, name) for name in names} | {"bins": list(filter_.bins)}


def _link(source: Path, target: Path) -> None:
    """The shards stay in the unfinished build until the artefact is complete: a kill in between loses nothing."""
    try:
        os.link(source, target)
    except OSError:
        # Some network file systems have no hard links.
        shutil.copyfile(source, target)


def _dropped(records: Records) -> dict[str, int]:
    dropped: dict[str, int] = {}
    for _, record in records:
        for reason, tally in record.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + tally.documents
    return dropped


def _dropped_in_words(records: Records) -> str:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in _dropped(records).items())
    return f"Dropped: {reasons}." if reasons else "The sources are empty."


def _counts(records: Records) -> dict[str, Any]:
    return {
        "documents": sum(record.kept.documents for _, record in records),
        "characters": sum(record.kept.characters for _, record in records),
        "dropped": _dropped(records),
        "lost_records": sum(record.problems.lost for _, record in records),
        "sources": {
            name: {**record.kept.to_json(), "dropped": {reason: t.documents for reason, t in record.dropped.items()}}
            for name, record in records
        },
    }
