"""The experiments of the paper, number by number (arXiv 2412.16423 §2.2–2.4)."""

from dataclasses import replace
from pathlib import Path

import pytest

from jmed_jax.config import (
    DataConfig,
    ExperimentConfig,
    ModelConfig,
    OptimizerConfig,
    TokenizerConfig,
    TrainConfig,
    load_config,
)
from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.errors import InputError

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FILES = sorted(path for path in CONFIGS.glob("*.py") if path.name != "__init__.py")

# §2.3, Table 2.
PAPER_MODEL = ModelConfig(
    vocab_size=32_768,
    num_layers=24,
    hidden_size=2048,
    mlp_size=8192,
    num_heads=32,
    num_kv_heads=8,
    head_dim=64,
    context_length=2048,
    gated_mlp=False,
    qkv_bias=False,
    tie_embeddings=False,
    scale_embeddings=True,
    rope_theta=10_000.0,
    attention_dropout=0.1,
    residual_dropout=0.1,
)


def load(name: str) -> ExperimentConfig:
    return load_config(CONFIGS / f"{name}.py", ExperimentConfig)


def test_the_configurations_the_readme_speaks_of_are_there() -> None:
    assert {path.stem for path in FILES} >= {"ncvc_slm_1b", "ncvc_slm_instruct", "ncvc_slm_30m", "ncvc_slm_tiny"}


def test_they_are_found_wherever_the_command_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("configs/ncvc_slm_tiny.py"), ExperimentConfig).name == "ncvc_slm_tiny"
    with pytest.raises(InputError, match=r"^configs/tiny\.py: no such configuration file\. Those of jmed_jax are in "):
        load_config(Path("configs/tiny.py"), ExperimentConfig)
    with pytest.raises(InputError, match="no such configuration file"):
        load_config(tmp_path / "ncvc_slm_tiny.py", ExperimentConfig)


def test_a_file_of_ones_own_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("configs").mkdir()
    Path("configs/ncvc_slm_tiny.py").write_text("def config():\n    return 1\n")
    with pytest.raises(InputError, match="returns int"):
        load_config(Path("configs/ncvc_slm_tiny.py"), ExperimentConfig)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_named_after_its_configuration(path: Path) -> None:
    kind = CorpusConfig if path.stem.startswith("corpus_") else ExperimentConfig
    assert load_config(path, kind).name == path.stem


def test_the_corpus_is_table_1() -> None:
    corpus = load_config(CONFIGS / "corpus_ncvc.py", CorpusConfig)
    assert {source.name for source in corpus.sources} == {"wikipedia", "oscar", "textbooks", "synthetic"}
    # §2.4.1: about 50 B tokens seen of 8.99 B.
    assert {source.epochs for source in corpus.sources} == {5.5}
    assert [source.name for source in corpus.sources if source.synthetic] == ["synthetic"]


def test_pretraining_is_the_paper_s() -> None:
    config = load("ncvc_slm_1b")
    assert config.model == PAPER_MODEL
    assert config.model.num_parameters == 1_191_282_688
    # §2.4.1: 1024 rows of 2048 tokens; 8 a GPU × 4 GPUs × 32 passes.
    assert (config.data.batch_size, config.data.accumulation) == (8 * 4, 32)
    assert config.data.rows_per_step == 1024
    assert config.tokens_per_step == 2_097_152
    assert config.data.attention_mask == "causal"
    assert config.optimizer == OptimizerConfig(
        peak_lr=1e-3, final_lr=0.0, warmup_steps=750, beta1=0.9, beta2=0.95, weight_decay=0.1
    )
    assert (config.train.steps, config.train.checkpoint_every, config.train.keep_every) == (24_000, 3_200, 3_200)
    assert config.train.compute_dtype == "bfloat16"
    assert config.train.neftune_alpha == 0
    # ZeRO stage 2 over four GPUs.
    assert (config.mesh.mode, config.mesh.data * config.mesh.fsdp, config.mesh.tensor) == ("zero2", 4, 1)
    # About 50 B tokens seen.
    assert round(config.train.steps * config.tokens_per_step / 1e9) == 50


def test_the_tokenizer_is_the_paper_s() -> None:
    # §2.2.
    assert load("ncvc_slm_1b").tokenizer == TokenizerConfig(
        vocab_size=32_768, shrinking_factor=0.75, max_piece_length=16, num_sub_iterations=8
    )


def test_instruction_tuning_is_the_paper_s() -> None:
    config = load("ncvc_slm_instruct")
    # §2.4.2: the model of pre-training and three chat tokens.
    assert config.model == replace(PAPER_MODEL, vocab_size=32_771)
    assert (config.data.batch_size, config.data.accumulation, config.data.rows_per_step) == (8, 32, 256)
    assert config.optimizer == OptimizerConfig(
        peak_lr=1e-4, final_lr=0.0, warmup_steps=50, beta1=0.9, beta2=0.95, weight_decay=0.01
    )
    assert config.train.steps == 890
    assert config.train.neftune_alpha == 5.0


def test_jmedllm_is_qwen2_in_the_papers_two_stages() -> None:
    """arXiv 2409.11783: all parameters on 8 GPUs, then LoRA on 4; 5 epochs each."""
    full, adapter = load("jmedllm_7b_mfpt"), load("jmedllm_7b_mpeft")
    assert full.model == adapter.model
    assert full.model.num_parameters == 7_615_616_512
    assert (full.lora.rank, adapter.lora.rank) == (0, 16)
    assert (full.mesh.mode, full.mesh.fsdp) == ("fsdp", 8)
    assert adapter.data.batch_size % 4 == 0
    for config, rows in ((full, 1_350), (adapter, 2_900)):
        # Articles and questions that share a row do not see each other; the last row of an epoch is in a step.
        assert config.data.attention_mask == "document"
        assert 0 <= config.train.steps * config.data.rows_per_step - 5 * rows < config.data.rows_per_step
        # A checkpoint an epoch, all of them kept.
        assert config.train.steps // config.train.checkpoint_every == 5 == config.train.keep_checkpoints


def test_other_sizes_of_jmedllm_keep_the_recipe() -> None:
    for size, parameters in (("05b", 494_032_768), ("72b", 72_706_203_648)):
        large, other = load("jmedllm_7b_mpeft"), load(f"jmedllm_{size}_mpeft")
        assert other.model.num_parameters == parameters
        assert (other.data, other.train) == (large.data, large.train)
        assert other.lora == replace(large.lora, base=other.lora.base)
    assert load("jmedllm_05b_mfpt").optimizer == load("jmedllm_7b_mfpt").optimizer


def test_small_configurations_keep_the_recipe() -> None:
    for name in ("ncvc_slm_30m", "ncvc_slm_tiny"):
        model = load(name).model
        # A tied head saves half of so small a model; the rest is the family's.
        assert (model.gated_mlp, model.qkv_bias, model.rope_theta) == (False, False, 10_000.0)
        assert model.scale_embeddings or model.tie_embeddings
        assert load(name).tokenizer.vocab_size == model.vocab_size
    assert 20e6 < load("ncvc_slm_30m").model.num_parameters < 40e6


def test_unnamed_settings_are_the_defaults_of_the_paper() -> None:
    assert DataConfig().attention_mask == "causal"
    assert (OptimizerConfig().beta1, OptimizerConfig().beta2, OptimizerConfig().weight_decay) == (0.9, 0.95, 0.1)
    assert TrainConfig().compute_dtype == "bfloat16"
