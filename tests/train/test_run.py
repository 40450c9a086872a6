"""The run directory: what it is, and which of its fields may change when it goes on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.artifact import Artifact
from jmed_jax.config import ExperimentConfig, MeshConfig
from jmed_jax.data.rows import open_rows
from jmed_jax.errors import InputError
from jmed_jax.train.run import open_run, prepare_run
from tests import tiny

BASE = tiny.experiment("somewhere")


@pytest.fixture
def rows(tmp_path: Path) -> Artifact:
    return open_rows(tiny.make_rows(tmp_path / "rows"))[0]


def changed(section: str, **values: Any) -> ExperimentConfig:
    return replace(BASE, **{section: replace(getattr(BASE, section), **values)})


@pytest.mark.parametrize(
    "config",
    [
        replace(BASE, mesh=MeshConfig(mode="fsdp", fsdp=8)),
        changed("data", rows="elsewhere"),
        changed("train", log_every=7),
        changed("train", checkpoint_every=7),
        changed("train", keep_checkpoints=7),
        changed("train", keep_every=7),
        changed("train", initialize_from="a run that is gone"),
        changed("train", remat="full"),
        changed("train", loss_chunk=7),
    ],
)
def test_where_and_how_a_run_is_computed_may_change(rows: Artifact, tmp_path: Path, config: ExperimentConfig) -> None:
    prepare_run(tmp_path / "run", BASE, rows)
    assert prepare_run(tmp_path / "run", config, rows).config == config


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (replace(BASE, name="other"), "name"),
        (changed("model", attention_dropout=0.1), "model.attention_dropout"),
        (changed("data", batch_size=16), "data.batch_size"),
        (changed("data", accumulation=2), "data.accumulation"),
        (changed("data", attention_mask="document"), "data.attention_mask"),
        (changed("optimizer", peak_lr=0.5), "optimizer.peak_lr"),
        (changed("train", steps=7), "train.steps"),
        (changed("train", seed=7), "train.seed"),
        (changed("train", compute_dtype="bfloat16"), "train.compute_dtype"),
        (changed("train", neftune_alpha=5.0), "train.neftune_alpha"),
        (changed("tokenizer", vocab_size=500), "tokenizer.vocab_size"),
    ],
)
def test_what_a_run_computes_may_not(rows: Artifact, tmp_path: Path, config: ExperimentConfig, field: str) -> None:
    prepare_run(tmp_path / "run", BASE, rows)
    with pytest.raises(InputError, match=rf"another configuration \({field} is .* there and .* here\)"):
        prepare_run(tmp_path / "run", config, rows)


def test_a_new_run_holds_its_configuration_and_a_copy_of_the_tokenizer(rows: Artifact, tmp_path: Path) -> None:
    prepare_run(tmp_path / "run", BASE, rows)
    run = open_run(tmp_path / "run")
    assert run.config == BASE
    assert run.inputs == {"rows": rows.fingerprint, "tokenizer": "tiny"}
    assert (run.tokenizer_path / "name.txt").read_text() == "tiny"


def test_what_a_process_killed_at_the_start_left_is_finished(rows: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / ".lock").touch()
    (path / ".partial-0123.run.json").touch()
    prepare_run(path, BASE, rows)
    # Killed between the description and the tokenizer.
    shutil.rmtree(path / "tokenizer")
    (path / ".tokenizer.partial-0123").mkdir()
    prepare_run(path, BASE, rows)
    assert (path / "tokenizer" / "name.txt").read_text() == "tiny"
    assert not (path / ".tokenizer.partial-0123").exists()


def test_somebody_s_tokenizer_is_no_leftover(rows: Artifact, tmp_path: Path) -> None:
    (tmp_path / "mine" / "tokenizer").mkdir(parents=True)
    with pytest.raises(InputError, match="not empty, and no run of ours"):
        prepare_run(tmp_path / "mine", BASE, rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a run description"),
        ('{"config": {}}', "does not fit this version"),
        (json.dumps({"config": {**json.loads("{}"), "name": "a", "model": {"depth": 3}}}), "does not fit this version"),
    ],
)
def test_a_damaged_run_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=rf"run\.json: .*{message}"):
        open_run(tmp_path)


def test_a_directory_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run\.json here"):
        open_run(tmp_path / "nowhere")
