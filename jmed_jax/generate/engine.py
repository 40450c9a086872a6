"""The generation engine: many prompts through one model, each answer as if it were alone."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jmed_jax.config import LoraConfig, ModelConfig
from jmed_jax.errors import InputError
from jmed_jax.generate import beams, score
from jmed_jax.generate.buckets import length_bucket, power_of_two
from jmed_jax.generate.cache import cache_sharding
from jmed_jax.generate.decode import CHUNK
from jmed_jax.generate.forward import CachedDecoder, unstacked
from jmed_jax.generate.sampling import GREEDY, Sampling
from jmed_jax.generate.session import SHRINK, End, Model, Request, Session, warm_up
from jmed_jax.generate.stream import Decode, TextStream
from jmed_jax.parallel.mesh import BATCH_AXES

CACHE_TOKENS = 32_768
"""Of all rows of a batch; longer prompts go in smaller batches."""
MAX_ROWS = 64
"""More answers at a time make steps longer and hardly more tokens a second."""


@dataclass(frozen=True)
class Answer:
    """What a model wrote.

    Attributes:
        ids: without the stop id that ended it; with all tokens of a stop text.
        end: "stop" (a stop id or text), "length" (`max_new_tokens`) or "context" (no more room).
    """

    ids: list[int]
    end: End


class Generator:
    """Answers of one model."""

    def __init__(
        self,
        config: ModelConfig,
        parameters: Any,
        stop_ids: Collection[int] = (),
        *,
        dtype: Any = jnp.float32,
        lora: LoraConfig | None = None,
        mesh: Mesh | None = None,
        decode: Decode | None = None,
        context_length: int | None = None,
        max_rows: int = MAX_ROWS,
    ) -> None:
        """
        Args:
            parameters: plain nested dictionaries, blocks stacked; with an adapter attached or kernels quantised if
                `lora` says so, and placed on the mesh if there is one.
            stop_ids: end an answer; without any, every answer has full length.
            dtype: of activations, products and cache.
            decode: the tokenizer's, for stop texts.
            max_rows: most answers written at one time.
            context_length: no prompt with its answer is longer; None has no limit (rotary positions go on for ever).
        """
        self.config = config
        self.context_length = context_length
        self.max_rows = max_rows
        self._decode = decode
        dtype = jnp.dtype(dtype)
        sharding = None if mesh is None else cache_sharding(config, mesh)
        # Rows must divide over the devices that share them.
        self._ways = 1 if mesh is None else int(np.prod([mesh.shape[axis] for axis in BATCH_AXES]))
        self._model = Model(
            CachedDecoder(config, lora, dtype, sharding),
            unstacked(parameters, config.num_layers, dtype),
            np.array(sorted(stop_ids), np.int32),
        )

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        sampling: Sampling = GREEDY,
    ) -> list[list[int]]:
        """Continuations, without the token that ended them, in the order of the prompts.

        Raises:
            InputError: as `answers`.
        """
        by_index = dict(self.answers(prompts, max_new_tokens=max_new_tokens, sampling=sampling))
        return [by_index[index].ids for index in range(len(prompts))]

    def answers(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, sampling: Sampling = GREEDY
    ) -> Iterator[tuple[int, Answer]]:
        """Every prompt's index and answer, as they end.

        With beams, a stop text only cuts the best answer.

        Raises:
            InputError: a prompt is empty or leaves no room for an answer; there are stop texts but no `decode`.
        """
        requests = [self._request(index, prompt, max_new_tokens, sampling) for index, prompt in enumerate(prompts)]
        requests.sort(key=lambda request: -len(request.prompt))
        return self._run(requests, sampling)

    def _run(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Answer]]:
        needs = [len(request.prompt) + request.limit + CHUNK for request in requests]
        groups = _groups(needs, sampling.beams, self.max_rows)
        for start, stop, rows in groups:
            group = requests[start:stop]
            rows = self._whole(min(rows, power_of_two(len(group))))
            if sampling.beams > 1:
                ended = beams.run(self._model, group, sampling, rows)
            else:
                ended = Session(self._model, group, sampling, rows).run()
            for request in ended:
                assert request.end is not None
                yield request.index, Answer(request.answer, request.end)

    def stream(
        self, prompt: Sequence[int], *, max_new_tokens: int, sampling: Sampling = GREEDY, steps: int = 1
    ) -> Iterator[list[int]]:
        """The tokens of one answer, as they come.

        Args:
            steps: tokens at a time, at most CHUNK.

        Raises:
            InputError: as `answers`; or beams are asked for, whose best answer is known only at the end.
        """
        if sampling.beams > 1:
            raise InputError("beam search knows its answer only at the end: nothing can be streamed.")
        request = self._request(0, prompt, max_new_tokens, sampling)
        session = Session(self._model, [request], sampling, self._whole(1))

        def pieces() -> Iterator[list[int]]:
            while request.end is None:
                for _, tokens in session.step(steps):
                    yield tokens

        return pieces()

    def score(self, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]) -> list[score.Score]:
        """Log-probabilities of given continuations, one of each prompt.

        Raises:
            InputError: a prompt is empty, or a pair exceeds the context.
        """
        for prompt, continuation in zip(prompts, continuations, strict=True):
            self._check(prompt, len(prompt) + len(continuation) - 1)
        found = dict(score.scores(self._model.decoder, self._model.parameters, prompts, continuations))
        return [found[index] for index in range(len(prompts))]

    def warm_up(self, longest: int, *, sampling: Sampling = GREEDY) -> None:
        """Compile every program that prompts with answers of up to `longest` tokens need, without beams."""
        counts = {self._whole(1 << power) for power in range(power_of_two(self.max_rows).bit_length())}
        for count in sorted(counts):
            warm_up(self._model, sampling, count, longest + CHUNK)

    def _request(self, index: int, prompt: Sequence[int], max_new_tokens: int, sampling: Sampling) -> Request:
        self._check(prompt, len(prompt))
        if max_new_tokens < 1:
            raise InputError(f"max_new_tokens must be at least 1, not {max_new_tokens}.")
        if sampling.stop and self._decode is None:
            raise InputError("stop texts need the tokenizer's decode: Generator(…, decode=tokenizer.decode).")
        text = TextStream(self._decode, sampling.stop) if sampling.stop and self._decode else None
        room = max_new_tokens if self.context_length is None else self.context_length - len(prompt)
        return Request(index, prompt, min(max_new_tokens, room), "context" if room < max_new_tokens else "length", text)

    def _check(self, prompt: Sequence[int], length: int) -> None:
        if len(prompt) == 0:
            raise InputError("a prompt is empty: begin it with the token that begins a text, at least.")
        if self.context_length is not None and length >= self.context_length:
            raise InputError(
                f"a prompt of {length:,} tokens leaves no room in a context of {self.context_length:,}. Shorten it."
            )

    def _whole(self, rows: int) -> int:
        return -(-rows // self._ways) * self._ways


def _groups(needs: Sequence[int], beams: int, max_rows: int) -> list[tuple[int, int, int]]:
    """Slices of requests (start, stop) and how many rows each has room for.

    Args:
        needs: cache positions that each request needs, about from most to least.
    """
    groups: list[tuple[int, int, int]] = []
    for index, need in enumerate(needs):
        rows = _rows_for(need, beams, max_rows)
        # Much shorter ones are worth a larger batch of their own.
        if not groups or rows >= SHRINK * groups[-1][2]:
            groups.append((index, index + 1, rows))
        else:
            groups[-1] = (groups[-1][0], index + 1, groups[-1][2])
    return groups


def _rows_for(need: int, beams: int, max_rows: int) -> int:
    """How many rows of `need` positions fit: a power of two, so that few programs are compiled."""
    fitting = max(1, min(CACHE_TOKENS // length_bucket(need), max_rows) // beams)
    return 1 << (fitting.bit_length() - 1)
