"""From raw sources to a "corpus" artefact: the stages of a build and the order they run in (arXiv 2412.16423 §2.1).

clean     read, clean, filter, decontaminate; a hash of every text
equal     which documents are equal
sign      MinHash signatures of the rest
match     pairs of near duplicates, a task for each bucket of hashes
cluster   which near duplicates go
keep      drops both kinds of duplicates and writes the corpus' shards
finish    report, manifest, final name

Between the stages everything is on disk, in a folder beside the corpus that is removed when it is complete.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatrove.pipeline.dedup.exact_dedup import ExactDedupFilter, ExactFindDedups
from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupFilter

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.corpus import deduplicate, steps
from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.corpus.executors import Executor, Stage, run_stages, submit_stages
from jmed_jax.corpus.filters import Filter, default_filters
from jmed_jax.corpus.finish import Finish
from jmed_jax.corpus.personal_data import check_kinds
from jmed_jax.corpus.record import Problems
from jmed_jax.corpus.sources import read_documents
from jmed_jax.corpus.tasks import Task, build_settings, plan_tasks
from jmed_jax.corpus.unfinished import key_of, unfinished, unfinished_folder
from jmed_jax.errors import InputError
from jmed_jax.progress import say
from jmed_jax.tokenizer.clean import RULES_VERSION

LOCAL = Executor()
"""One task after the other, in this process."""


def build_corpus(
    config: CorpusConfig, out: Path, *, data: Path = Path(), executor: Executor = LOCAL, overwrite: bool = False
) -> Artifact:
    """Clean, filter and deduplicate the sources into a "corpus" artefact.

    It holds `documents-*.jsonl.zst`, `report.json`, and `contaminated.jsonl` where evaluation sets were given. A build
    that was interrupted, called again with the same arguments, goes on where it was; the result is the same for every
    executor and number of workers.

    Args:
        data: the folder that the paths of the configuration are relative to.

    Raises:
        InputError: a source is missing or malformed, an option is unknown, no document is left, `out` exists, or
            another process is building it.
    """
    build = _prepare(config, out, data, overwrite)
    with unfinished(build.out, build.settings):
        if not build.is_done:
            try:
                run_stages(build.stages(), build.folder, executor)
            except InputError:
                if (build.folder / "finish").exists():
                    # All text has been looked at, and none is left: going on would end here again.
                    shutil.rmtree(build.folder)
                raise
    return artifact.open_artifact(out, "corpus")


def submit_corpus(
    config: CorpusConfig, out: Path, slurm: Mapping[str, str], *, data: Path = Path(), overwrite: bool = False
) -> int:
    """Submit the same build to Slurm and return the number of its tasks.

    The corpus appears when the last job, `jmed-finish`, has ended. Called again after a failure, it submits what is
    left; after the last job has ended, it removes the folder that the jobs worked in, and returns 0.

    Args:
        slurm: see `executors.submit_stages`.

    Raises:
        InputError: as `build_corpus`, or there is no Slurm here.
    """
    build = _prepare(config, out, data, overwrite)
    if build.is_done:
        shutil.rmtree(build.folder)
        return 0
    submit_stages(build.stages(), build.folder, slurm)
    return len(build.tasks)


def _prepare(config: CorpusConfig, out: Path, data: Path, overwrite: bool) -> "_Build":
    check_kinds(config.personal_data)
    filters = default_filters(config.thresholds)
    _check_filter_names(config, filters)
    # Jobs on a cluster start in another directory.
    out, data = out.absolute(), data.absolute()
    tasks = plan_tasks(config, data)
    rules: dict[str, Any] = {
        "cleaning_rules": RULES_VERSION,
        "filters": {filter_.name: filter_.threshold for filter_ in filters},
        "shingle": deduplicate.SHINGLE,
        "buckets": [deduplicate.BUCKETS, deduplicate.HASHES_PER_BUCKET],
    }
    evaluation_sets = [data / path for path in config.evaluation_sets]
    settings = build_settings(config, tasks, rules, evaluation_sets)
    rules["build"] = key_of(settings)
    folder = unfinished_folder(out, settings)
    # A build that was killed while cleaning up, or that jobs on a cluster finished, which cannot remove their folder.
    is_done = folder.exists() and _made_by(out) == rules["build"]
    if not is_done:
        artifact.check_free(out, overwrite)
        if (folder / "finish" / "completions").exists():
            # It was finished, and the corpus has gone since.
            shutil.rmtree(folder)
    if not folder.exists():
        _tell_of_others(out)
        _read_a_little(tasks)
    return _Build(config, tasks, filters, rules, evaluation_sets, settings, folder, out, overwrite, is_done)


def _made_by(out: Path) -> str | None:
    """Which build made the corpus at `out`, if there is one."""
    if not (out / artifact.MANIFEST).is_file():
        return None
    return artifact.open_artifact(out, "corpus", verify_hashes=False).config.get("build")


def _tell_of_others(out: Path) -> None:
    for left in sorted(out.parent.glob(f".{out.name}.unfinished-*")):
        say(f"{left}: left by a build with other settings or sources. Remove it if nobody goes on with it.")


def _read_a_little(tasks: Sequence[Task]) -> None:
    """Find a wrong field or an unreadable file now, not after hours."""
    for source, path in (entry for task in tasks for entry in task):
        next(read_documents(source, [path], Problems()), None)


def _check_filter_names(config: CorpusConfig, filters: Sequence[Filter]) -> None:
    known = {filter_.name for filter_ in filters}
    for source in config.sources:
        unknown = [name for name in source.skip_filters if name not in known]
        if unknown:
            raise InputError(f"source {source.name}: no filter {unknown[0]}. Known: {', '.join(sorted(known))}.")


@dataclass(frozen=True)
class _Build:
    """What the stages are made from, and where they put things."""

    config: CorpusConfig
    tasks: Sequence[Task]
    filters: Sequence[Filter]
    rules: Mapping[str, Any]
    evaluation_sets: Sequence[Path]
    settings: Mapping[str, Any]
    folder: Path
    out: Path
    overwrite: bool
    is_done: bool

    def stages(self) -> list[Stage]:
        """All stages, in order."""
        near = self._near_duplicate_stages() if self.config.near_duplicates else []
        return [self._clean(), self._equal(), *near, self._keep(), self._finish()]

    @property
    def _records(self) -> Path:
        return self.folder / "records"

    def _clean(self) -> Stage:
        pipeline = [
            steps.Read(self.tasks, self._records),
            steps.Clean(self.config.personal_data, self._records),
            steps.Judge(self.filters, self.config, self._records),
        ]
        if self.evaluation_sets:
            pipeline.append(steps.Decontaminate(self.evaluation_sets, self.config.shared_span, self._records))
        writer = steps.ShardWriter(self.folder / "cleaned")
        signature = deduplicate.ExactSignature(self.folder / "hashes")
        return Stage("clean", [*pipeline, writer, signature], len(self.tasks))

    def _equal(self) -> Stage:
        find = ExactFindDedups(
            str(self.folder / "hashes"), str(self.folder / "equal-documents"), deduplicate.exact_config()
        )
        return Stage("equal", [find], 1)

    def _different(self, recorder: steps.DropRecorder | None = None) -> list[Any]:
        """The cleaned documents without those that equal an earlier one."""
        drop = ExactDedupFilter(str(self.folder / "equal-documents"), deduplicate.exact_config(), recorder)
        return [steps.ReadShard(self.folder / "cleaned"), drop]

    def _near_duplicate_stages(self) -> list[Stage]:
        signatures, pairs = str(self.folder / "signatures"), self.folder / "pairs"
        config = deduplicate.minhash_config()
        match = MinhashDedupBuckets(signatures, str(pairs), config=config, lines_to_buffer=1000)
        return [
            Stage("sign", [*self._different(), deduplicate.NearSignature(self.folder / "signatures")], len(self.tasks)),
            Stage("match", [match], deduplicate.BUCKETS),
            Stage("cluster", [deduplicate.KeepFirst(pairs, self.folder / "near-duplicates")], 1),
        ]

    def _keep(self) -> Stage:
        pipeline = self._different(steps.DropRecorder("exact_duplicate", self._records))
        if self.config.near_duplicates:
            recorder = steps.DropRecorder("near_duplicate", self._records)
            pipeline.append(MinhashDedupFilter(str(self.folder / "near-duplicates"), recorder))
        pipeline += [steps.Keep(self._records), steps.CorpusWriter(self.folder / "documents")]
        return Stage("keep", pipeline, len(self.tasks))

    def _finish(self) -> Stage:
        finish = Finish(
            self.config,
            self.filters,
            self.rules,
            self.folder / "documents",
            self._records,
            self.out,
            self.overwrite,
        )
        return Stage("finish", [finish], 1)
