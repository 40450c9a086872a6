"""A model in memory: answers, logits, and its directory for other tools."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from jmed_jax import artifact
from jmed_jax.config import ExperimentConfig, LoraConfig, ModelConfig
from jmed_jax.convert import huggingface
from jmed_jax.convert.model_card import write_model_card
from jmed_jax.errors import InputError
from jmed_jax.generate.engine import Generator
from jmed_jax.generate.sampling import GREEDY, Sampling
from jmed_jax.generate.stream import TextStream, until_stop
from jmed_jax.models.decoder import abstract_parameters, initialize_parameters
from jmed_jax.models.lora import attach, detach, merge
from jmed_jax.progress import say
from jmed_jax.tokenizer.huggingface import write_huggingface_tokenizer
from jmed_jax.tokenizer.load import TextTokenizer
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.train.provenance import PROVENANCE, Origin, as_json, provenance, source_files

Message = Mapping[str, str]


class Adapter(NamedTuple):
    """What a LoRA run or a PEFT directory holds."""

    parameters: Any
    """A tree as `models/lora.py` describes it."""
    lora: LoraConfig
    base: str
    """Where its base is, as it was trained: a directory, or a name of the Hugging Face Hub."""
    base_fingerprint: str | None
    """Of the base's values in the dtype of `lora.base`; None where nothing says."""
    path: Path | None = None
    """The run or PEFT directory; None for one made in memory."""


class LanguageModel:
    """Parameters, configuration and tokenizer of one model.

    Attributes:
        config: the architecture.
        tokenizer: None for a model made by `random`.
        parameters: plain nested dictionaries, blocks stacked.
        name: where it came from.
        origin: the directory it came from, None for a model made in memory.
        adapters: of this base, by name (`with_adapter`).
    """

    def __init__(
        self,
        config: ModelConfig,
        parameters: Any,
        tokenizer: TextTokenizer | None,
        name: str,
        *,
        origin: Origin | None = None,
        adapters: Mapping[str, Adapter] | None = None,
    ) -> None:
        self.config = config
        self.parameters = parameters
        self.tokenizer = tokenizer
        self.name = name
        self.origin = origin
        self.adapters = dict(adapters or {})
        self._attached: Adapter | None = None

    @property
    def restores_writing(self) -> bool:
        """Reads and writes cleaned text, so extracted strings are mapped back to the question's own writing."""
        return isinstance(self.tokenizer, Tokenizer)

    def with_adapter(self, name: str) -> "LanguageModel":
        """This model with one of its adapters beside it; the base's arrays are shared.

        Raises:
            InputError: there is no adapter of that name.
        """
        if name not in self.adapters:
            raise InputError(f"{self.name}: no adapter {name!r}; there are: {', '.join(self.adapters) or 'none'}.")
        adapter = self.adapters[name]
        parameters = attach(self.parameters, adapter.parameters)
        origin = Origin(adapter.path, self.origin.path) if adapter.path and self.origin else self.origin
        model = LanguageModel(self.config, parameters, self.tokenizer, f"{self.name} + {name}", origin=origin)
        model._attached = adapter
        return model

    @cached_property
    def merged(self) -> Any:
        """Parameters of a plain decoder, the adapter (if there is one beside it) worked in."""
        if self._attached is None:
            return self.parameters
        base, adapter = detach(self.parameters)
        return merge(base, adapter, self._attached.lora)

    @classmethod
    def random(cls, config: ModelConfig | ExperimentConfig, seed: int = 0) -> "LanguageModel":
        """A freshly initialised model without a tokenizer."""
        model = config.model if isinstance(config, ExperimentConfig) else config
        parameters = jax.jit(lambda: nnx.to_pure_dict(initialize_parameters(model, seed)))()
        return cls(model, parameters, None, f"random-{seed}")

    def logits(self, ids_BT: Any, segments_BT: Any = None) -> Array:
        """Logits float32 [B, T, V] of token ids [B, T].

        Args:
            segments_BT: which document of its row a token belongs to, 0 for padding; None is one document a row.

        Raises:
            ValueError: the ids are no rectangle, or exceed the vocabulary.
        """
        ids_BT = np.asarray(ids_BT)
        if ids_BT.ndim != 2:
            raise ValueError(f"expected token ids of shape [B, T], got {ids_BT.shape}.")
        if ids_BT.size and not 0 <= ids_BT.min() <= ids_BT.max() < self.config.vocab_size:
            raise ValueError(f"token ids must be in [0, {self.config.vocab_size}).")
        segments_BT = None if segments_BT is None else jnp.asarray(segments_BT, jnp.int32)
        return self._forward(self.parameters, jnp.asarray(ids_BT, jnp.int32), segments_BT)

    @property
    def _lora(self) -> LoraConfig | None:
        """Of the tree in `parameters`: the base is dense here, however it was kept while the adapter was trained."""
        return replace(self._attached.lora, base="float32") if self._attached else None

    @cached_property
    def _forward(self) -> Any:
        graphdef, _ = abstract_parameters(self.config, self._lora)
        return jax.jit(lambda parameters, *inputs: nnx.merge(graphdef, parameters)(*inputs))

    @cached_property
    def generator(self) -> Generator:
        """The engine behind `generate` and `chat`."""
        if self.tokenizer is None:
            return Generator(self.config, self.parameters, lora=self._lora)
        tokenizer = self.tokenizer
        return Generator(self.config, self.parameters, tokenizer.stop_ids, lora=self._lora, decode=tokenizer.decode)

    def generate_ids(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, sampling: Sampling = GREEDY
    ) -> list[list[int]]:
        """Continuations of token ids, without the end token."""
        return self.generator.generate(prompts, max_new_tokens=max_new_tokens, sampling=sampling)

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int = 128, sampling: Sampling = GREEDY) -> list[str]:
        """Continuations of texts.

        Raises:
            InputError: the model has no tokenizer, or `prompts` is one string.
        """
        if isinstance(prompts, str):
            raise InputError("generate takes a list of prompts: generate([prompt]).")
        tokenizer = self._require_tokenizer()
        ids = [self.text_prompt(prompt) for prompt in prompts]
        answers = self.generate_ids(ids, max_new_tokens=max_new_tokens, sampling=sampling)
        return [until_stop(tokenizer.decode(answer), sampling.stop) for answer in answers]

    def chat(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        max_new_tokens: int = 128,
        sampling: Sampling = GREEDY,
    ) -> list[str]:
        """The assistant's next message of each conversation.

        Raises:
            InputError: the model knows no chat tokens (it is not instruction-tuned), or a message is malformed.
        """
        tokenizer = self._require_tokenizer()
        prompts = [self.chat_prompt(messages) for messages in conversations]
        long = sum(len(prompt) + max_new_tokens > self.config.context_length for prompt in prompts)
        if long:
            say(
                f"{self.name}: {long} of {len(prompts)} prompts leave less than {max_new_tokens} of the "
                f"{self.config.context_length} tokens the model was trained on; they are read whole, beyond that."
            )
        answers = self.generator.generate(prompts, max_new_tokens=max_new_tokens, sampling=sampling)
        return [until_stop(tokenizer.decode(answer), sampling.stop) for answer in answers]

    def stream_chat(
        self, conversation: Sequence[Message], *, max_new_tokens: int = 128, sampling: Sampling = GREEDY
    ) -> Iterator[str]:
        """The assistant's next message in pieces of whole characters, as they are written.

        Raises:
            InputError: as `chat`; or beams are asked for, whose answer is known only at the end.
        """
        tokens = self.generator.stream(self.chat_prompt(conversation), max_new_tokens=max_new_tokens, sampling=sampling)

        def pieces() -> Iterator[str]:
            text = TextStream(self._require_tokenizer().decode, sampling.stop)
            for ids in tokens:
                yield text.feed(ids)
            yield text.finish()

        return pieces()

    def text_prompt(self, text: str) -> list[int]:
        """A text as the model reads it to go on with it: a document without its end.

        Raises:
            InputError: the model has no tokenizer.
        """
        tokenizer = self._require_tokenizer()
        # What ends the document before it stands for nothing.
        return tokenizer.document_ids(text)[:-1] or [tokenizer.eos_id]

    def chat_prompt(self, conversation: Sequence[Message]) -> list[int]:
        """A conversation as the model reads it, up to where its answer begins.

        Raises:
            InputError: as `chat`.
        """
        tokenizer = self._require_tokenizer()
        if not tokenizer.has_chat(self.config.vocab_size):
            raise InputError(
                f"{self.name}: not instruction-tuned, its vocabulary lacks the chat tokens. `jmed generate` and "
                "`jmed evaluate run --plain` give it plain texts."
            )
        return tokenizer.encode_chat(conversation, add_generation_prompt=True)

    def _require_tokenizer(self) -> TextTokenizer:
        if self.tokenizer is None:
            raise InputError(f"{self.name}: this model has no tokenizer; use generate_ids or logits.")
        return self.tokenizer

    def save_hf(
        self,
        path: str | Path,
        *,
        format: huggingface.Format | None = None,
        dtype: huggingface.Dtype | None = None,
        scores: Path | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write a Hugging Face directory: config, safetensors, tokenizer files, model card; an adapter is merged.

        Args:
            format: "qwen2", "llama" or "arcee", the model as it is, is the default; for a plain MLP "llama" is the
                bit-exact twin for servers that know only Llama.
            dtype: bfloat16 is the default for Qwen2 and Llama, as they are published; float32 for NCVC-slm-1.
            scores: `scores.json` of an evaluation, for the model card; a run's own scores are found.

        Raises:
            InputError: `path` exists and `overwrite` is false, or the architecture has no such format.
        """
        path = Path(path)
        artifact.check_free(path, overwrite)
        format = format or huggingface.formats(self.config)[0]
        dtype = dtype or huggingface.default_dtype(self.config)
        # NCVC-slm-1 has no directory of somebody else's to keep.
        source = source_files(self.origin) if self.origin and self.config.gated_mlp else None
        origin = provenance(self.origin, self.name, scores)
        config = {"name": self.name, "format": format, "dtype": dtype, PROVENANCE: as_json(origin)}
        with artifact.create(path, "model", config, overwrite=overwrite) as draft:
            token_ids = {}
            if self.tokenizer is not None:
                ids = self.tokenizer
                token_ids = {"bos_token_id": ids.bos_id, "eos_token_id": ids.eos_id, "pad_token_id": ids.pad_id}
                _write_tokenizer(ids, draft.path, self.config)
                draft.inputs["tokenizer"] = ids.fingerprint
            draft.hashes |= huggingface.write_weights(
                draft.path,
                self.config,
                self.merged,
                token_ids=token_ids,
                format=format,
                dtype=dtype,
                source=source,
            )
            write_model_card(draft.path, self.config, origin)
            draft.counts["parameters"] = self.config.num_parameters
        return path


def _write_tokenizer(tokenizer: TextTokenizer, out: Path, config: ModelConfig) -> None:
    if isinstance(tokenizer, Tokenizer):
        write_huggingface_tokenizer(tokenizer, out, model_max_length=config.context_length)
    else:
        tokenizer.copy_files(out)
