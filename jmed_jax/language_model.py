"""A model with its tokenizer, from a run or from a Hugging Face directory: the Python API.

>>> lm = jmed_jax.load("out/instruct")
>>> lm.generate(["糖尿病の治療は"], max_new_tokens=32)
>>> lm.chat([[{"role": "user", "content": "質問: …"}]], max_new_tokens=32)
>>> lm.save_hf("out/model")

Several adapters of one base, which is in memory once:

>>> lm = jmed_jax.load("Qwen2-7B-Instruct", adapters={"exam": "out/mpeft", "ward": "out/peft-directory"})
>>> lm.with_adapter("exam").chat([[{"role": "user", "content": "質問: …"}]])
"""

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
from jmed_jax.convert import huggingface, peft
from jmed_jax.convert.architecture import read_model_config
from jmed_jax.convert.model_card import write_model_card
from jmed_jax.errors import InputError
from jmed_jax.generate.engine import Generator
from jmed_jax.generate.sampling import GREEDY, Sampling
from jmed_jax.generate.stream import TextStream, until_stop
from jmed_jax.models.decoder import abstract_parameters, initialize_parameters
from jmed_jax.models.lora import abstract_adapter, attach, base_dtype, detach, merge
from jmed_jax.progress import say
from jmed_jax.tokenizer.huggingface import write_huggingface_tokenizer
from jmed_jax.tokenizer.load import TextTokenizer, load_tokenizer
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.train.base import BASE, fingerprint
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.provenance import provenance, source_files
from jmed_jax.train.run import RUN_FILE, Run, open_run

Message = Mapping[str, str]

ADAPTER = "adapter"
"""Kind of artefact: a PEFT directory that `export_adapter` wrote."""


class Adapter(NamedTuple):
    """What a LoRA run or a PEFT directory holds."""

    parameters: Any
    """A tree as `models/lora.py` describes it."""
    lora: LoraConfig
    base: str
    """Where its base is, as it was trained: a directory, or a name of the Hugging Face Hub."""
    base_fingerprint: str | None
    """Of the base's values in the dtype of `lora.base`; None where nothing says."""


class LanguageModel:
    """Parameters, configuration and tokenizer of one model.

    Attributes:
        config: the architecture.
        tokenizer: None for a model made by `random`.
        parameters: plain nested dictionaries, blocks stacked.
        name: where it came from.
        path: the directory it came from, None for a model made in memory.
        adapters: of this base, by name (`with_adapter`).
    """

    def __init__(
        self,
        config: ModelConfig,
        parameters: Any,
        tokenizer: TextTokenizer | None,
        name: str,
        *,
        path: Path | None = None,
        adapters: Mapping[str, Adapter] | None = None,
    ) -> None:
        self.config = config
        self.parameters = parameters
        self.tokenizer = tokenizer
        self.name = name
        self.path = path
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
        model = LanguageModel(self.config, parameters, self.tokenizer, f"{self.name} + {name}", path=self.path)
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

    @property
    def _lora(self) -> LoraConfig | None:
        """Of the tree in `parameters`: the base is dense here, however it was kept while the adapter was trained."""
        return replace(self._attached.lora, base="float32") if self._attached else None

    @cached_property
    def _forward(self) -> Any:
        graphdef, _ = abstract_parameters(self.config, self._lora)
        return jax.jit(lambda parameters, ids_BT: nnx.merge(graphdef, parameters)(ids_BT))

    @cached_property
    def _generator(self) -> Generator:
        if self.tokenizer is None:
            return Generator(self.config, self.parameters, lora=self._lora)
        tokenizer = self.tokenizer
        return Generator(self.config, self.parameters, tokenizer.stop_ids, lora=self._lora, decode=tokenizer.decode)

    def generate_ids(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, sampling: Sampling = GREEDY
    ) -> list[list[int]]:
        """Continuations of token ids, without the end token."""
        return self._generator.generate(prompts, max_new_tokens=max_new_tokens, sampling=sampling)

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int = 128, sampling: Sampling = GREEDY) -> list[str]:
        """Continuations of texts.

        Raises:
            InputError: the model has no tokenizer, or `prompts` is one string.
        """
        if isinstance(prompts, str):
            raise InputError("generate takes a list of prompts: generate([prompt]).")
        tokenizer = self._require_tokenizer()
        # A document without its end; what ends the one before it stands for nothing.
        ids = [tokenizer.document_ids(prompt)[:-1] or [tokenizer.eos_id] for prompt in prompts]
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
        return self.generate_chat(conversations, max_new_tokens=max_new_tokens, label=None, sampling=sampling)

    def stream_chat(
        self, conversation: Sequence[Message], *, max_new_tokens: int = 128, sampling: Sampling = GREEDY
    ) -> Iterator[str]:
        """The assistant's next message in pieces of whole characters, as they are written.

        Raises:
            InputError: as `chat`; or beams are asked for, whose answer is known only at the end.
        """
        tokens = self._generator.stream(
            self.chat_prompt(conversation), max_new_tokens=max_new_tokens, sampling=sampling
        )

        def pieces() -> Iterator[str]:
            text = TextStream(self._require_tokenizer().decode, sampling.stop)
            for ids in tokens:
                yield text.feed(ids)
            yield text.finish()

        return pieces()

    def chat_prompt(self, conversation: Sequence[Message]) -> list[int]:
        """A conversation as the model reads it, up to where its answer begins.

        Raises:
            InputError: as `chat`.
        """
        tokenizer = self._require_tokenizer()
        if not tokenizer.has_chat(self.config.vocab_size):
            raise InputError(f"{self.name}: not instruction-tuned, its vocabulary lacks the chat tokens.")
        return tokenizer.encode_chat(conversation, add_generation_prompt=True)

    def generate_chat(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        max_new_tokens: int,
        label: str | None,
        sampling: Sampling = GREEDY,
    ) -> list[str]:
        """As `chat`, with a progress display named `label`: the evaluation's backend protocol."""
        tokenizer = self._require_tokenizer()
        prompts = [self.chat_prompt(messages) for messages in conversations]
        long = sum(len(prompt) + max_new_tokens > self.config.context_length for prompt in prompts)
        if long:
            say(
                f"{label or self.name}: {long} of {len(prompts)} prompts leave less than {max_new_tokens} of the "
                f"{self.config.context_length} tokens the model was trained on; they are read whole, beyond that."
            )
        answers = self._generator.generate(prompts, max_new_tokens=max_new_tokens, sampling=sampling, progress=label)
        return [until_stop(tokenizer.decode(answer), sampling.stop) for answer in answers]

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
        dtype = dtype or ("bfloat16" if self.config.gated_mlp else "float32")
        # NCVC-slm-1 has no directory of somebody else's to keep.
        source = source_files(self.path) if self.path and self.config.gated_mlp else None
        config = {"name": self.name, "format": format, "dtype": dtype}
        with artifact.create(path, "model", config, overwrite=overwrite) as draft:
            token_ids = {}
            if self.tokenizer is not None:
                ids = self.tokenizer
                token_ids = {"bos_token_id": ids.bos_id, "eos_token_id": ids.eos_id, "pad_token_id": ids.pad_id}
                _write_tokenizer(ids, draft.path, self.config)
                draft.inputs["tokenizer"] = ids.fingerprint
            huggingface.write_weights(
                draft.path,
                self.config,
                self.merged,
                token_ids=token_ids,
                format=format,
                dtype=dtype,
                source=source,
            )
            write_model_card(draft.path, self.config, provenance(self.path, self.name, scores))
            draft.counts["parameters"] = self.config.num_parameters
        return path


def load(
    path: str | Path,
    *,
    step: int | None = None,
    adapters: Mapping[str, str | Path] | None = None,
    dtype: Any = jnp.float32,
) -> LanguageModel:
    """Load a run (its newest checkpoint, or that of `step`), a Hugging Face directory or a PEFT directory.

    A run that trained an adapter, and a PEFT directory, are found their base and merged with it.

    Args:
        adapters: runs and PEFT directories of this base, by the names that `LanguageModel.with_adapter` takes.
        dtype: of the parameters.

    Raises:
        InputError: there is nothing of the kind, it is damaged, or an adapter belongs to another base.
    """
    path = Path(path)
    if peft.is_adapter(path) or ((path / RUN_FILE).is_file() and open_run(path).config.lora.rank):
        return _load_merged(path, step, dtype)
    config, parameters = _read_model(path, step, dtype)
    found = {name: _read_checked(Path(place), config, parameters, path) for name, place in (adapters or {}).items()}
    if (path / RUN_FILE).is_file():
        run = open_run(path)
        tokenizer, name = load_tokenizer(run.tokenizer_path), f"{path.name} (run)"
    else:
        tokenizer, name = load_tokenizer(path), path.name
    return LanguageModel(config, parameters, tokenizer, name, path=path, adapters=found)


def read_adapter(path: Path, config: ModelConfig, step: int | None = None) -> Adapter:
    """The adapter of a run or of a PEFT directory, for a base of the architecture `config`.

    Raises:
        InputError: there is none, or it does not fit the architecture.
    """
    if peft.is_adapter(path):
        parameters, lora = peft.read_adapter(path, config)
        if not (path / artifact.MANIFEST).is_file():
            return Adapter(parameters, lora, peft.base_name(path), None)
        ours = artifact.open_artifact(path, ADAPTER)
        return Adapter(parameters, replace(lora, base=ours.config["base"]), peft.base_name(path), ours.inputs[BASE])
    run = open_run(path)
    if not run.config.lora.rank:
        raise InputError(f"{path}: this run trained all parameters; it has no adapter.")
    abstract = abstract_adapter(run.config.model, run.config.lora)
    checkpoints = Checkpoints(path)
    try:
        parameters = checkpoints.restore_parameters(abstract, _here(abstract), step)
        inputs = checkpoints.inputs(step)
    finally:
        checkpoints.close()
    return Adapter(parameters, run.config.lora, run.config.train.initialize_from, inputs[BASE])


def export_adapter(run: Path, out: Path, *, step: int | None = None, overwrite: bool = False) -> Adapter:
    """Write the adapter of a LoRA run as a PEFT directory, which PEFT and vLLM load beside the base.

    Raises:
        InputError: the run trained all parameters, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    config = open_run(run).config
    adapter = read_adapter(run, config.model, step)
    # The manifest says what PEFT's files cannot: in which dtype the base was, and which values it had.
    with artifact.create(out, ADAPTER, {"base": config.lora.base}, overwrite=overwrite) as draft:
        peft.write_adapter(draft.path, config.model, adapter.lora, adapter.parameters, adapter.base)
        assert adapter.base_fingerprint is not None
        draft.inputs[BASE] = adapter.base_fingerprint
        draft.counts["parameters"] = sum(leaf.size for leaf in jax.tree.leaves(adapter.parameters))
    return adapter


def _load_merged(path: Path, step: int | None, dtype: Any) -> LanguageModel:
    is_run = (path / RUN_FILE).is_file()
    base = Path(open_run(path).config.train.initialize_from if is_run else peft.base_name(path))
    if not base.is_dir():
        raise InputError(f"{path}: its base {base} is not there. Give load the base, and this as one of its adapters.")
    model = load(base, adapters={path.name: path}, dtype=dtype)
    adapter = model.adapters[path.name] if step is None else read_adapter(path, model.config, step)
    merged = merge(model.parameters, adapter.parameters, adapter.lora)
    name = f"{path.name} ({'run' if is_run else 'adapter'})"
    return LanguageModel(model.config, merged, model.tokenizer, name, path=path)


def _read_checked(path: Path, config: ModelConfig, base: Any, base_path: Path) -> Adapter:
    """
    Raises:
        InputError: the adapter was trained beside other values, or another architecture.
    """
    adapter = read_adapter(path, config)
    as_trained = jax.tree.map(lambda a: a.astype(base_dtype(adapter.lora)), base)
    if adapter.base_fingerprint not in (None, fingerprint(as_trained)):
        raise InputError(
            f"{path}: an adapter of another base than {base_path}. It was trained beside {adapter.base or 'another'}."
        )
    return adapter


def _read_model(path: Path, step: int | None, dtype: Any) -> tuple[ModelConfig, Any]:
    """Architecture and parameters of a run that trains all of them, or of a Hugging Face directory."""
    if (path / RUN_FILE).is_file():
        return _read_run(open_run(path), step, dtype)
    if step is not None:
        raise InputError(f"{path}: not a run, so it has no checkpoint of step {step}.")
    config = read_model_config(path)
    return config, huggingface.read_parameters(path, config, dtype=dtype)


def _read_run(run: Run, step: int | None, dtype: Any) -> tuple[ModelConfig, Any]:
    abstract = nnx.to_pure_dict(abstract_parameters(run.config.model)[1])
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.dtype(dtype)), abstract)
    checkpoints = Checkpoints(run.path)
    try:
        return run.config.model, checkpoints.restore_parameters(abstract, _here(abstract), step)
    finally:
        checkpoints.close()


def _here(tree: Any) -> Any:
    """Everything on the first device."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda _: here, tree)


def _write_tokenizer(tokenizer: TextTokenizer, out: Path, config: ModelConfig) -> None:
    if isinstance(tokenizer, Tokenizer):
        write_huggingface_tokenizer(tokenizer, out, model_max_length=config.context_length)
    else:
        tokenizer.copy_files(out)
