"""A model with its tokenizer, from a run or from a Hugging Face directory: the Python API.

>>> lm = jmed_jax.load("out/instruct")
>>> lm.generate(["糖尿病の治療は"], max_new_tokens=32)
>>> lm.chat([[{"role": "user", "content": "質問: …"}]], max_new_tokens=32)
>>> lm.save_hf("out/model")
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from jmed_jax import artifact
from jmed_jax.config import ExperimentConfig, ModelConfig
from jmed_jax.convert import huggingface
from jmed_jax.errors import InputError
from jmed_jax.generate.engine import Generator
from jmed_jax.models.decoder import abstract_parameters, initialize_parameters
from jmed_jax.progress import say
from jmed_jax.tokenizer.huggingface import write_huggingface_tokenizer
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.run import RUN_FILE, open_run

Message = Mapping[str, str]


class LanguageModel:
    """Parameters, configuration and tokenizer of one model.

    Attributes:
        config: the architecture.
        tokenizer: None for a model made by `random`.
        parameters: plain nested dictionaries of float32 arrays, blocks stacked.
        name: where it came from.
    """

    restores_writing = True
    """Reads and writes cleaned text, so extracted strings are mapped back to the question's own writing."""

    def __init__(self, config: ModelConfig, parameters: Any, tokenizer: Tokenizer | None, name: str) -> None:
        self.config = config
        self.parameters = parameters
        self.tokenizer = tokenizer
        self.name = name

    @classmethod
    def random(cls, config: ModelConfig | ExperimentConfig, seed: int = 0) -> "LanguageModel":
        """A freshly initialised model without a tokenizer."""
        model = config.model if isinstance(config, ExperimentConfig) else config
        parameters = jax.jit(lambda: nnx.to_pure_dict(initialize_parameters(model, seed)))()
        return cls(model, parameters, None, f"random-{seed}")

    def logits(self, ids_BT: Any) -> Array:
        """Logits float32 [B, T, V] of token ids [B, T].

        Raises:
            ValueError: the ids are no rectangle, or exceed the vocabulary.
        """
        ids_BT = np.asarray(ids_BT)
        if ids_BT.ndim != 2:
            raise ValueError(f"expected token ids of shape [B, T], got {ids_BT.shape}.")
        if ids_BT.size and not 0 <= ids_BT.min() <= ids_BT.max() < self.config.vocab_size:
            raise ValueError(f"token ids must be in [0, {self.config.vocab_size}).")
        return self._forward(self.parameters, jnp.asarray(ids_BT, jnp.int32))

    @cached_property
    def _forward(self) -> Any:
        graphdef, _ = abstract_parameters(self.config)
        return jax.jit(lambda parameters, ids_BT: nnx.merge(graphdef, parameters)(ids_BT))

    @cached_property
    def _generator(self) -> Generator:
        return Generator(self.config, self.parameters, self.tokenizer.eos_id if self.tokenizer else None)

    def generate_ids(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """Greedy continuations of token ids, without the end token."""
        return self._generator.generate(prompts, max_new_tokens=max_new_tokens)

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int = 128) -> list[str]:
        """Greedy continuations of texts.

        Raises:
            InputError: the model has no tokenizer, or `prompts` is one string.
        """
        if isinstance(prompts, str):
            raise InputError("generate takes a list of prompts: generate([prompt]).")
        tokenizer = self._require_tokenizer()
        ids = [[tokenizer.bos_id, *tokenizer.encode(prompt)] for prompt in prompts]
        return [tokenizer.decode(answer) for answer in self.generate_ids(ids, max_new_tokens=max_new_tokens)]

    def chat(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int = 128) -> list[str]:
        """The assistant's next message of each conversation, greedy.

        Raises:
            InputError: the model knows no chat tokens (it is not instruction-tuned), or a message is malformed.
        """
        return self.generate_chat(conversations, max_new_tokens=max_new_tokens, label=None)

    def generate_chat(
        self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int, label: str | None
    ) -> list[str]:
        """As `chat`, with a progress display named `label`: the evaluation's backend protocol."""
        tokenizer = self._require_tokenizer()
        if self.config.vocab_size < tokenizer.vocab_size:
            raise InputError(f"{self.name}: not instruction-tuned, its vocabulary lacks the chat tokens.")
        prompts = [tokenizer.encode_chat(messages, add_generation_prompt=True) for messages in conversations]
        long = sum(len(prompt) + max_new_tokens > self.config.context_length for prompt in prompts)
        if long:
            say(
                f"{label or self.name}: {long} of {len(prompts)} prompts leave less than {max_new_tokens} of the "
                f"{self.config.context_length} tokens the model was trained on; they are read whole, beyond that."
            )
        answers = self._generator.generate(prompts, max_new_tokens=max_new_tokens, progress=label)
        return [tokenizer.decode(answer) for answer in answers]

    def _require_tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise InputError(f"{self.name}: this model has no tokenizer; use generate_ids or logits.")
        return self.tokenizer

    def save_hf(
        self,
        path: str | Path,
        *,
        format: huggingface.Format = "arcee",
        dtype: huggingface.Dtype = "float32",
        overwrite: bool = False,
    ) -> Path:
        """Write a Hugging Face directory: config, safetensors, tokenizer files.

        Args:
            format: "arcee" is the model as it is; "llama" the bit-exact twin for servers that know only Llama.

        Raises:
            InputError: `path` exists and `overwrite` is false, or the architecture has no such format.
        """
        path = Path(path)
        config = {"name": self.name, "format": format, "dtype": dtype}
        with artifact.create(path, "model", config, overwrite=overwrite) as draft:
            token_ids = {}
            if self.tokenizer is not None:
                ids = self.tokenizer
                token_ids = {"bos_token_id": ids.bos_id, "eos_token_id": ids.eos_id, "pad_token_id": ids.pad_id}
                write_huggingface_tokenizer(ids, draft.path, model_max_length=self.config.context_length)
                draft.inputs["tokenizer"] = ids.fingerprint
            huggingface.write_weights(
                draft.path, self.config, self.parameters, token_ids=token_ids, format=format, dtype=dtype
            )
            draft.counts["parameters"] = self.config.num_parameters
        return path


def load(path: str | Path, *, step: int | None = None) -> LanguageModel:
    """Load a run directory (its newest checkpoint, or that of `step`) or a Hugging Face directory.

    Raises:
        InputError: there is neither, or it is damaged.
    """
    path = Path(path)
    if (path / RUN_FILE).is_file():
        return _load_run(path, step)
    if step is not None:
        raise InputError(f"{path}: not a run, so it has no checkpoint of step {step}.")
    config = huggingface.read_model_config(path)
    return LanguageModel(config, huggingface.read_weights(path, config), Tokenizer.load(path), path.name)


def _load_run(path: Path, step: int | None) -> LanguageModel:
    run = open_run(path)
    abstract = nnx.to_pure_dict(abstract_parameters(run.config.model)[1])
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shardings = jax.tree.map(lambda _: here, abstract)
    checkpoints = Checkpoints(path)
    parameters = checkpoints.restore_parameters(abstract, shardings, step)
    checkpoints.close()
    return LanguageModel(run.config.model, parameters, Tokenizer.load(run.tokenizer_path), f"{path.name} (run)")
