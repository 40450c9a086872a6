"""A model of ours as the harness sees one: likelihoods of continuations, rolling likelihoods, and texts.

Token ids and cuts are those of the harness's own Hugging Face model, so that the scores are the same.
"""

import itertools
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from jmed_jax.errors import InputError
from jmed_jax.generate.sampling import Sampling
from jmed_jax.generate.score import Score
from jmed_jax.generate.stream import until_stop
from jmed_jax.language_model import LanguageModel, load

DEFAULT_MAX_GEN_TOKS = 256
"""The harness's own, for tasks that name no limit."""
# What a task may say of how its answers are generated; more is refused rather than overlooked.
UNDERSTOOD = frozenset({"until", "do_sample", "temperature", "top_p", "top_k", "num_beams", "max_gen_toks"})

Pair = tuple[Any, list[int], list[int]]
"""The harness's (texts or None, ids of the context, ids of the continuation)."""


class JmedModel(TemplateLM):
    """A run or a Hugging Face directory, loaded with `jmed_jax.load`."""

    def __init__(
        self,
        path: str,
        *,
        dtype: str = "float32",
        max_length: int | None = None,
        add_bos_token: bool = False,
        batch_size: int | str | None = None,  # noqa: ARG002
        max_batch_size: int | None = None,  # noqa: ARG002
        device: str | None = None,  # noqa: ARG002
    ) -> None:
        """
        Args:
            path: a run, a Hugging Face directory or a PEFT directory.
            dtype: of the parameters.
            max_length: tokens that the model reads, context and answer together; its context length by default.
            add_bos_token: put the token that begins a text before every context. Hugging Face's tokenizer of our own
                models does not, though they are trained with it; `jmed evaluate` does.
            batch_size: of no use here, nor are the other two: the engine fills its batches, on JAX's devices.

        Raises:
            InputError: there is no model at `path`, or it has no tokenizer.
        """
        super().__init__()
        self.model: LanguageModel = load(Path(path), dtype=dtype)
        if self.model.tokenizer is None:
            raise InputError(f"{path}: this model has no tokenizer, so it reads no text.")
        self._tokens = self.model.tokenizer
        self._max_length = max_length or self.model.config.context_length
        self._add_bos_token = add_bos_token
        self._is_chat = False

    @property
    def eot_token_id(self) -> int:
        """What ends a text."""
        return self._tokens.eos_id

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text that has nothing before it."""
        return self.eot_token_id if self._tokens.bos_id is None else self._tokens.bos_id

    @property
    def max_length(self) -> int:
        """Tokens that the model reads."""
        return self._max_length

    @property
    def tokenizer_name(self) -> str:
        """A fingerprint: names the harness's cache of requests."""
        return self._tokens.fingerprint

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Ids of a text. Special tokens in it count as such only where a chat template wrote them."""
        parts = self._special_pattern.split(string) if self._is_chat else [string]
        ids = [
            index
            for part in parts
            for index in ([self._special[part]] if self._is_chat and part in self._special else self._encode(part))
        ]
        begins = self._add_bos_token if add_special_tokens is None else add_special_tokens
        if begins and self._tokens.bos_id is not None and ids[:1] != [self._tokens.bos_id]:
            ids.insert(0, self._tokens.bos_id)
        return ids

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as text; without the generation prompt its last message is left open, to be gone on with."""
        self._is_chat = True
        if add_generation_prompt:
            return self._tokens.render_chat(chat_history, add_generation_prompt=True)
        *before, begun = chat_history
        return self._tokens.render_chat(before, add_generation_prompt=True) + begun["content"]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002
        """Log-likelihood of whole texts, in windows of `max_length` that each predict as much as they can."""
        windows = [list(map(make_disjoint_window, self._windows(request.args[0]))) for request in requests]
        pairs: list[Pair] = [(None, context, ids) for text in windows for context, ids in text]
        values = iter([log_probability for log_probability, _ in self._loglikelihood_tokens(pairs)])
        totals = [sum(itertools.islice(values, len(text))) for text in windows]
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:  # noqa: ARG002
        """Answers up to the first of a request's stop texts, in the order of the requests.

        Raises:
            InputError: a task asks for something that the engine does not do, or for more tokens than `max_length`.
        """
        answers: dict[int, str] = {}
        settings = [_read_settings(request.args[1]) for request in requests]
        for chosen in dict.fromkeys(settings):
            sampling, max_new_tokens = chosen
            indices = [index for index, setting in enumerate(settings) if setting == chosen]
            room = self.max_length - max_new_tokens
            if room < 1:
                raise InputError(f"{max_new_tokens} tokens of an answer leave no room in {self.max_length}.")
            prompts = [self.tok_encode(requests[index].args[0])[-room:] or [self.prefix_token_id] for index in indices]
            found = self.model.generate_ids(prompts, max_new_tokens=max_new_tokens, sampling=sampling)
            for index, ids in zip(indices, found, strict=True):
                answers[index] = until_stop(self._tokens.decode(ids), sampling.stop)
                self.cache_hook.add_partial("generate_until", requests[index].args, answers[index])
        return [answers[index] for index in range(len(requests))]

    def _loglikelihood_tokens(self, requests: Sequence[Pair], **_settings: Any) -> list[tuple[float, bool]]:
        # The continuation's last token is not read, so one more fits; what is too long loses its beginning.
        contexts = [context[-max(1, self.max_length + 1 - len(ids)) :] for _, context, ids in requests]
        scores: list[Score] = self.model.generator.score(contexts, [ids for _, _, ids in requests])
        values = [(score.log_probability, score.greedy) for score in scores]
        for (texts, _, _), value in zip(requests, values, strict=True):
            if texts is not None:
                self.cache_hook.add_partial("loglikelihood", texts, value)
        return values

    def _windows(self, text: str) -> list[tuple[list[int], list[int]]]:
        ids = self.tok_encode(text)
        return list(get_rolling_token_windows(ids, self.prefix_token_id, self.max_length, context_len=1))

    def _encode(self, text: str) -> list[int]:
        return self._tokens.encode(text) if text else []

    @cached_property
    def _special(self) -> dict[str, int]:
        """Special tokens as text, and their ids: those that stand for no byte of a text."""
        stands_for = self._tokens.byte_counts()
        special = {
            self._tokens.decode([index], skip_special=False): index for index, n in enumerate(stands_for) if not n
        }
        return {text: index for text, index in special.items() if text}

    @cached_property
    def _special_pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._special, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")


def _read_settings(given: dict[str, Any]) -> tuple[Sampling, int]:
    """How a request's answer is chosen, and its most tokens."""
    settings = normalize_gen_kwargs(given, DEFAULT_MAX_GEN_TOKS)
    unknown = settings.keys() - UNDERSTOOD
    if unknown:
        raise InputError(f"generation_kwargs {', '.join(sorted(unknown))}: not understood by jmed's engine.")
    temperature = float(settings.get("temperature") or 0.0)
    drawn = {name: settings[name] for name in ("top_p", "top_k") if name in settings} if temperature else {}
    sampling = Sampling(
        temperature=temperature,
        beams=settings.get("num_beams", 1),
        stop=tuple(stop for stop in settings["until"] if stop),
        **drawn,
    )
    return sampling, settings["max_gen_toks"]
