"""Models of Hugging Face directories on disk, with transformers and PyTorch: one that answers, one that encodes.

Axes: B texts of a batch, T positions, D hidden.
"""

import hashlib
import importlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jmed_jax.artifact import file_sha256
from jmed_jax.backends.protocol import ChatBackend, Completion, Encoder, Message
from jmed_jax.errors import InputError

# Nothing is fetched, no pickled weights are read, and no code that lies in the directory is run.
SAFE = {"local_files_only": True, "trust_remote_code": False}


class HuggingFaceModel(ChatBackend):
    """Greedy answers of a causal language model with a chat template, in batches padded on the left."""

    def __init__(self, path: Path, *, batch_size: int = 16) -> None:
        """
        Raises:
            InputError: there is no PyTorch, or no such model with safetensors and a chat template in `path`.
        """
        self.name = path.resolve().name
        self.batch_size = batch_size
        self.counts: Counter[str] = Counter()
        self._model, self._tokenizer = _load(path, "AutoModelForCausalLM")
        if not self._tokenizer.chat_template:
            raise InputError(f"{path}: no chat template, so this model takes no conversations. Use an instruct model.")
        self._tokenizer.padding_side = "left"

    def complete(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Completion]:
        """One completion a conversation, in their order; `error` where the answer is empty or the prompt too long.

        Raises:
            InputError: the model's template refuses a conversation.
        """
        prompts = [self._encode(messages) for messages in conversations]
        room = _positions(self._model) - max_new_tokens
        fits = [i for i, ids in enumerate(prompts) if len(ids) <= room]
        answers = dict.fromkeys(range(len(prompts)), Completion("", f"the prompt exceeds {room} tokens"))
        self.counts["requests"] += len(prompts)
        self.counts["prompt too long"] += len(prompts) - len(fits)
        for indices in _batches([len(prompts[i]) for i in fits], self.batch_size):
            batch = [fits[place] for place in indices]
            texts = self._generate([prompts[i] for i in batch], max_new_tokens)
            for i, text in zip(batch, texts, strict=True):
                answers[i] = Completion(text) if text.strip() else Completion("", "an empty answer")
                self.counts["answers" if text.strip() else "empty answer"] += 1
        return [answers[i] for i in range(len(prompts))]

    def _encode(self, messages: Sequence[Message]) -> list[int]:
        import jinja2

        try:
            text = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages], add_generation_prompt=True, tokenize=False
            )
        except jinja2.TemplateError as error:
            raise InputError(f"{self.name}: its chat template refuses the conversation ({error}).") from error
        # The template has written the special tokens already.
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def _generate(self, prompts: list[list[int]], max_new_tokens: int) -> list[str]:
        torch = require_torch()
        tokenizer = self._tokenizer
        inputs = tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self._model.device)
        with torch.inference_mode():
            output_BT = self._model.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=tokenizer.pad_token_id,
                # Those of a model that samples by default; they say nothing here, and transformers warns.
                temperature=None,
                top_p=None,
                top_k=None,
            )
        new_BT = output_BT[:, inputs["input_ids"].shape[1] :]
        self.counts["prompt_tokens"] += sum(map(len, prompts))
        self.counts["completion_tokens"] += int((new_BT != tokenizer.pad_token_id).sum())
        return tokenizer.batch_decode(new_BT, skip_special_tokens=True)


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


def _load(path: Path, kind: str) -> tuple[Any, Any]:
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
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **SAFE)
        model, loading = getattr(transformers, kind).from_pretrained(
            path,
            use_safetensors=True,
            dtype="auto" if device == "cuda" else torch.float32,
            output_loading_info=True,
            **SAFE,
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
    return model.to(device).eval(), tokenizer


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
