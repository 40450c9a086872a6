"""The map of token embeddings: one HTML file with search and zoom, and what its picture shares with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jmed_jax.page.render import write_html
from jmed_jax.page.script import embed_json, policy, script

TEMPLATE = "analysis_embeddings.html.j2"
SCRIPT = "analysis_embeddings.js.j2"

# Places are whole numbers up to this: a tenth of a pixel on a large screen.
EXTENT = 10_000


@dataclass(frozen=True)
class Colouring:
    """One way to colour the map.

    Attributes:
        name: what is told apart.
        groups: names in the order of the colours; the last is the grey one, of all that is nothing in particular.
        of: the group of each token, by its place in `groups`.
    """

    name: str
    groups: Sequence[str]
    of: Sequence[int]

    @property
    def sizes(self) -> list[int]:
        """Tokens in each group."""
        return [sum(place == group for place in self.of) for group in range(len(self.groups))]


@dataclass(frozen=True)
class EmbeddingMap:
    """What the page and the pictures show.

    Attributes:
        model: its name.
        unit: what a point is, "token" or "term".
        texts: the tokens or terms, the most important first: labels are placed in this order.
        ids: of tokens.
        counts: how often they were met, if that is known.
        nearest: places of each one's nearest neighbours in the whole space, best first.
        places: [C, 2] by the name of the method.
        colourings: the first is shown at first, and in the pictures.
        facts: what it was made from, and how.
    """

    model: str
    unit: str
    texts: Sequence[str]
    ids: Sequence[int | None]
    counts: Sequence[int] | None
    nearest: np.ndarray
    places: Mapping[str, np.ndarray]
    colourings: Sequence[Colouring]
    facts: Sequence[tuple[str, str]]


def write_embedding_page(path: Path, shown: EmbeddingMap) -> None:
    """Write the map as one HTML file that loads nothing from anywhere."""
    code = script(SCRIPT)
    data: dict[str, Any] = {
        "unit": shown.unit,
        "texts": shown.texts,
        "ids": shown.ids,
        "counts": shown.counts,
        "nearest": shown.nearest.tolist(),
        "maps": {name: scaled(places).ravel().tolist() for name, places in shown.places.items()},
        "colourings": [
            {"name": colouring.name, "groups": list(colouring.groups), "of": list(colouring.of)}
            for colouring in shown.colourings
        ],
    }
    values = {"shown": shown, "data": embed_json(data), "script": code, "policy": policy(code)}
    write_html(path, TEMPLATE, values)


def scaled(places_C2: np.ndarray) -> np.ndarray:
    """Whole numbers [C, 2] from 0 to `EXTENT` in both directions, in the middle of the shorter; y grows upwards."""
    low, high = places_C2.min(axis=0), places_C2.max(axis=0)
    extent = max(float((high - low).max()), 1e-9)
    return np.rint(((places_C2 - (low + high) / 2) / extent + 0.5) * EXTENT).astype(int)
