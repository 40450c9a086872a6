"""The page of a row's attention: maps of chosen layers, the row's text shaded by them, and what leaves the document.

Axes: T query positions, S key positions of the row.
"""

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jmed_jax.page.render import write_html
from jmed_jax.page.script import embed_json, policy, script

TEMPLATE = "analysis_attention.html.j2"
SCRIPT = "analysis_attention.js.j2"

LEAST = 1e-5
"""Weights below are nothing on the page; from there to 1 they are kept in `STEPS` equal ratios, 4.6 % each."""
STEPS = 254


@dataclass(frozen=True)
class ShareRow:
    """What of a layer's attention goes where, as shares of 1; in the mean over queries behind the first document."""

    layer: int
    earlier: float
    first: float
    ends: float


@dataclass(frozen=True)
class AttentionPage:
    """Everything on the page, and in the picture.

    Attributes:
        model: its name.
        labels: what each token of the row stands for [T].
        segment_ids: documents [T], from 1, rising.
        ends: positions of the tokens that end a document.
        end_label: that token.
        maps: weights [T, S] by what they are of, such as "layer 1".
        shares: of every layer; none where the row has one document.
        even: `ShareRow.earlier` of attention that is spread evenly.
        facts: what was looked at, and how.
    """

    model: str
    labels: Sequence[str]
    segment_ids: np.ndarray
    ends: Sequence[int]
    end_label: str
    maps: Mapping[str, np.ndarray]
    shares: Sequence[ShareRow]
    even: float
    facts: Sequence[tuple[str, str]]

    @property
    def starts(self) -> list[int]:
        """Positions at which a document begins."""
        return np.flatnonzero(np.diff(self.segment_ids, prepend=0)).tolist()


def write_attention_page(path: Path, page: AttentionPage) -> None:
    """Write the page as one HTML file that loads nothing from anywhere."""
    code = script(SCRIPT)
    data: dict[str, Any] = {
        "labels": page.labels,
        "starts": page.starts,
        "ends": list(page.ends),
        "least": LEAST,
        "steps": STEPS,
        "maps": {name: packed(weights_TS) for name, weights_TS in page.maps.items()},
    }
    values = {"page": page, "data": embed_json(data), "script": code, "policy": policy(code)}
    write_html(path, TEMPLATE, values, filters={"share": format_share})


def packed(weights_TS: np.ndarray) -> str:
    """Weights as a byte each, 0 for less than `LEAST` and equal ratios above; zlib, base64."""
    positive_TS = np.maximum(weights_TS, LEAST)
    levels_TS = np.rint(1 + STEPS * (1 - np.log(positive_TS) / np.log(LEAST)))
    levels_TS = np.where(weights_TS < LEAST, 0, levels_TS).clip(0, 1 + STEPS).astype(np.uint8)
    return base64.b64encode(zlib.compress(levels_TS.tobytes(), 9)).decode()


def format_share(share: float) -> str:
    """`43.2 %`, `0.31 %`, `< 0.01 %`, `0`."""
    if share == 0:
        return "0"
    if share < 1e-4:
        return "< 0.01 %"
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{100 * share:.2f} %"
