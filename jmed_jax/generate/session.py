"""A queue of prompts through the rows of one cache: a row whose answer has ended gets the next prompt while the others
go on.

Axes: B rows, S cache positions, C = CHUNK tokens, V vocabulary.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jmed_jax.generate.buckets import length_bucket, length_buckets
from jmed_jax.generate.cache import Cache, empty_cache
from jmed_jax.generate.decode import (
    CHUNK,
    NOTHING,
    Rows,
    copy_prompts,
    decode_chunk,
    lengthen,
    prefill,
    take_rows,
)
from jmed_jax.generate.forward import CachedDecoder
from jmed_jax.generate.packing import PACK_TOKENS, make_pack, packs
from jmed_jax.generate.sampling import Choice, Sampling, Strengths, row_seed
from jmed_jax.generate.stream import TextStream

SHRINK = 4
"""With no prompt waiting and so many times more rows than answers going on, the batch becomes that much smaller."""

End = Literal["stop", "length", "context"]


class Model(NamedTuple):
    """What every session of an engine needs."""

    decoder: CachedDecoder
    parameters: Any
    """Unstacked."""
    stop_ids: NDArray[np.int32]


@dataclass
class Request:
    """A prompt and its answer so far."""

    index: int
    prompt: Sequence[int]
    limit: int
    """Most tokens of the answer."""
    end_at_limit: End
    text: TextStream | None = None
    """Looks for stop texts."""
    answer: list[int] = field(default_factory=list)
    end: End | None = None

    def add(self, tokens: Sequence[int], stop_ids: NDArray[np.int32]) -> list[int]:
        """Take tokens up to the answer's end, and return those; a stop id is none of them."""
        taken: list[int] = []
        for token in tokens:
            if token in stop_ids:
                self.end = "stop"
                break
            taken.append(token)
            if self.text is not None:
                self.text.feed([token])
                if self.text.stopped:
                    self.end = "stop"
                    break
        self.answer += taken
        if self.end is None and len(self.answer) >= self.limit:
            self.end = self.end_at_limit
        return taken


class Session:
    """Sampled or greedy answers to some prompts."""

    def __init__(self, model: Model, requests: Sequence[Request], sampling: Sampling, rows: int) -> None:
        """
        Args:
            rows: answers written at one time.
        """
        self._model = model
        self._waiting = deque(requests)
        self._active: list[Request | None] = [None] * rows
        self._sampling = sampling
        self._choice, self._strengths = Choice.of(sampling), Strengths.of(sampling)
        self._cache = self._empty(length_bucket(1))

    def _empty(self, length: int) -> Cache:
        decoder = self._model.decoder
        return empty_cache(decoder.config, len(self._active), length, decoder.dtype, decoder.sharding)

    def run(self) -> Iterator[Request]:
        """Answer everything; requests come as they end."""
        while self._waiting or any(self._active):
            for request, _ in self.step(CHUNK):
                if request.end is not None:
                    yield request

    def step(self, steps: int) -> list[tuple[Request, list[int]]]:
        """Fill rows that rest, and write up to `steps` tokens in every row: the requests with their new tokens."""
        self._refill()
        if not self._waiting:
            self._shrink()
        rows = self._rows()
        self._make_room(int(rows.lengths.max()) + CHUNK)
        self._cache, outputs_BC = decode_chunk(
            self._model.decoder,
            self._model.parameters,
            self._cache,
            rows,
            np.int32(steps),
            self._model.stop_ids,
            self._strengths,
            self._choice,
        )
        outputs = np.asarray(outputs_BC)
        news = []
        for row, request in enumerate(self._active):
            if request is not None:
                tokens = outputs[row][outputs[row] != NOTHING].tolist()
                news.append((request, request.add(tokens, self._model.stop_ids)))
                if request.end is not None:
                    self._active[row] = None
        return news

    def _refill(self) -> None:
        free = [row for row, request in enumerate(self._active) if request is None]
        new = [self._waiting.popleft() for _ in range(min(len(free), len(self._waiting)))]
        # The last token of a prompt goes through the decoding loop: the first of the answer is chosen there.
        sequences = [request.prompt[:-1] for request in new]
        if any(sequences):
            self._make_room(max(map(len, sequences)))
        for indices, pack in packs(sequences):
            rows_R = np.zeros_like(pack.starts)
            rows_R[: len(indices)] = [free[i] for i in indices]
            if pack.segment_ids.any():
                decoder = self._model.decoder
                packed = prefill(decoder, self._model.parameters, *pack[:3])
                self._cache = copy_prompts(decoder, self._cache, packed, pack.starts, rows_R, pack.size)
        for row, request in zip(free, new, strict=False):
            self._active[row] = request

    def _shrink(self) -> None:
        going = [row for row, request in enumerate(self._active) if request is not None]
        while len(self._active) % SHRINK == 0 and len(going) <= len(self._active) // SHRINK:
            count = len(self._active) // SHRINK
            kept = np.array([*going, *[going[0]] * (count - len(going))], np.int32)
            self._cache = take_rows(self._model.decoder, self._cache, kept)
            self._active = [self._active[row] for row in going] + [None] * (count - len(going))
            going = list(range(len(going)))

    def _make_room(self, length: int) -> None:
        if length > self._cache[0].k.shape[2]:
            self._cache = lengthen(self._model.decoder, self._cache, length_bucket(length))

    def _rows(self) -> Rows:
        return make_rows(self._active, self._sampling, self._model.decoder.config.vocab_size)


def make_rows(requests: Sequence[Request | None], sampling: Sampling, vocab_size: int) -> Rows:
    """What the device is told of some requests; None is a row that rests."""
    B = len(requests)
    rows = _resting(B)
    so_far = [[] if request is None else [*request.prompt, *request.answer] for request in requests]
    for row, request in enumerate(requests):
        if request is not None:
            rows.tokens[row] = so_far[row][-1]
            rows.lengths[row] = len(so_far[row]) - 1
            rows.remaining[row] = request.limit - len(request.answer)
            rows.written[row] = len(request.answer)
            rows.seeds[row] = row_seed(sampling.seed, request.prompt)
    if sampling.repetition_penalty == 1:
        return rows
    history_BS = np.full((B, length_bucket(max(map(len, so_far)))), vocab_size, np.int32)
    for row, tokens in enumerate(so_far):
        history_BS[row, : len(tokens)] = tokens
    return rows._replace(history=history_BS)


def warm_up(model: Model, sampling: Sampling, rows: int, longest: int) -> None:
    """Run every program of a session of `rows` once, for every cache up to `longest` positions, with nothing to do."""
    decoder, choice, strengths = model.decoder, Choice.of(sampling), Strengths.of(sampling)
    resting = make_rows([None] * rows, sampling, decoder.config.vocab_size)
    packed = []
    for length in length_buckets(max(longest, PACK_TOKENS)):
        pack = make_pack([[0] * length])
        packed.append((pack, prefill(decoder, model.parameters, *pack[:3])))
    lengths = length_buckets(longest)
    for length in lengths:
        cache = empty_cache(decoder.config, rows, length, decoder.dtype, decoder.sharding)
        for longer in lengths:
            if longer > length:
                lengthen(decoder, cache, longer)
        if rows % SHRINK == 0:
            take_rows(decoder, cache, np.zeros(rows // SHRINK, np.int32))
        for pack, prompts in packed:
            cache = copy_prompts(decoder, cache, prompts, pack.starts, np.zeros_like(pack.starts), np.int32(0))
        decode_chunk(decoder, model.parameters, cache, resting, np.int32(0), model.stop_ids, strengths, choice)


def _resting(count: int) -> Rows:
    tokens, lengths, remaining, written = np.zeros((4, count), np.int32)
    return Rows(tokens, lengths, remaining, written, np.zeros(count, np.uint32), history=None)
