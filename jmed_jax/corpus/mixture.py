"""How often the documents of each source stand in what is trained on: epochs, weights, and the cap on synthetic text.

A corpus holds every document once; `jmed pack` repeats it as often as the mixture says.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax import artifact
from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.corpus.documents import document_shards
from jmed_jax.jsonl import read_jsonl

# Up to 4 epochs are nearly as good as new text, and the value of more decays (arXiv 2305.16264).
MANY_EPOCHS = 20


@dataclass(frozen=True)
class Mixture:
    """The outcome of a configuration on what is there.

    Attributes:
        epochs: source → how often each of its documents is seen.
        notes: what was changed against the configuration, and why.
    """

    epochs: Mapping[str, float]
    notes: tuple[str, ...] = ()


def mix(config: CorpusConfig, characters: Mapping[str, int]) -> Mixture:
    """Work out the epochs of every source.

    Args:
        characters: source → characters in the corpus.
    """
    return _cap_synthetic(config, characters, _apply_weights(config, characters))


def _apply_weights(config: CorpusConfig, characters: Mapping[str, int]) -> Mixture:
    epochs = {source.name: source.epochs for source in config.sources}
    empty = [source.name for source in config.sources if source.weight and not characters[source.name]]
    weighted = {source.name: source.weight for source in config.sources if source.weight and characters[source.name]}
    share = math.fsum(weighted.values())
    others = math.fsum(epochs[name] * characters[name] for name in epochs if name not in weighted)
    # Without other sources there is no total to go by: then every character is seen once on average.
    total = others / (1 - share) if others else math.fsum(characters[name] for name in weighted) / (share or 1)
    epochs |= {name: weight * total / characters[name] for name, weight in weighted.items()}
    notes = [f"{name} has a weight, but no document of it is left." for name in empty]
    notes += [
        f"{name} is seen {epochs[name]:,.0f} times: its weight is large for its {characters[name]:,} characters."
        for name in weighted
        if epochs[name] > MANY_EPOCHS
    ]
    return Mixture(epochs, tuple(notes))


def _cap_synthetic(config: CorpusConfig, characters: Mapping[str, int], mixture: Mixture) -> Mixture:
    epochs = mixture.epochs
    synthetic = [source.name for source in config.sources if source.synthetic]
    written = math.fsum(epochs[name] * characters[name] for name in synthetic)
    total = math.fsum(epochs[name] * characters[name] for name in epochs)
    cap = config.synthetic_cap
    if total == 0 or written / total <= cap:
        return mixture
    factor = cap / (1 - cap) * (total - written) / written
    note = (
        f"Synthetic text would be {written / total:.1%} of the mixture; the cap is {cap:.1%}, so the epochs of "
        f"{', '.join(synthetic)} are multiplied by {factor:.3f}."
    )
    return Mixture({**epochs, **{name: epochs[name] * factor for name in synthetic}}, (*mixture.notes, note))


def iter_mixture(corpus: Path) -> Iterator[dict[str, Any]]:
    """Yield the documents of a corpus artefact as often as its mixture says, pass after pass.

    In the last, partial pass of a source a document stands or not by a hash of its id, so a fraction of an epoch is the
    same documents every time.

    Raises:
        InputError: as `iter_documents`.
    """
    opened = artifact.open_artifact(corpus, "corpus")
    epochs: Mapping[str, float] = opened.config["epochs"]
    # Shard → sources in it, known after the first pass: later ones read only what they may take from.
    sources: dict[str, set[str]] = {}
    for number in range(math.ceil(max(epochs.values()))):
        for shard in document_shards(opened):
            if number and all(epochs[name] <= number for name in sources[shard]):
                continue
            met = sources.setdefault(shard, set())
            for _, row in read_jsonl(corpus / shard):
                met.add(row["source"])
                left = epochs[row["source"]] - number
                if left >= 1 or (left > 0 and _uniform(row["id"]) < left):
                    yield row


def _uniform(identifier: str) -> float:
    """A number in [0, 1) that depends on the id alone."""
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=7).digest()) / 256**7
