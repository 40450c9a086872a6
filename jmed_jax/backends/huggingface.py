"""Models of Hugging Face directories on disk, with transformers and PyTorch: one that answers, one that encodes.

Axes: B texts of a batch, T positions, D hidden.
"""

import hashlib
import importlib
import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jmed_jax.artifact import file_sha256
from jmed_jax.backends.machine import peak_process_bytes
from jmed_jax.backends.protocol import Backend, Completion, Decoding, Encoder, Likelihood, Machine, Prompt, Scorer
from jmed_jax.errors import InputError

# Nothing is fetched, no pickled weights are read, and no code that lies in the directory is run.
SAFE = {"local_files_only": True, "trust_remote_code": False}


class HuggingFaceModel(Backend, Scorer):
    """A causal language model: greedy answers or beam search, and likelihoods, in batches padded on the left."""

    def __init__(self, path: Path, *, batch_size: int = 16, four_bit: bool = False) -> None:
        """
        Args:
            four_bit: weights in NF4, as arXiv 2409.11783 ran its 70B models; needs bitsandbytes and a GPU.

        Raises:
            InputError: there is no PyTorch, or no such model with safetensors in `path`.
        """
        self.name = path.resolve().name + (" (4-bit)" if four_bit else "")
        self.batch_size = batch_size
        self.counts: Counter[str] = Counter()
        self._model, self._tokenizer = _load(path, "AutoModelForCausalLM", four_bit=four_bit)
        # A model that samples by default brings numbers for it; they say nothing here, and transformers warns.
        self._model.generation_config.update(do_sample=False, temperature=None, top_p=None, top_k=None)
        self._tokenizer.padding_side = "left"

    @property
    def parameters(self) -> int:
        """How many there are, quantised or not."""
        return self._model.num_parameters()

    def answers(
        self,
        prompts: Sequence[Prompt],
        decoding: Decoding,
        *,
        ids: Sequence[str] | None = None,  # noqa: ARG002 (prompts need no names)
    ) -> Iterator[tuple[int, Completion]]:
        """Every prompt's index and completion; `error` where the answer is empty or the prompt too long.

        Raises:
            InputError: the model has no chat template, or its template refuses a conversation.
        """
        encoded = [self._encode(prompt) for prompt in prompts]
        room = _positions(self._model) - decoding.max_new_tokens
        fits = [i for i, ids in enumerate(encoded) if len(ids) <= room]
        self.counts["requests"] += len(encoded)
        for index, tokens in enumerate(encoded):
            if len(tokens) > room:
                self.counts["prompt too long"] += 1
                error = f"the prompt exceeds {room} tokens"
                yield index, Completion("", error, is_final=True, overlong=True, prompt_tokens=len(tokens))
        for places in _batches([len(encoded[i]) for i in fits], self.batch_size):
            batch = [fits[place] for place in places]
            yield from zip(batch, self._generate([encoded[i] for i in batch], decoding), strict=True)

    def loglikelihood(self, pairs: Sequence[tuple[Prompt, str]]) -> Iterator[tuple[int, Likelihood]]:
        """Every pair's index and likelihood, in batches of similar lengths.

        Raises:
            InputError: as `answers`, or a pair exceeds what the model reads.
        """
        prompts = [self._encode(prompt) for prompt, _ in pairs]
        targets = [self._tokenizer(text, add_special_tokens=False)["input_ids"] for _, text in pairs]
        lengths = [len(prompt) + len(target) for prompt, target in zip(prompts, targets, strict=True)]
        if max(lengths, default=0) > _positions(self._model):
            raise InputError(f"{self.name}: a question of {max(lengths):,} tokens exceeds what the model reads.")
        self.counts["requests"] += len(pairs)
        for batch in _batches(lengths, self.batch_size):
            yield from zip(batch, self._weigh([prompts[i] for i in batch], [targets[i] for i in batch]), strict=True)

    def machine(self) -> Machine:
        """The GPU, or the process on a CPU."""
        torch = require_torch()
        if self._model.device.type == "cuda":
            return Machine(torch.cuda.get_device_name(), 1, torch.cuda.max_memory_allocated())
        return Machine("cpu", 1, peak_process_bytes())

    def _encode(self, prompt: Prompt) -> list[int]:
        import jinja2

        if isinstance(prompt, str):
            return self._tokenizer(prompt)["input_ids"]
        if not self._tokenizer.chat_template:
            raise InputError(
                f"{self.name}: no chat template, so this model takes no conversations. Use an instruct model, or "
                "evaluate a base model with --plain."
            )
        try:
            text = self._tokenizer.apply_chat_template(
                [dict(message) for message in prompt], add_generation_prompt=True, tokenize=False
            )
        except jinja2.TemplateError as error:
            raise InputError(f"{self.name}: its chat template refuses the conversation ({error}).") from error
        # The template has written the special tokens already.
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def _generate(self, prompts: list[list[int]], decoding: Decoding) -> Iterator[Completion]:
        torch = require_torch()
        tokenizer = self._tokenizer
        inputs = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self._model.device)
        # A batch ends when every row has a stop text; what a row writes behind its own is cut below.
        stop = {"stop_strings": list(decoding.stop), "tokenizer": tokenizer} if decoding.stop else {}
        with torch.inference_mode():
            output_BT = self._model.generate(
                **inputs,
                max_new_tokens=decoding.max_new_tokens,
                num_beams=decoding.beams,
                pad_token_id=tokenizer.pad_token_id,
                **stop,
            )
        new_BT = output_BT[:, inputs["input_ids"].shape[1] :]
        written_B = (new_BT != tokenizer.pad_token_id).sum(dim=1).tolist()
        texts = tokenizer.batch_decode(new_BT, skip_special_tokens=True)
        for prompt, text, written in zip(prompts, texts, written_B, strict=True):
            text = text[: min((place for end in decoding.stop if (place := text.find(end)) >= 0), default=len(text))]
            self.counts["prompt_tokens"] += len(prompt)
            self.counts["completion_tokens"] += written
            self.counts["answers" if text.strip() else "empty answer"] += 1
            used = {"prompt_tokens": len(prompt), "completion_tokens": written}
            if text.strip():
                yield Completion(text, **used)
            else:
                yield Completion("", "an empty answer", is_final=True, **used)

    def _weigh(self, prompts: list[list[int]], targets: list[list[int]]) -> Iterator[Likelihood]:
        torch = require_torch()
        rows = [[*prompt, *target] for prompt, target in zip(prompts, targets, strict=True)]
        inputs = self._tokenizer.pad({"input_ids": rows}, return_tensors="pt").to(self._model.device)
        # Padded on the left, so the continuations stand at the end; only their logits are made.
        positions_BT = (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
        longest = max(map(len, targets))
        with torch.inference_mode():
            output = self._model(**inputs, position_ids=positions_BT, logits_to_keep=longest + 1)
        log_probabilities_BTV = output.logits[:, :-1].float().log_softmax(dim=-1)
        for log_probabilities_TV, target, prompt in zip(log_probabilities_BTV, targets, prompts, strict=True):
            own_TV = log_probabilities_TV[longest - len(target) :]
            ids_T = torch.tensor(target, device=own_TV.device)
            value = float(own_TV.gather(1, ids_T[:, None]).sum())
            self.counts["prompt_tokens"] += len(prompt)
            is_greedy = bool((own_TV.argmax(dim=1) == ids_T).all())
            yield Likelihood(value, len(target), is_greedy, prompt_tokens=len(prompt))


class HuggingFaceEncoder(Encoder):
    """Vectors of texts: the mean of the last hidden states over a text's tokens.

    Attributes:
        name: the directory's name.
        fingerprint: sha256 of the files that decide the vectors.
        dimensions: D.
        tokens: read so far, padding aside.
    """

    def __init__(self, path: Path, *, batch_size: int = 32, max_length: int = 512) -> None:
        """
        Args:
            batch_size: texts of one forward pass.
            max_length: tokens of a text that are looked at.

        Raises:
            InputError: there is no PyTorch, or no such model with safetensors in `path`.
        """
        self._model, self._tokenizer = _load(path, "AutoModel")
        self._batch_size = batch_size
        # RoBERTa's table of positions is longer than the texts it takes; its tokenizer knows.
        self.max_length = min(max_length, _positions(self._model), self._tokenizer.model_max_length)
        self.name = path.resolve().name
        self.fingerprint = _fingerprint(path)
        self.dimensions: int = self._model.config.get_text_config().hidden_size
        self.tokens = 0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors float32 [N, D] of N texts, in their order; zeros for a text without tokens."""
        torch = require_torch()
        # Special tokens too: BERT was trained with them.
        encoded = (
            self._tokenizer(list(texts), truncation=True, max_length=self.max_length)["input_ids"] if texts else []
        )
        vectors_ND = np.zeros((len(texts), self.dimensions), np.float32)
        for batch in _batches([len(ids) for ids in encoded], self._batch_size):
            indices = [i for i in batch if encoded[i]]
            if not indices:
                continue
            ids = [encoded[i] for i in indices]
            inputs = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self._model.device)
            with torch.inference_mode():
                hidden_BTD = self._model(**inputs).last_hidden_state.float()
            mask_BT1 = inputs["attention_mask"][..., None].to(hidden_BTD.dtype)
            mean_BD = (hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1).clamp(min=1)
            vectors_ND[indices] = mean_BD.cpu().numpy()
            self.tokens += sum(map(len, ids))
        return vectors_ND


def require_torch() -> Any:
    """The module torch.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ModuleNotFoundError as error:
        raise InputError(
            "Hugging Face models run on PyTorch, which is not installed: pip install torch. "
            "Models of this package and endpoints need none."
        ) from error


def _load(path: Path, kind: str, *, four_bit: bool = False) -> tuple[Any, Any]:
    """(model, tokenizer) of a directory, on the accelerator if there is one."""
    torch = require_torch()
    if not (path / "config.json").is_file():
        raise InputError(f"{path}: no config.json here, so this is no Hugging Face directory.")
    if not any(path.glob("*.safetensors")):
        raise InputError(f"{path}: no .safetensors here; pickled weights are not read. Convert them first.")
    import safetensors
    import transformers

    # It draws one wherever standard error goes.
    transformers.utils.logging.disable_progress_bar()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"dtype": "auto" if device == "cuda" else torch.float32}
    if four_bit:
        options = _four_bit(torch, transformers)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **SAFE)
        model, loading = getattr(transformers, kind).from_pretrained(
            path, use_safetensors=True, output_loading_info=True, **options, **SAFE
        )
    # Whatever transformers finds wrong with a directory, it says in one of these.
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, safetensors.SafetensorError) as error:
        line = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: transformers cannot open it ({line}).") from error
    # transformers makes up what is missing at random, and only warns. Nobody looks at a pooler's output here.
    missing = sorted(name for name in loading["missing_keys"] if "pooler" not in name)
    if missing:
        raise InputError(f"{path}: no weights for {missing[0]} and {len(missing) - 1} more: not a whole {kind[4:]}.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    # Quantised weights stand where they belong already.
    return (model if four_bit else model.to(device)).eval(), tokenizer


def _four_bit(torch: Any, transformers: Any) -> dict[str, Any]:
    """How transformers loads weights in NF4.

    Raises:
        InputError: what it needs is not here.
    """
    if not torch.cuda.is_available():
        raise InputError("--four-bit needs a GPU, and PyTorch finds none here. Leave it out, or ask an endpoint.")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError("--four-bit needs bitsandbytes, which is not installed: pip install bitsandbytes.")
    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    return {"quantization_config": config, "device_map": {"": 0}}


def _positions(model: Any) -> int:
    return getattr(model.config.get_text_config(), "max_position_embeddings", 1 << 30)


def _fingerprint(path: Path) -> str:
    files = sorted(file for pattern in ("*.json", "*.safetensors", "*.txt", "*.model") for file in path.glob(pattern))
    lines = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _batches(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches of similar lengths, so that little is padded; the longest first: they need most memory."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
