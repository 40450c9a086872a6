"""Tiny random models with tokenizers, for looking inside."""

from dataclasses import replace

import jax
import numpy as np
from flax import nnx

from jmed_jax.config import ModelConfig
from jmed_jax.language_model import LanguageModel
from jmed_jax.models.decoder import initialize_parameters
from jmed_jax.tokenizer.load import TextTokenizer
from tests.tiny import MODEL


def random_model(tokenizer: TextTokenizer | None, config: ModelConfig = MODEL, *, scale: float = 8.0) -> LanguageModel:
    """A model whose attention is far from even: the paper's initialisation makes weights that hardly differ.

    Args:
        scale: of queries and keys, over the initialisation.
    """
    if tokenizer is not None:
        config = replace(config, vocab_size=tokenizer.vocab_size)
    parameters = nnx.to_pure_dict(initialize_parameters(config, seed=3))
    generator = np.random.default_rng(4)

    def changed(path: tuple, leaf: jax.Array) -> jax.Array:
        if path[-1].key == "bias":
            return leaf + generator.normal(size=leaf.shape).astype(np.float32)
        return leaf * scale if path[-1].key == "kernel" and path[-2].key in ("query", "key") else leaf

    return LanguageModel(config, jax.tree_util.tree_map_with_path(changed, parameters), tokenizer, "tiny")
