"""Two directories compared: equal ones, and every way in which they can differ."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jmed_jax.language_model import LanguageModel
from jmed_jax.language_model.verify import Comparison, Difference, compare
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.train.import_run import import_run
from tests import tiny

UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = replace(tiny.MODEL, vocab_size=tokenizer.vocab_size, gated_mlp=True, scale_embeddings=False)
    parameters = LanguageModel.random(config).parameters
    out = tmp_path_factory.mktemp("verify") / "model"
    return LanguageModel(config, parameters, tokenizer, "tiny").save_hf(out, dtype="float32")


@pytest.fixture
def changed(model: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(model, tmp_path / "changed"))


def change_weights(path: Path, **tensors: np.ndarray | None) -> None:
    """Replace tensors, or leave them out."""
    held = load_file(path / "model.safetensors") | tensors
    kept = {name: array for name, array in held.items() if array is not None}
    save_file(kept, path / "model.safetensors", metadata={"format": "pt"})


def test_a_directory_and_the_run_of_its_import_are_equal(model: Path, tmp_path: Path) -> None:
    import_run(model, tmp_path / "run")
    for pair in ((model, tmp_path / "run"), (tmp_path / "run", model), (model, model)):
        found = compare(*pair)
        assert found.equal() and found.tensors == 21
        assert found.logits == {"plain": 0, "padded": 0, "packed": 0}


def test_one_changed_number_is_found(model: Path, changed: Path) -> None:
    kernel = load_file(model / "model.safetensors")[UP].copy()
    kernel[3, 5] += 0.25
    change_weights(changed, **{UP: kernel})
    found = compare(model, changed)
    (difference,) = found.differences
    assert (difference.name, difference.what) == (UP, "values")
    assert difference.largest == pytest.approx(0.25, rel=1e-5) and difference.share == 1 / kernel.size
    assert all(found.logits.values()) and not found.equal() and not found.equal(1e-4) and found.equal(1)


def test_a_number_that_is_none_is_as_far_away_as_can_be(model: Path, changed: Path) -> None:
    kernel = load_file(model / "model.safetensors")[UP].copy()
    kernel[3, 5] = np.nan
    change_weights(changed, **{UP: kernel})
    found = compare(model, changed)
    assert found.differences[0].largest == np.inf and not found.equal(1e9)


def test_a_dtype_counts_only_where_every_bit_does(model: Path, changed: Path) -> None:
    narrow = {k: a.astype(ml_dtypes.bfloat16) for k, a in load_file(model / "model.safetensors").items()}
    change_weights(changed, **narrow)
    found = compare(model, changed)
    assert {d.what for d in found.differences} == {"float32 and bfloat16"}
    assert not found.equal() and found.equal(0.1)
    largest = [d.largest for d in found.differences]
    assert largest == sorted(largest, key=lambda value: -value)


def test_tensors_of_one_side_and_of_other_shapes_come_first(model: Path, changed: Path, tokenizer: Tokenizer) -> None:
    config = replace(tiny.MODEL, vocab_size=tokenizer.vocab_size, gated_mlp=True, scale_embeddings=False, num_layers=1)
    other = LanguageModel(replace(config, mlp_size=48), None, tokenizer, "other")
    other.parameters = LanguageModel.random(other.config, seed=1).parameters
    shutil.rmtree(changed)
    found = compare(model, other.save_hf(changed, dtype="float32"))
    first = {d.what for d in found.differences if d.largest is None}
    assert first == {"only in the first", "(64, 32) and (48, 32)", "(32, 64) and (32, 48)"}
    assert found.differences[0].largest is None and found.differences[-1].largest is not None
    assert not found.equal(1e9)


def test_what_no_tensor_tells_is_found(model: Path, changed: Path) -> None:
    content = json.loads((changed / "config.json").read_text())
    rope = {"rope_type": "default", "rope_theta": 5e5}
    (changed / "config.json").write_text(json.dumps(content | {"rope_theta": 5e5, "rope_parameters": rope}))
    found = compare(model, changed)
    assert not found.differences and found.settings == ("rope_theta is 10000.0 and 500000.0",)
    assert not found.equal(1e9) and found.logits["plain"] > 0


def test_another_vocabulary_leaves_no_logits_to_compare(model: Path, changed: Path, tokenizer: Tokenizer) -> None:
    config = replace(tiny.MODEL, vocab_size=tokenizer.vocab_size + 5, gated_mlp=True, scale_embeddings=False)
    shutil.rmtree(changed)
    other = LanguageModel(config, LanguageModel.random(config).parameters, tokenizer, "other")
    found = compare(model, other.save_hf(changed, dtype="float32"))
    assert found.logits == {} and not found.equal(1e9)


def test_equality_is_of_everything() -> None:
    logits = {"plain": 0.01}
    near = Difference("a", "values", 0.02, 0.5)
    assert Comparison(1, (), (), {"plain": 0.0}).equal()
    assert not Comparison(1, (), (), logits).equal() and Comparison(1, (), (), logits).equal(0.01)
    assert not Comparison(1, (near,), (), logits).equal(0.01) and Comparison(1, (near,), (), logits).equal(0.02)
    assert not Comparison(1, (Difference("a", "float32 and bfloat16", 0.0, 0.0),), (), {"plain": 0.0}).equal()
    assert not Comparison(1, (), ("the tokenizers differ",), {"plain": 0.0}).equal(1)
