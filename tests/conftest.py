"""Eight virtual devices and strict arithmetic, set before anything starts JAX's back end."""

from pathlib import Path

import jax
import pytest

from jmed_jax.config import TokenizerConfig
from jmed_jax.tokenizer.tokenizer import Tokenizer, train_tokenizer
from tests import tiny

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")
# Compiling is most of the suite's time; programs this small gain nothing from being optimised.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Many tests compile the same tiny step: most of the suite's time without this."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.getbasetemp() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A real tokenizer of 400 pieces and the three chat tokens, without a user dictionary."""
    out = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    return Tokenizer.load(train_tokenizer(tiny.TEXTS * 20, TokenizerConfig(vocab_size=400), out, dictionary=None).path)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real data beside the checkout; tests that need it skip where it is absent."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip("real data is not at ../shared/data")
    return path
