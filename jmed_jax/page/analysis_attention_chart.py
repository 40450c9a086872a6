"""Attention maps of a row as a picture: one panel a map, with the borders of documents and the tokens that end them.

Axes: T query positions, S key positions of the row.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from jmed_jax.page.analysis_attention import AttentionPage
from jmed_jax.page.fonts import Fonts

# In inches, and dots an inch.
PANEL, DPI = 5.2, 150
COLUMNS = 3
# Larger rows are drawn by the largest weight of each square.
MOST_CELLS = 700
# Weights below are drawn as nothing.
PALEST = 1e-4
BORDER, END, MUTED = "#8a4b08", "#99352b", "#5a636b"
# A document's first characters at the side, where it has the room of a line.
EXCERPT = 9
MOST_EXCERPTS = 24


def draw_attention(page: AttentionPage, fonts: Fonts, path: Path) -> None:
    """Draw all maps of the page as PNG."""
    settings: dict[str, Any] = {"font.family": fonts.families, "font.size": 9, "axes.edgecolor": "#d9dcd8"}
    columns = min(COLUMNS, len(page.maps))
    lines = math.ceil(len(page.maps) / columns)
    with style.context(["default", settings]):
        figure = Figure(figsize=(columns * PANEL + 1.6, lines * PANEL + 0.8), layout="compressed")
        panels = figure.subplots(lines, columns, squeeze=False).flat
        for number, (axes, (name, weights_TS)) in enumerate(zip(panels, page.maps.items(), strict=False)):
            image = _draw_map(axes, page, weights_TS)
            axes.set_title(name, loc="left", pad=12)
            if number % columns == 0:
                _label_documents(axes, page, fonts)
        for axes in list(panels):
            axes.set_axis_off()
        figure.colorbar(image, ax=figure.axes, shrink=0.6, label="attention weight", pad=0.01)
        figure.suptitle(
            f"Attention of {page.model}. Queries downwards, keys to the right; ▼ {page.end_label}, lines: documents",
            x=0.01,
            ha="left",
        )
        figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def largest_of_squares(weights_TS: np.ndarray, most: int) -> np.ndarray:
    """At most `most` rows and columns, each cell the largest weight of a square."""
    T = len(weights_TS)
    size = -(-T // most)
    padded = np.pad(weights_TS, (0, -T % size))
    cells = len(padded) // size
    return padded.reshape(cells, size, cells, size).max(axis=(1, 3))


def _draw_map(axes: Axes, page: AttentionPage, weights_TS: np.ndarray) -> Any:
    T = len(weights_TS)
    image = axes.imshow(
        largest_of_squares(weights_TS, MOST_CELLS),
        norm=LogNorm(PALEST, 1),
        cmap="Blues",
        extent=(0, T, T, 0),
        interpolation="nearest",
    )
    for start, end in zip(page.starts, [*page.starts[1:], T], strict=True):
        axes.plot([start, end, end, start, start], [start, start, end, end, start], color=BORDER, linewidth=0.6)
        if start:
            axes.plot([0, start], [start, start], color=BORDER, linewidth=0.4, alpha=0.5)
            axes.plot([start, start], [end, T], color=BORDER, linewidth=0.4, alpha=0.5)
    _mark_ends(axes, page.ends)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(0, T)
    axes.set_ylim(T, 0)
    return image


def _mark_ends(axes: Axes, ends: Sequence[int]) -> None:
    """Triangles just outside of the upper and the left edge, whatever the axes' scale."""
    look: dict[str, Any] = {"color": END, "markersize": 4, "linestyle": "", "clip_on": False}
    for end in ends:
        axes.plot(end + 0.5, 1.012, marker="v", transform=axes.get_xaxis_transform(), **look)
        axes.plot(-0.012, end + 0.5, marker=">", transform=axes.get_yaxis_transform(), **look)


def _label_documents(axes: Axes, page: AttentionPage, fonts: Fonts) -> None:
    places: list[int] = []
    texts: list[str] = []
    for start in page.starts:
        text = "".join(label for label in page.labels[start : start + EXCERPT] if not label.startswith("<|"))
        text = "".join(character if character.isprintable() else " " for character in text).strip()[:EXCERPT]
        far = not places or start - places[-1] > len(page.labels) / MOST_EXCERPTS
        if text and far and fonts.can_draw(text):
            places.append(start)
            texts.append(text)
    axes.set_yticks(places, texts, color=MUTED, size=8)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.tick_params(length=0, pad=9)
