import json
from dataclasses import replace
from pathlib import Path

import pytest

import jmed_jax
from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError
from jmed_jax.quickstart import quickstart
from jmed_jax.quickstart import slm as recipe
from jmed_jax.quickstart.stages import SUMMARY


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """All stages, with hardly any training."""

    def few_steps(config: ExperimentConfig) -> ExperimentConfig:
        # Eight virtual devices share the rows of a pass.
        data = replace(config.data, batch_size=8)
        return replace(config, data=data, train=replace(config.train, steps=4, checkpoint_every=4, log_every=2))

    pretraining, instruction = recipe.pretraining_config(), recipe.instruction_config
    optimizer = replace(pretraining.optimizer, warmup_steps=2)
    monkeypatch.setattr(recipe, "pretraining_config", lambda: few_steps(replace(pretraining, optimizer=optimizer)))
    monkeypatch.setattr(recipe, "instruction_config", lambda *values: few_steps(instruction(*values)))
    rounds = {name: dict.fromkeys(tasks, 20) for name, tasks in recipe.ROUNDS.items()}
    monkeypatch.setattr(recipe, "ROUNDS", rounds)
    monkeypatch.setattr(recipe, "MAX_NEW_TOKENS", 4)


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_every_stage_leaves_its_artefact_and_the_page_shows_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = quickstart(None, out)
    assert summary == json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    assert len(summary["scores"]) == 8
    assert all({"model", "majority", "random"} <= score.keys() for score in summary["scores"].values())
    page = (out / "index.html").read_text(encoding="utf-8")
    assert all(name in page for name in summary["stages"])
    assert "synthetic" in page
    run, export = jmed_jax.load(out / "instruct"), jmed_jax.load(out / "model")
    ids = [[1, 5, 9, 13]]
    assert abs(run.logits(ids) - export.logits(ids)).max() < 1e-4
    with pytest.raises(InputError, match="--overwrite"):
        quickstart(None, out)
