from pathlib import Path

import numpy as np
import pytest

from jmed_jax.config import TokenizerConfig
from jmed_jax.errors import InputError
from jmed_jax.language_model import LanguageModel, load
from jmed_jax.tokenizer.tokenizer import Tokenizer, train_tokenizer
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.import_run import import_run
from tests.tiny import MODEL
from tests.tokenizer.conftest import TEXTS


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    train_tokenizer(TEXTS, TokenizerConfig(vocab_size=400), tmp_path / "tokenizer", dictionary=None)
    random = LanguageModel.random(MODEL)
    model = LanguageModel(MODEL, random.parameters, Tokenizer.load(tmp_path / "tokenizer"), "tiny")
    return model.save_hf(tmp_path / "model")


def test_the_run_has_the_logits_and_the_tokenizer_of_the_export(exported: Path, tmp_path: Path) -> None:
    run = import_run(exported, tmp_path / "run")
    ids_BT = np.arange(32)[None]
    ours, theirs = load(tmp_path / "run"), load(exported)
    np.testing.assert_allclose(ours.logits(ids_BT), theirs.logits(ids_BT), atol=1e-5)
    np.testing.assert_allclose(ours.logits(ids_BT), LanguageModel.random(MODEL).logits(ids_BT), atol=1e-5)
    assert run.inputs["tokenizer"] == Tokenizer.load(tmp_path / "tokenizer").fingerprint
    assert Tokenizer.load(run.tokenizer_path).fingerprint == run.inputs["tokenizer"]


def test_the_embedding_scale_is_ours_again(exported: Path, tmp_path: Path) -> None:
    run = import_run(exported, tmp_path / "run")
    assert run.config.model.scale_embeddings
    embedding = load(tmp_path / "run").parameters["embedding"]["embedding"]
    np.testing.assert_allclose(embedding, LanguageModel.random(MODEL).parameters["embedding"]["embedding"], rtol=1e-6)


def test_the_checkpoint_is_of_step_0(exported: Path, tmp_path: Path) -> None:
    import_run(exported, tmp_path / "run")
    checkpoints = Checkpoints(tmp_path / "run")
    assert checkpoints.latest_step() == 0
    checkpoints.close()


def test_damaged_weights_leave_nothing_behind(exported: Path, tmp_path: Path) -> None:
    (exported / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="truncated"):
        import_run(exported, tmp_path / "run")
    assert {path.name for path in tmp_path.iterdir()} == {"tokenizer", "model"}


def test_an_existing_run_is_kept_unless_asked(exported: Path, tmp_path: Path) -> None:
    import_run(exported, tmp_path / "run")
    with pytest.raises(InputError, match="exists"):
        import_run(exported, tmp_path / "run")
    import_run(exported, tmp_path / "run", overwrite=True)
