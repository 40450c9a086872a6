"""Batches of prompts through beam search.

Axes: B rows, M positions of an answer.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from jmed_jax.generate.beam_search import Plan, beam_search
from jmed_jax.generate.buckets import length_bucket
from jmed_jax.generate.cache import empty_cache
from jmed_jax.generate.decode import NOTHING, copy_prompts, prefill
from jmed_jax.generate.packing import packs
from jmed_jax.generate.sampling import Sampling
from jmed_jax.generate.session import Model, Request, make_rows


def run(model: Model, requests: Sequence[Request], sampling: Sampling, rows: int) -> Iterator[Request]:
    """Answer everything, `rows` prompts at a time."""
    for start in range(0, len(requests), rows):
        batch = requests[start : start + rows]
        # One limit for a batch: those that the context cuts short have batches of their own.
        for limit in sorted({request.limit for request in batch}, reverse=True):
            yield from _run_batch(model, [r for r in batch if r.limit == limit], sampling, rows, limit)


def _run_batch(
    model: Model, requests: Sequence[Request], sampling: Sampling, rows: int, limit: int
) -> Iterator[Request]:
    decoder = model.decoder
    length = length_bucket(max(len(request.prompt) for request in requests))
    cache = empty_cache(decoder.config, rows, length, decoder.dtype, decoder.sharding)
    for indices, pack in packs([request.prompt[:-1] for request in requests]):
        rows_R = np.zeros_like(pack.starts)
        rows_R[: len(indices)] = indices
        packed = prefill(decoder, model.parameters, *pack[:3])
        cache = copy_prompts(decoder, cache, packed, pack.starts, rows_R, pack.size)
    padded = [*requests, *[None] * (rows - len(requests))]
    best_BM = beam_search(
        decoder,
        model.parameters,
        cache,
        make_rows(padded, sampling, decoder.config.vocab_size),
        model.stop_ids,
        np.int32(limit),
        np.float32(sampling.length_penalty),
        np.float32(sampling.repetition_penalty),
        Plan(sampling.beams, length_bucket(limit), sampling.early_stopping, sampling.repetition_penalty != 1),
    )
    for request, tokens_M in zip(requests, np.asarray(best_BM), strict=False):
        request.add(tokens_M[tokens_M != NOTHING].tolist(), model.stop_ids)
        yield request
