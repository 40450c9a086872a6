"""From sources to a corpus: what is kept, what is dropped, the record of it; the same corpus however it is built."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.corpus import tasks
from jmed_jax.corpus.config import CorpusConfig, SourceConfig
from jmed_jax.corpus.documents import iter_corpus, iter_documents
from jmed_jax.corpus.executors import Executor
from jmed_jax.corpus.pipeline import build_corpus, submit_corpus
from jmed_jax.corpus.sources import plain_sources
from jmed_jax.errors import InputError
from jmed_jax.jsonl import write_jsonl as write_rows
from tests.corpus import slurm
from tests.corpus.texts import document, write_jsonl

GOOD = document(1)
OTHER = document(2)


def build(out: Path, *paths: Path, **changes: Any) -> Artifact:
    return build_corpus(CorpusConfig("test", plain_sources(paths), **changes), out)


def report(corpus: Path) -> dict[str, Any]:
    return json.loads((corpus / "report.json").read_text(encoding="utf-8"))


def test_documents_are_cleaned_and_carry_source_license_and_origin(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "notes.jsonl", [GOOD + "ＣＴを撮った。"], source="架空の病院", title="症例　１")
    built = build(tmp_path / "corpus", source)
    assert list(iter_documents(built.path)) == [
        {
            "id": "notes/0",
            "text": GOOD + "CTを撮った。",
            "source": "notes",
            "license": "CC0",
            "origin": "架空の病院",
            "title": "症例 1",
        }
    ]


def test_counts_by_source_and_reason_with_examples(tmp_path: Path) -> None:
    first = write_jsonl(tmp_path / "a.jsonl", [GOOD, "短い。", GOOD.replace("。", "。 ")])
    second = write_jsonl(tmp_path / "b.jsonl", [OTHER, GOOD, "😀"])
    built = build(tmp_path / "corpus", first, second)
    assert built.counts["documents"] == 2
    assert built.counts["dropped"] == {"too_short": 1, "exact_duplicate": 2, "empty": 1}
    assert built.counts["sources"]["a"]["dropped"] == {"too_short": 1, "exact_duplicate": 1}
    sources = report(built.path)["sources"]
    assert sources["a"]["read"]["documents"] == 3 and sources["a"]["kept"]["documents"] == 1
    assert sources["a"]["examples"]["too_short"] == [{"id": "a/1", "text": "短い。", "detail": "3"}]
    assert sources["b"]["examples"]["exact_duplicate"][0]["id"] == "b/1"
    assert sources["b"]["licenses"] == {"CC0": 3}
    assert sources["a"]["measures"]["too_short"]
    assert set(built.inputs) == {"a/a", "b/b"}


def test_near_duplicates_go_across_sources_and_the_first_source_wins(tmp_path: Path) -> None:
    text = document(3, sentences=12)
    better = write_jsonl(tmp_path / "better.jsonl", [text])
    web = write_jsonl(tmp_path / "another.jsonl", ["転載：" + text + "（了）", OTHER])
    built = build(tmp_path / "corpus", better, web)
    assert [row["id"] for row in iter_documents(built.path)] == ["better/0", "another/1"]
    assert built.counts["dropped"] == {"near_duplicate": 1}
    kept = build(tmp_path / "all", better, web, near_duplicates=False)
    assert kept.counts["documents"] == 3


def test_personal_data_is_removed_and_counted(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", [GOOD + "電話は090-1234-5678、患者ID:12345678です。"])
    built = build(tmp_path / "plain", source)
    assert "090" not in next(iter_corpus(built.path)) and "12345678" in next(iter_corpus(built.path))
    built = build(tmp_path / "strict", source, personal_data=("patient_id",))
    assert "12345678" not in next(iter_corpus(built.path))
    assert report(built.path)["sources"]["a"]["personal_data"] == {"patient_id": 1, "telephone": 1}


def test_contaminated_documents_are_dropped_and_listed(tmp_path: Path) -> None:
    question = document(7)[:60]
    write_jsonl(tmp_path / "exam" / "2018.jsonl", [question])
    source = write_jsonl(tmp_path / "a.jsonl", [GOOD, OTHER + question + document(9)])
    built = build(tmp_path / "corpus", source, evaluation_sets=(str(tmp_path / "exam"),))
    assert built.counts["dropped"] == {"contaminated": 1}
    rows = [json.loads(line) for line in (built.path / "contaminated.jsonl").open(encoding="utf-8")]
    assert [(row["id"], row["source"]) for row in rows] == [("a/1", "a")]
    assert rows[0]["span"] in OTHER + question + document(9)
    assert report(built.path)["contaminated"] == rows


def test_a_source_can_skip_a_filter_and_thresholds_can_be_set(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", ["短い文である。", GOOD])
    source = SourceConfig("a", ("a.jsonl",))
    strict = build_corpus(CorpusConfig("c", (source,)), tmp_path / "strict", data=tmp_path)
    skipping = dataclasses.replace(source, skip_filters=("too_short",))
    lenient = build_corpus(CorpusConfig("c", (skipping,)), tmp_path / "lenient", data=tmp_path)
    lower = CorpusConfig("c", (source,), thresholds={"too_short": 5})
    low = build_corpus(lower, tmp_path / "low", data=tmp_path)
    assert [made.counts["documents"] for made in (strict, lenient, low)] == [1, 2, 2]
    assert low.config["filters"]["too_short"] == 5


def test_the_mixture_stands_in_manifest_and_report(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [GOOD])
    write_jsonl(tmp_path / "b.jsonl", [OTHER])
    sources = (SourceConfig("a", ("a.jsonl",), epochs=2), SourceConfig("b", ("b.jsonl",), synthetic=True))
    built = build_corpus(CorpusConfig("c", sources, synthetic_cap=0.1), tmp_path / "corpus", data=tmp_path)
    mixture = report(built.path)["mixture"]
    assert built.config["epochs"]["a"] == 2 and 0 < built.config["epochs"]["b"] < 1
    assert mixture["synthetic_share"] == pytest.approx(0.1, abs=0.01)
    assert mixture["notes"]


def test_bad_records_are_counted_and_the_good_ones_kept(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", [GOOD, OTHER])
    source.write_bytes(source.read_bytes() + b'{"text": "\xff"}\n{"id": "x"}\n')
    built = build(tmp_path / "corpus", source)
    assert (built.counts["documents"], built.counts["lost_records"]) == (2, 2)
    problems = report(built.path)["sources"]["a"]["problems"]
    assert sorted(place for entry in problems.values() for place in entry["places"]) == ["a.jsonl:3", "a.jsonl:4"]


def test_no_document_left_is_an_error_that_says_why_and_leaves_no_corpus(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", ["短い。", "hello"])
    with pytest.raises(InputError, match=r"no document is left\. Dropped: too_short 2"):
        build(tmp_path / "corpus", source)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_wrong_field_is_found_before_any_work(tmp_path: Path) -> None:
    good = write_jsonl(tmp_path / "a.jsonl", [GOOD])
    wrong = tmp_path / "b.jsonl"
    wrong.write_text('{"body": "本文"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="--text-field body"):
        build(tmp_path / "corpus", good, wrong)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl"]


def test_an_existing_corpus_stays_without_overwrite(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "a.jsonl", [GOOD])
    before = build(tmp_path / "corpus", source).fingerprint
    with pytest.raises(InputError, match="--overwrite"):
        build(tmp_path / "corpus", source)
    write_jsonl(source, [OTHER])
    config = CorpusConfig("test", plain_sources([source]))
    assert build_corpus(config, tmp_path / "corpus", overwrite=True).fingerprint != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "corpus"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds": {"no_such": 1.0}}, "no_such"),
        ({"personal_data": ("no_such",)}, "no_such"),
        ({"evaluation_sets": ("no_such",)}, "no_such"),
    ],
)
def test_unknown_options_are_errors(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(tmp_path / "corpus", write_jsonl(tmp_path / "a.jsonl", [GOOD]), **change)


def test_a_filter_to_skip_must_exist(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [GOOD])
    source = SourceConfig("a", ("a.jsonl",), skip_filters=("no_such",))
    with pytest.raises(InputError, match="no filter no_such"):
        build_corpus(CorpusConfig("c", (source,)), tmp_path / "corpus", data=tmp_path)


# --- the same corpus however it is built ------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four files, a task each, with duplicates between them."""
    monkeypatch.setattr(tasks, "SMALLEST_TASK_BYTES", 1)
    folder = tmp_path / "raw"
    for number in range(4):
        texts = [document(seed, sentences=12) for seed in range(number * 30, number * 30 + 40)]
        write_jsonl(folder / f"part-{number}.jsonl", [*texts, "短い。", texts[0] + "追記はない。"])
    return folder


def fingerprint(config: CorpusConfig, out: Path, executor: Executor) -> str:
    return build_corpus(config, out, executor=executor).fingerprint


def test_the_number_of_workers_and_of_tasks_does_not_matter(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CorpusConfig("c", plain_sources([raw]))
    one = build_corpus(config, tmp_path / "one")
    assert {name for name in one.files if name.startswith("documents")} == {
        f"documents-{rank:05d}.jsonl.zst" for rank in range(4)
    }
    assert fingerprint(config, tmp_path / "two", Executor("local", 2)) == one.fingerprint
    monkeypatch.setattr(tasks, "SMALLEST_TASK_BYTES", 10**9)
    single = build_corpus(config, tmp_path / "single")
    assert list(iter_documents(single.path)) == list(iter_documents(one.path))
    assert report(single.path) == report(one.path)


@pytest.mark.slow
def test_slurm_builds_the_same_corpus(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CorpusConfig("c", plain_sources([raw]))
    here = build_corpus(config, tmp_path / "here")
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, value in slurm.install(commands).items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "there"
    assert submit_corpus(config, out, {"partition": "cpu", "time": "1:00:00"}) == 4
    # Behind every stage comes a job of the same name that adds up datatrove's statistics.
    jobs = dict.fromkeys((commands / "log").read_text(encoding="utf-8").splitlines())
    assert list(jobs) == [
        f"jmed-{stage} 0" for stage in ("clean", "equal", "sign", "match", "cluster", "keep", "finish")
    ]
    assert artifact.open_artifact(out, "corpus").fingerprint == here.fingerprint
    # The folder of the jobs is still there; the next call sees that they are done, and cleans up.
    assert build_corpus(config, out).fingerprint == here.fingerprint
    assert not list(tmp_path.glob(".there*"))
    with pytest.raises(InputError, match="--overwrite"):
        build_corpus(config, out)


def test_slurm_needs_a_partition(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--slurm partition=NAME"):
        submit_corpus(CorpusConfig("c", plain_sources([raw])), tmp_path / "corpus", {"time": "1:00:00"})


@pytest.mark.slow
def test_ray_builds_the_same_corpus(raw: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'jmed_jax[ray]'")
    config = CorpusConfig("c", plain_sources([raw]))
    here = build_corpus(config, tmp_path / "here")
    assert fingerprint(config, tmp_path / "there", Executor("ray", 2)) == here.fingerprint


def test_a_failed_build_goes_on_with_the_tasks_that_are_left(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jmed_jax.corpus import steps

    config = CorpusConfig("c", plain_sources([raw]))
    expected = build_corpus(config, tmp_path / "expected").fingerprint
    read: list[str] = []
    original = steps.read_documents

    def failing(source: SourceConfig, *arguments: Any) -> Any:
        read.append(source.name)
        if len(read) == 3:
            raise OSError("the disk went away")
        return original(source, *arguments)

    monkeypatch.setattr(steps, "read_documents", failing)
    with pytest.raises(OSError, match="went away"):
        build_corpus(config, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()
    assert build_corpus(config, tmp_path / "corpus").fingerprint == expected
    assert read == ["part-0", "part-1", "part-2", "part-2", "part-3"]


def test_an_error_in_a_worker_loses_no_document(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file comes back, and so do its documents and those of the other worker."""
    from jmed_jax.corpus import pipeline

    config = CorpusConfig("c", plain_sources([raw]))
    expected = build_corpus(config, tmp_path / "expected").fingerprint
    # Found when its task begins, not before.
    monkeypatch.setattr(pipeline, "_read_a_little", lambda _tasks: None)
    prepared = pipeline._prepare(config, tmp_path / "corpus", Path(), False)
    away = (raw / "part-2.jsonl").rename(tmp_path / "away")
    with pytest.raises(InputError, match="part-2"), pipeline.unfinished(prepared.out, prepared.settings) as folder:
        pipeline.run_stages(prepared.stages(), folder, Executor("local", 2))
    away.rename(raw / "part-2.jsonl")
    assert fingerprint(config, tmp_path / "corpus", Executor("local", 2)) == expected


def test_a_shard_that_is_missing_is_no_empty_one(raw: Path, tmp_path: Path) -> None:
    from jmed_jax.corpus import pipeline

    config = CorpusConfig("c", plain_sources([raw]))
    prepared = pipeline._prepare(config, tmp_path / "corpus", Path(), False)
    prepared.folder.mkdir()
    pipeline.run_stages(prepared.stages()[:1], prepared.folder, Executor())
    (prepared.folder / "cleaned" / "00002.jsonl.zst").unlink()
    with pytest.raises(InputError, match="00002"):
        build_corpus(config, tmp_path / "corpus")


def test_a_killed_worker_is_named_as_what_it_is() -> None:
    from jmed_jax.corpus import executors

    with pytest.raises(InputError, match="a worker was killed"), executors._workers(Executor("local", 2)) as pool:
        assert pool is not None
        pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()


def test_a_record_that_was_being_written_when_the_build_was_killed_is_not_read(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jmed_jax.corpus import pipeline

    def be_killed(self: Any, *_: Any) -> None:
        # What `replacing` leaves, whole or not, when its process ends without a word.
        record = next(self.records.glob("[0-9]*.record.json"))
        record.with_name(f".partial-0123456789ab.{record.name}").write_bytes(record.read_bytes())
        record.with_name(f".partial-ba9876543210.{record.name}").touch()
        raise OSError("stopped")

    config = CorpusConfig("c", plain_sources([raw]))
    expected = build_corpus(config, tmp_path / "expected").fingerprint
    with monkeypatch.context() as patched:
        patched.setattr(pipeline.Finish, "run", be_killed)
        with pytest.raises(OSError, match="stopped"):
            build_corpus(config, tmp_path / "corpus")
    assert build_corpus(config, tmp_path / "corpus").fingerprint == expected


def test_changed_sources_are_not_mixed_with_an_unfinished_build(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jmed_jax.corpus import pipeline

    def fail(*_: Any) -> None:
        raise OSError("stopped")

    config = CorpusConfig("c", plain_sources([raw]))
    with monkeypatch.context() as patched:
        patched.setattr(pipeline.deduplicate.KeepFirst, "run", fail)
        with pytest.raises(OSError, match="stopped"):
            build_corpus(config, tmp_path / "corpus")
    write_jsonl(raw / "part-0.jsonl", [document(900)])
    rows = [row["id"] for row in iter_documents(build_corpus(config, tmp_path / "corpus").path)]
    assert [name for name in rows if name.startswith("part-0/")] == ["part-0/0"]


def test_two_builds_of_one_corpus_do_not_get_in_each_others_way(raw: Path, tmp_path: Path) -> None:
    from jmed_jax.corpus import pipeline

    config = CorpusConfig("c", plain_sources([raw]))
    prepared = pipeline._prepare(config, tmp_path / "corpus", Path(), False)
    with (
        pytest.raises(InputError, match="another process"),
        pipeline.unfinished(prepared.out, prepared.settings),
    ):
        build_corpus(config, tmp_path / "corpus")


_BUILD = """
import sys
from pathlib import Path
from jmed_jax.corpus import tasks
from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.corpus.executors import Executor
from jmed_jax.corpus.pipeline import build_corpus
from jmed_jax.corpus.sources import plain_sources

if __name__ == "__main__":
    tasks.SMALLEST_TASK_BYTES = 1
    config = CorpusConfig("c", plain_sources([Path(sys.argv[1])]))
    build_corpus(config, Path(sys.argv[2]), executor=Executor("local", int(sys.argv[3])))
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_killed_anywhere_ends_as_if_it_had_not_been(workers: int, raw: Path, tmp_path: Path) -> None:
    for number in range(4):
        # Long enough to be killed in the middle of something.
        write_jsonl(raw / f"more-{number}.jsonl", [document(10_000 * number + n, sentences=12) for n in range(1500)])
    expected = build_corpus(CorpusConfig("c", plain_sources([raw])), tmp_path / "expected").fingerprint
    script = tmp_path / "build.py"
    script.write_text(_BUILD, encoding="utf-8")
    command = [sys.executable, str(script), str(raw), str(tmp_path / "corpus"), str(workers)]
    draw = random.Random(workers)
    kills = 0
    while kills < 6 and not (tmp_path / "corpus").exists():
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(draw.uniform(1.0, 3.0))
        if process.poll() is None:
            # Its workers too: they stand in its session.
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    if kills == 6 or [path for path in tmp_path.iterdir() if "unfinished" in path.name]:
        subprocess.run(command, check=True)
    assert kills > 0
    assert artifact.open_artifact(tmp_path / "corpus", "corpus").fingerprint == expected
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]


_PEAK = """
import resource, sys
from pathlib import Path
from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.corpus.pipeline import build_corpus
from jmed_jax.corpus.sources import plain_sources

build_corpus(CorpusConfig("c", plain_sources([Path(sys.argv[1])])), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    """Nine times the text, 4 and 36 MB of it, with as many duplicates; a build that held it would need 50 MB more."""

    def peak(megabytes: int) -> int:
        source = tmp_path / f"{megabytes}.jsonl.gz"
        # About 1 kB each, a quarter of them twice.
        count = megabytes * 1000
        texts = (document(n % (count * 3 // 4), sentences=8) for n in range(count))
        rows = ({"id": str(n), "text": text, "license": "CC0"} for n, text in enumerate(texts))
        write_rows(source, rows)
        command = [sys.executable, "-c", _PEAK, str(source), str(tmp_path / str(megabytes))]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    small = peak(4)
    assert peak(36) < small + 25


# --- real text --------------------------------------------------------------------------------------------------------


def test_a_corpus_of_medical_documents_passes_the_filters(real_data: Path, tmp_path: Path) -> None:
    built = build(tmp_path / "corpus", real_data / "pretrain" / "pediatric_chronic_diseases.jsonl.gz")
    # 735 documents: the filters drop ten, and three say the same of two types of a disease.
    assert built.counts["documents"] >= 720
    assert artifact.open_artifact(built.path, "corpus").counts == built.counts
