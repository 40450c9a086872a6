"""Where a model says it comes from: through runs, exports and imports back to the first base."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jmed_jax.artifact import MANIFEST
from jmed_jax.config import DataConfig, LoraConfig, OptimizerConfig
from jmed_jax.convert import peft
from jmed_jax.convert.model_card import Provenance, Score, Stage
from jmed_jax.errors import InputError
from jmed_jax.jsonl import write_jsonl
from jmed_jax.train.provenance import PROVENANCE, SOURCE, Origin, as_json, provenance
from jmed_jax.train.run import METRICS, SCORES, write_run
from tests import tiny


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A Hugging Face directory, as far as provenance looks."""
    path = tmp_path / "Qwen2-tiny"
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return path


def make_run(path: Path, begun_from: Path | str = "", *, rank: int = 0, steps: int = 4, rows: Path | str = "") -> Path:
    """What a trained run holds beside checkpoints."""
    experiment = tiny.experiment(initialize_from=str(begun_from))
    config = replace(
        experiment,
        data=DataConfig(rows=str(rows)),
        optimizer=OptimizerConfig(peak_lr=1e-4),
        lora=LoraConfig(rank=rank, targets=("q_proj",)),
    )
    path.mkdir()
    write_run(path, config, {"rows": "", "tokenizer": ""})
    write_jsonl(path / METRICS, ({"step": step, "tokens": 100 * step} for step in range(1, steps + 1)))
    return path


def make_rows(path: Path, sources: dict[str, list[str]] | None) -> Path:
    path.mkdir()
    config = {"mode": "concat"} | ({"sources": sources} if sources else {})
    (path / MANIFEST).write_text(json.dumps({"config": config, "counts": {}}))
    return path


def test_a_chain_of_runs_names_the_first_base_and_every_stage(base: Path, tmp_path: Path) -> None:
    corpus = make_rows(tmp_path / "rows", {"wiki": ["CC-BY-SA-4.0"], "notes": []})
    mfpt = make_run(tmp_path / "mfpt", base, rows=corpus)
    mpeft = make_run(tmp_path / "mpeft", mfpt, rank=8, steps=2, rows=make_rows(tmp_path / "old", None))
    found = provenance(Origin(mpeft), "m", None)
    assert (found.name, found.base, found.license) == ("m", "Qwen2-tiny", "apache-2.0")
    assert found.stages == (
        Stage("mfpt", "all parameters", 4, 400, 1e-4, ("wiki (CC-BY-SA-4.0)", "notes")),
        Stage("mpeft", "LoRA of rank 8", 2, 200, 1e-4, ("old",)),
    )
    # Of an older checkpoint.
    assert provenance(Origin(mpeft, step=1), "m", None).stages[1][2:4] == (1, 100)


def test_an_export_hands_its_history_on(base: Path, tmp_path: Path) -> None:
    history = provenance(Origin(make_run(tmp_path / "mfpt", base)), "m", None)
    export = tmp_path / "export"
    export.mkdir()
    (export / "config.json").write_text("{}")
    (export / MANIFEST).write_text(json.dumps({"config": {PROVENANCE: as_json(history)}}))
    assert provenance(Origin(export), "m", None) == history
    # Imported again, and trained on.
    imported = make_run(tmp_path / "imported")
    (imported / SOURCE).mkdir()
    (imported / SOURCE / MANIFEST).write_text((export / MANIFEST).read_text())
    further = provenance(Origin(make_run(tmp_path / "further", imported)), "m", None)
    assert further.base == "Qwen2-tiny" and [stage.name for stage in further.stages] == ["mfpt", "further"]


def test_a_peft_directory_stands_behind_its_base_or_the_one_that_is_given(base: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    (adapter / peft.CONFIG).write_text(json.dumps(settings | {"base_model_name_or_path": "Qwen/Qwen2-7B"}))
    stages = (Stage("adapter", "LoRA of rank 4"),)
    assert provenance(Origin(adapter), "m", None) == Provenance("m", "Qwen/Qwen2-7B", stages=stages)
    given = provenance(Origin(adapter, base), "m", None)
    assert given == Provenance("m", "Qwen2-tiny", "apache-2.0", stages)


def test_a_base_that_is_gone_keeps_its_name_and_no_path(tmp_path: Path) -> None:
    found = provenance(Origin(make_run(tmp_path / "run", tmp_path / "somewhere" / "gone")), "m", None)
    assert found.base == "gone"
    assert provenance(Origin(make_run(tmp_path / "scratch")), "m", None).base == ""
    assert provenance(None, "m", None) == Provenance("m")


def test_scores_are_the_run_s_newest_or_those_of_a_file(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    write_jsonl(run / SCORES, ({"step": s, "task": "smdis", "metric": "kappa", "value": s / 10} for s in (1, 2)))
    assert provenance(Origin(run), "m", None).scores == {"smdis kappa": Score(0.2)}
    entry = {"main_metric": "kappa", "metrics": {"kappa": 0.37, "accuracy": 0.5}}
    full = entry | {"n": 60, "intervals": {"kappa": [0.15, 0.58]}}
    (tmp_path / "scores.json").write_text(json.dumps({"tasks": {"old": entry, "new": full}}))
    measured = provenance(Origin(run), "m", tmp_path / "scores.json").scores
    assert measured == {"old kappa": Score(0.37), "new kappa": Score(0.37, (0.15, 0.58), 60)}


@pytest.mark.parametrize("content", ["{}", '{"tasks": 3}', '{"tasks": {"a": {}}}', '{"tasks": {"a": 3}}', "["])
def test_what_is_no_scores_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(InputError, match=r"scores\.json"):
        provenance(None, "m", tmp_path / "scores.json")
