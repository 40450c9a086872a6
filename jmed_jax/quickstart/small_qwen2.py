"""A small random Qwen2 in a Hugging Face directory: what the recipe `jmedllm` adapts in place of Qwen2-7B-Instruct."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import jax

from jmed_jax.config import ModelConfig
from jmed_jax.language_model import LanguageModel
from jmed_jax.models.qwen2 import qwen2
from jmed_jax.tokenizer.load import load_tokenizer

CONTEXT = 512
"""Tokens of a row, and of a prompt with its answer."""

# Qwen2-7B rounds its 151,646 ids up to 152,064 rows, a multiple of this.
_ROWS = 512

# An adapter trains neither the embedding nor the head, so whatever the frozen head allows is the most that a token can
# get: |row| · sqrt(D). At the usual N(0, 0.02) that is 1.3 nats at 64 hidden, against 152,064 others. Trained models
# have no such limit; this one gets a wider head instead (EXPERIMENTS.md).
HEAD_SIGMA = 0.22

# As the pre-tokeniser of Qwen2 splits text (its tokenizer.json).
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_ADDED = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def small_qwen2(vocab_size: int) -> ModelConfig:
    """Qwen2-7B with its separate head, two layers deep: on two cores the vocabulary is nearly all of its work."""
    return replace(
        qwen2("7B", context_length=CONTEXT),
        vocab_size=-(-vocab_size // _ROWS) * _ROWS,
        num_layers=2,
        hidden_size=64,
        mlp_size=192,
        num_heads=2,
        num_kv_heads=1,
        head_dim=32,
    )


def write_random_qwen2(tokenizer: Path, out: Path, *, seed: int = 0) -> ModelConfig:
    """Write a Hugging Face directory in float32 with the tokenizer's files; return the architecture."""
    loaded = load_tokenizer(tokenizer)
    config = small_qwen2(loaded.vocab_size)
    parameters = LanguageModel.random(config, seed).parameters
    kernel_DV = parameters["head"]["kernel"]
    parameters["head"]["kernel"] = HEAD_SIGMA * jax.random.normal(jax.random.key(seed), kernel_DV.shape)
    LanguageModel(config, parameters, loaded, out.name).save_hf(out, dtype="float32")
    return config


def train_byte_bpe(texts: Iterable[str], out: Path, *, vocab_size: int) -> None:
    """Write a byte-level BPE tokenizer in the files of Qwen2's, with its three special tokens and ChatML.

    The package does not ship Qwen2's own. The same texts give the same files.

    Args:
        vocab_size: without the special tokens.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    out.mkdir(parents=True)
    backend.model.save(str(out))
    first = backend.get_vocab_size()
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_prefix_space": False,
        "added_tokens_decoder": {str(first + i): {"content": token, **flags} for i, token in enumerate(_ADDED)},
        "additional_special_tokens": list(_ADDED[1:]),
        "bos_token": None,
        "eos_token": _ADDED[0],
        "pad_token": _ADDED[0],
        "unk_token": None,
        "chat_template": _CHAT_TEMPLATE,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
