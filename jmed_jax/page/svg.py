"""Charts as SVG that stands inside a page and takes its colours from the page's style sheet."""

import io
import re
from collections.abc import Callable
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

# In points, which are the units of the SVG; the page scales it to the width there is.
WIDTH, HEIGHT = 420, 250

# Drawn with these stand-ins, which no other element has; the style sheet defines the variables for light and dark.
INK, GRID, POINT, LINE = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#050501", "#050502", "#050503", "#050504", "#050505", "#050506")
"""Told apart by colour-blind readers; `scores.css.j2` defines their variables."""
_VARIABLES = {
    INK: "--muted",
    GRID: "--rule",
    POINT: "--point",
    LINE: "--accent",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES)},
}

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "jmed_jax",
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}

# Nothing of the time or the machine; the namespaces that this block refers to are web addresses.
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def draw(paint: Callable[[Figure], None], name: str, *, width: float = WIDTH, height: float = HEIGHT) -> str:
    """An `<svg>` element of what `paint` draws; the same drawing always gives the same characters.

    Args:
        name: an HTML id, put before the ids inside so that several charts can stand on one page.
        width, height: in points.
    """
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    return _for_inlining(buffer.getvalue(), name, width, height)


def _for_inlining(document: str, name: str, width: float, height: float) -> str:
    svg = document[document.index("<svg") :]
    # The head of the element says its size in points; the page decides that.
    svg = re.sub(r"<svg [^>]*>", f'<svg viewBox="0 0 {width:g} {height:g}" aria-hidden="true">', svg, count=1)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    for stand_in, variable in _VARIABLES.items():
        svg = svg.replace(stand_in, f"var({variable})")
    return svg
