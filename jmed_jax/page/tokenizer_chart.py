"""Bars that compare tokenizers on general and on medical text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# In inches.
WIDTH, HEIGHT = 11.0, 6.6
# Of Okabe and Ito: told apart by colour-blind readers and in grey.
COLOURS = ("#0072B2", "#E69F00", "#7F7F7F", "#009E73", "#CC79A7")

_STYLE: dict[str, Any] = {
    "svg.hashsalt": "jmed_jax",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "grid.color": "#DDDDDD",
    "xtick.bottom": False,
}
# Nothing of the time or the machine: the same report always gives the same bytes.
_NO_METADATA = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


def draw_tokenizer_report(report: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """Draw fertility on the texts and, if the report has them, the terms that are one token.

    Args:
        report: what `jmed tokenizer report` writes.
        paths: `.svg` or `.png` files to write.
    """
    texts = {"general text": report["general"], "medical text": report["medical"]}
    panels = [
        ("Characters a token (more is better)", "characters", _by_text(texts, "characters_per_token")),
        ("Tokens a MeCab word (less is better)", "tokens", _by_text(texts, "tokens_per_word")),
    ]
    if report["terms"]:
        panels += [
            ("Terms of the dictionary that are one token", "% of terms", _by_kind(report["terms"]["listed"])),
            (
                "Terms in the medical text that are one token",
                "% of occurrences",
                _by_kind(report["terms"]["in_text"]),
            ),
        ]
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(WIDTH, HEIGHT * (len(panels) // 2) / 2), layout="constrained")
        for axes, (title, label, groups) in zip(figure.subplots(len(panels) // 2, 2).flat, panels, strict=True):
            _draw_bars(axes, groups)
            axes.set_title(title)
            axes.set_ylabel(label)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        names = [f"{name} ({report['tokenizers'][name]['vocab_size']:,} ids)" for name in labels]
        figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
        for path in paths:
            kind = path.suffix.removeprefix(".")
            figure.savefig(path, format=kind, dpi=150, metadata=_NO_METADATA[kind])


Groups = dict[str, dict[str, float]]
"""A group of bars by its label: the height by tokenizer."""


def _by_text(texts: Mapping[str, Any], measure: str) -> Groups:
    return {
        label: {name: values[measure] for name, values in text["tokenizers"].items()} for label, text in texts.items()
    }


def _by_kind(kinds: Mapping[str, Any]) -> Groups:
    return {
        f"{kind}\n(n = {entry['terms']:,})": {
            name: 100 * values["one_token"] for name, values in entry["tokenizers"].items()
        }
        for kind, entry in kinds.items()
    }


def _draw_bars(axes: Axes, groups: Groups) -> None:
    names = list(next(iter(groups.values()), {}))
    width = 0.8 / max(1, len(names))
    for number, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        places = [group - 0.4 + width * (number + 0.5) for group in range(len(groups))]
        bars = axes.bar(places, [values[name] for values in groups.values()], width * 0.92, color=colour, label=name)
        axes.bar_label(bars, fmt=lambda value: f"{value:.1f}" if value >= 10 else f"{value:.2f}", padding=2, fontsize=9)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.margins(y=0.12)
