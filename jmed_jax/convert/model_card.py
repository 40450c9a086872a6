"""The model card of an export: README.md with the front matter that Hugging Face reads.

https://huggingface.co/docs/hub/model-cards
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from jmed_jax import __version__
from jmed_jax.config import ModelConfig

CARD = "README.md"
NOT_STATED = "not stated"

_TEMPLATE = """\
---
language:
- ja
- en
license: {license_tag}
{base_tag}library_name: {library}
pipeline_tag: text-generation
tags:
- medical
---

# {name}

{what} for Japanese and English medical text, written by jmed_jax {version}.

- Base: {base}
- Licence of the base: {license}

## Training

{training}

## Scores

{scores}

## Intended use

Research on medical language processing: reading, summarising and extracting from clinical and biomedical text, and
questions in the style of examinations. It is meant for people who check what it says.

## Limits

This is not a medical device. It is not approved for diagnosis, treatment or any decision about a patient, and its
answers can be wrong, incomplete or out of date, in confident words. It knows Japanese and English; how it does in other
languages was not measured. It can repeat biases, and pieces, of the text that it was trained on: do not give it, or
train it further on, text that must not leave your house without checking what it gives back.
"""


class Score(NamedTuple):
    """One number of an evaluation."""

    value: float
    interval: tuple[float, float] | None = None
    """95 % confidence interval."""
    n: int | None = None
    """Questions."""


class Stage(NamedTuple):
    """One training run among those that led to a model."""

    name: str
    method: str
    """"all parameters", "LoRA of rank 16"."""
    steps: int | None = None
    tokens: int | None = None
    peak_lr: float | None = None
    data: tuple[str, ...] = ()
    """Sources with their licences."""


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from, as far as its run or directory says; empty where it does not."""

    name: str
    base: str = ""
    """The model that the first stage began from."""
    license: str = ""
    """Of the base, as its own model card names it."""
    stages: tuple[Stage, ...] = ()
    scores: Mapping[str, Score] = field(default_factory=dict)
    """By task and metric."""


def write_model_card(out: Path, config: ModelConfig, provenance: Provenance, *, adapter: int = 0) -> None:
    """Write README.md into the existing directory `out`.

    Args:
        adapter: parameters of an adapter, which the card is of then; 0 is a whole model.
    """
    licence, base = provenance.license or NOT_STATED, json.dumps(provenance.base, ensure_ascii=False)
    model = f"language model of {config.num_parameters:,} parameters"
    text = _TEMPLATE.format(
        name=provenance.name,
        what=f"An adapter of {adapter:,} parameters, beside a {model}," if adapter else f"A {model}",
        version=__version__,
        # The Hub takes its own list of names, and "unknown".
        license_tag=provenance.license or "unknown",
        library="peft" if adapter else "transformers",
        base_tag=f"base_model: {base}\n" if provenance.base else "",
        base=provenance.base or "none, trained from scratch or not stated",
        license=licence,
        training=_stage_table(provenance.stages),
        scores=_score_table(provenance.scores),
    )
    (out / CARD).write_text(text, encoding="utf-8")


def licence_of(directory: Path) -> str:
    """The licence that a directory's model card names in its front matter; "" where there is none."""
    if not (directory / CARD).is_file():
        return ""
    text = (directory / CARD).read_text(encoding="utf-8", errors="replace")
    front = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"^license:\s*[\"']?([\w.\-]+)", front.group(1), re.MULTILINE) if front else None
    return found.group(1) if found else ""


def _stage_table(stages: Sequence[Stage]) -> str:
    if not stages:
        return "None with jmed_jax."
    rows = [
        (
            stage.name,
            stage.method,
            f"{stage.steps:,}" if stage.steps is not None else NOT_STATED,
            f"{stage.tokens:,}" if stage.tokens is not None else NOT_STATED,
            f"{stage.peak_lr:g}" if stage.peak_lr is not None else NOT_STATED,
            "; ".join(stage.data) or NOT_STATED,
        )
        for stage in stages
    ]
    return _table(("stage", "trained", "steps", "tokens", "peak learning rate", "data (licences)"), rows)


def _score_table(scores: Mapping[str, Score]) -> str:
    if not scores:
        return "None were measured with this export."
    return _table(("score", "value"), [(name, _score_text(score)) for name, score in scores.items()])


def _score_text(score: Score) -> str:
    """`0.370 [0.150, 0.580] (n 60)`."""
    interval = " [{:.3f}, {:.3f}]".format(*score.interval) if score.interval else ""
    return f"{score.value:.3f}{interval}" + (f" (n {score.n:,})" if score.n is not None else "")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
