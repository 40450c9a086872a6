import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import jmed_jax
from jmed_jax.config import ExperimentConfig
from jmed_jax.jsonl import read_jsonl
from jmed_jax.quickstart import jmedllm as recipe
from jmed_jax.quickstart import quickstart
from jmed_jax.quickstart.jmedllm_report import loss_fall
from jmed_jax.quickstart.stages import SUMMARY
from jmed_jax.train.metrics import read_metrics


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """All stages, with little training and few questions."""

    def few_steps(config: ExperimentConfig) -> ExperimentConfig:
        # Eight virtual devices share the rows of a pass.
        data = replace(config.data, batch_size=8)
        optimizer = replace(config.optimizer, warmup_steps=2)
        train = replace(config.train, steps=10, checkpoint_every=10, log_every=5)
        return replace(config, data=data, optimizer=optimizer, train=train)

    mfpt, mpeft = recipe.mfpt_config, recipe.mpeft_config
    monkeypatch.setattr(recipe, "mfpt_config", lambda *values: few_steps(mfpt(*values)))
    monkeypatch.setattr(recipe, "mpeft_config", lambda *values: few_steps(mpeft(*values)))
    monkeypatch.setattr(recipe, "BPE_VOCABULARY", 600)
    monkeypatch.setattr(recipe, "ASKED", 6)
    monkeypatch.setattr(recipe, "MAX_NEW_TOKENS", 4)


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_every_stage_leaves_its_artefact_and_the_page_shows_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = quickstart(None, out, recipe="jmedllm")
    assert summary == json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    assert summary["recipe"] == "jmedllm"

    # Both losses fall, and the summary says what the metrics say.
    for stage in ("mfpt", "mpeft"):
        losses = [row["loss"] for row in read_metrics(out / stage)]
        assert summary["losses"][stage]["first"] == losses[0]
        assert summary["losses"][stage]["last"] == losses[-1]
        assert summary["losses"][stage]["last_tenth"] < summary["losses"][stage]["first_tenth"]

    # The same prompts for every model, and an interval around every share.
    prompts = [(out / f"evaluation-{run}/prompts-questions.jsonl").read_bytes() for run in recipe.MODELS]
    assert len(set(prompts)) == 1
    for scores in summary["scores"].values():
        assert list(scores) == list(recipe.MODELS)
        for score in scores.values():
            assert score["interval"][0] <= score["value"] <= score["interval"][1]

    assert summary["reload"]["model-float32"] < 1e-4 and summary["reload"]["adapter"] < 1e-4
    page = (out / "index.html").read_text(encoding="utf-8")
    assert all(name in page for name in summary["stages"])
    assert "jmed export adapter --run out/mpeft" in page
    _check_transformers(out)


def _check_transformers(out: Path) -> None:
    """transformers gives the logits of the run from the export in float32."""
    if importlib.util.find_spec("torch") is None:
        return
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    messages = next(read_jsonl(out / "evaluation-mpeft/prompts-questions.jsonl"))[1]["messages"]
    run = jmed_jax.load(out / "mpeft")
    ids = run.chat_prompt(messages)
    tokenizer = AutoTokenizer.from_pretrained(out / "model-float32")
    assert tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False) == ids
    model = AutoModelForCausalLM.from_pretrained(out / "model-float32", dtype=torch.float32)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits.numpy()
    np.testing.assert_allclose(logits, run.logits([ids]), atol=1e-4)


def test_the_fall_of_a_loss_is_computed_from_its_steps() -> None:
    rows = [{"loss": 10.0 - 0.1 * step} for step in range(40)]
    assert loss_fall(rows) == pytest.approx({"first": 10.0, "last": 6.1, "first_tenth": 9.85, "last_tenth": 6.25})
    assert loss_fall([{"loss": 3.0}]) == {"first": 3.0, "last": 3.0, "first_tenth": 3.0, "last_tenth": 3.0}
