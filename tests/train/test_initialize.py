"""The order of initialisation: own checkpoint, another run's, Hugging Face weights, scratch."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jmed_jax.config import ExperimentConfig, ModelConfig
from jmed_jax.errors import InputError
from jmed_jax.language_model import LanguageModel
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.train.checkpoint import Checkpoints, LoopState
from jmed_jax.train.initialize import initial_state
from jmed_jax.train.run import Run, write_run
from jmed_jax.train.step import Trainer, TrainState
from tests import tiny

BASE = tiny.experiment()

Change = Callable[[ModelConfig], ModelConfig]


def trainer_of(config: ExperimentConfig) -> Trainer:
    return Trainer(config, tiny.one_device_mesh())


def begin_run(path: Path, config: ExperimentConfig, tokenizer: str = "tiny") -> tuple[Run, Checkpoints]:
    path.mkdir()
    run = Run(path, config, {"rows": "rows", "tokenizer": tokenizer})
    write_run(path, config, run.inputs)
    return run, Checkpoints(path, config.train)


def begin(path: Path, config: ExperimentConfig, tokenizer: str = "tiny") -> tuple[TrainState, LoopState]:
    """What a new run at `path` begins with."""
    run, checkpoints = begin_run(path, config, tokenizer)
    try:
        return initial_state(trainer_of(config), run, checkpoints, {})
    finally:
        checkpoints.close()


def filled(config: ExperimentConfig, value: float) -> TrainState:
    """A state whose parameters are all `value`."""
    return jax.tree.map(lambda a: np.full(a.shape, value, a.dtype), trainer_of(config).abstract_state)


def save(path: Path, config: ExperimentConfig, value: float, step: int, tokenizer: str = "tiny") -> Run:
    run, checkpoints = begin_run(path, config, tokenizer)
    checkpoints.save(step, filled(config, value), LoopState(step, 7, {"skipped": 1}), run)
    checkpoints.close()
    return run


def values(state: TrainState) -> set[float]:
    return {float(value) for leaf in jax.tree.leaves(state.parameters) for value in np.unique(leaf)}


def from_(source: Path, config: ExperimentConfig = BASE, change: Change = lambda model: model) -> ExperimentConfig:
    train = replace(config.train, initialize_from=str(source))
    return replace(config, model=change(config.model), train=train)


def test_the_own_checkpoint_comes_first(tmp_path: Path) -> None:
    save(tmp_path / "other", BASE, 5.0, 2)
    config = from_(tmp_path / "other")
    run = save(tmp_path / "run", config, 3.0, 4)
    checkpoints = Checkpoints(run.path, config.train)
    state, loop_state = initial_state(trainer_of(config), run, checkpoints, {})
    checkpoints.close()
    assert values(state) == {3.0}
    assert int(state.step) == 4 and loop_state == LoopState(4, 7, {"skipped": 1})
    assert {float(leaf.max()) for leaf in jax.tree.leaves(state.optimizer)} == {3.0}


def test_another_run_s_checkpoint_comes_second_with_a_fresh_optimiser(tmp_path: Path) -> None:
    save(tmp_path / "other", BASE, 5.0, 2)
    # A directory may be both, e.g. a model exported into a run: the run is the whole of it.
    (tmp_path / "other" / "config.json").write_text("{}")
    state, loop_state = begin(tmp_path / "run", from_(tmp_path / "other"))
    assert values(state) == {5.0}
    assert int(state.step) == 0 and loop_state == LoopState()
    assert {float(leaf.max()) for leaf in jax.tree.leaves(state.optimizer)} == {0.0}


@pytest.fixture
def exported(tmp_path: Path, tokenizer: Tokenizer) -> tuple[Path, Any]:
    """A Hugging Face directory of a model that ours can start from, and its parameters."""
    parameters = LanguageModel.random(tiny.MODEL, seed=3).parameters
    model = LanguageModel(tiny.MODEL, parameters, tokenizer, "tiny")
    return model.save_hf(tmp_path / "model"), parameters


def test_hugging_face_weights_come_third(tmp_path: Path, exported: tuple[Path, Any], tokenizer: Tokenizer) -> None:
    source, expected = exported
    state, loop_state = begin(tmp_path / "run", from_(source), tokenizer.fingerprint)
    # The export folds the embedding's scale in: one rounding out and in.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state.parameters, expected)
    assert int(state.step) == 0 and loop_state == LoopState()


def test_scratch_comes_last(tmp_path: Path) -> None:
    state, loop_state = begin(tmp_path / "run", BASE)
    expected = trainer_of(BASE).fresh_state()
    jax.tree.map(np.testing.assert_array_equal, state.parameters, expected.parameters)
    assert loop_state == LoopState()


def test_a_larger_vocabulary_gets_fresh_rows(tmp_path: Path) -> None:
    save(tmp_path / "other", BASE, 5.0, 2)
    config = from_(tmp_path / "other", change=lambda model: replace(model, vocab_size=tiny.VOCAB + 3))
    state, _ = begin(tmp_path / "run", config)
    fresh = trainer_of(config).fresh_state()
    embedding, head = state.parameters["embedding"]["embedding"], state.parameters["head"]["kernel"]
    assert set(np.unique(embedding[: tiny.VOCAB])) == set(np.unique(head[:, : tiny.VOCAB])) == {5.0}
    np.testing.assert_array_equal(embedding[tiny.VOCAB :], fresh.parameters["embedding"]["embedding"][tiny.VOCAB :])
    np.testing.assert_array_equal(head[:, tiny.VOCAB :], fresh.parameters["head"]["kernel"][:, tiny.VOCAB :])


def test_dropout_may_differ(tmp_path: Path) -> None:
    save(tmp_path / "other", BASE, 5.0, 2)
    change: Change = lambda model: replace(model, attention_dropout=0.2, residual_dropout=0.3)  # noqa: E731
    assert values(begin(tmp_path / "run", from_(tmp_path / "other", change=change))[0]) == {5.0}


@pytest.mark.parametrize(
    "change", [{"num_layers": 3}, {"vocab_size": tiny.VOCAB - 1}, {"num_kv_heads": 4}, {"rope_theta": 5e5}]
)
def test_another_architecture_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    save(tmp_path / "other", BASE, 5.0, 2)
    config = from_(tmp_path / "other", change=lambda model: replace(model, **change))
    with pytest.raises(InputError, match="other: its model does not fit this configuration's"):
        begin(tmp_path / "run", config)


def test_another_architecture_of_hugging_face_weights_is_refused(
    tmp_path: Path, exported: tuple[Path, Any], tokenizer: Tokenizer
) -> None:
    config = from_(exported[0], change=lambda model: replace(model, mlp_size=128))
    with pytest.raises(InputError, match="model: its model does not fit this configuration's"):
        begin(tmp_path / "run", config, tokenizer.fingerprint)


def test_another_tokenizer_is_refused(tmp_path: Path, exported: tuple[Path, Any]) -> None:
    save(tmp_path / "other", BASE, 5.0, 2, tokenizer="another")
    for number, source in enumerate((tmp_path / "other", exported[0])):
        with pytest.raises(InputError, match=f"{source}: trained with another tokenizer"):
            begin(tmp_path / f"run-{number}", from_(source))


def test_what_is_neither_run_nor_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: neither a run \(run.json\) nor a Hugging Face directory"):
        begin(tmp_path / "run", from_(tmp_path / "nowhere"))
