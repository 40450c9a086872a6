"""The map of token embeddings as a picture: points, and labels where there is room for them."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jmed_jax.page.analysis_embeddings import EXTENT, Colouring, EmbeddingMap, scaled
from jmed_jax.page.fonts import Fonts

# In inches along the longer side, and dots an inch.
SIZE, DPI = 12.0, 160
# As on the page; the last group is grey.
COLOURS = ("#b3372a", "#0072b2", "#2f8f5b", "#b8860b", "#8a5aa8")
GREY = "#aab2b6"
LABEL_SIZE = 8.0
# From here on (CJK radicals, kana, kanji) characters are as wide as they are high.
FULL_WIDTH = 0x2E80
# Around a label, in points: so the rarer tokens, which come last, are labelled where the map is empty.
_AROUND = 7.0


def draw_embedding_map(shown: EmbeddingMap, method: str, fonts: Fonts, path: Path) -> None:
    """Draw the map of one method as PNG. Labels with characters that no font has are left out: they would be boxes."""
    places_C2 = scaled(shown.places[method])
    colouring = shown.colourings[0]
    settings: dict[str, Any] = {"font.family": fonts.families, "font.size": 9}
    with style.context(["default", settings]):
        low_2, high_2 = places_C2.min(axis=0) - 0.01 * EXTENT, places_C2.max(axis=0) + np.array([0.07, 0.01]) * EXTENT
        width, height = SIZE * (high_2 - low_2) / (high_2 - low_2).max()
        figure = Figure(figsize=(width, height + 0.8), layout="constrained")
        axes = figure.add_subplot()
        of_C = np.array(colouring.of)
        # The grey ones lie below.
        for group in reversed(range(len(colouring.groups))):
            x, y = places_C2[of_C == group].T
            axes.scatter(x, y, s=8, linewidths=0, color=_colour(colouring, group), alpha=0.85)
            axes.scatter([], [], s=30, color=_colour(colouring, group), label=colouring.groups[group])
        axes.set(xlim=(low_2[0], high_2[0]), ylim=(low_2[1], high_2[1]), aspect="equal")
        axes.set_axis_off()
        axes.set_title(f"Token embeddings of {shown.model}: {method}, {len(shown.texts):,} {shown.unit}s", loc="left")
        figure.legend(loc="outside lower left", ncols=len(colouring.groups), frameon=False, reverse=True)
        _label(axes, shown, places_C2, fonts, point=float((high_2[0] - low_2[0]) / (72 * width)))
        figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def _colour(colouring: Colouring, group: int) -> str:
    return GREY if group == len(colouring.groups) - 1 else COLOURS[group]


def _label(axes: Axes, shown: EmbeddingMap, places_C2: np.ndarray, fonts: Fonts, *, point: float) -> None:
    """Label the tokens in their order, each where it comes near no other label.

    Args:
        point: 1/72 inch, in units of the places.
    """
    taken = np.empty((0, 4))
    for text, (x, y) in zip(shown.texts, places_C2, strict=True):
        if not fonts.can_draw(text):
            continue
        width = sum(1.0 if ord(character) >= FULL_WIDTH else 0.62 for character in text) * LABEL_SIZE
        left, half = x + 4 * point, (0.6 * LABEL_SIZE + _AROUND) * point
        box = np.array([left - _AROUND * point, y - half, left + (width + _AROUND) * point, y + half])
        apart = (taken[:, 0] > box[2]) | (taken[:, 2] < box[0]) | (taken[:, 1] > box[3]) | (taken[:, 3] < box[1])
        if apart.all():
            taken = np.vstack([taken, box])
            # Tokens are text: a dollar sign begins no formula.
            axes.text(left, y, text.strip(), size=LABEL_SIZE, va="center", parse_math=False, color="#1b2025")
