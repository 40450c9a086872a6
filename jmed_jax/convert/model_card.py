"""The model card of an export: README.md with the front matter that Hugging Face reads.

https://huggingface.co/docs/hub/model-cards
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
{base_tag}library_name: transformers
pipeline_tag: text-generation
tags:
- medical
---

# {name}

A {parameters:,}-parameter language model for Japanese and English medical text, written by jmed_jax {version}.

- Base: {base}
- Licence of the base: {license}
- Data: {data}
- Training: {training}

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


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from, as far as its run or directory says; empty where it does not."""

    name: str
    base: str = ""
    license: str = ""
    """Of the base, as its own model card names it."""
    data: tuple[str, ...] = ()
    training: str = ""
    scores: Mapping[str, Any] = field(default_factory=dict)
    """Name → number."""


def write_model_card(out: Path, config: ModelConfig, provenance: Provenance) -> None:
    """Write README.md into the existing directory `out`."""
    licence = provenance.license or NOT_STATED
    text = _TEMPLATE.format(
        name=provenance.name,
        parameters=config.num_parameters,
        version=__version__,
        # The Hub takes its own list of names, and "unknown".
        license_tag=provenance.license or "unknown",
        base_tag=f"base_model: {json.dumps(provenance.base, ensure_ascii=False)}\n" if provenance.base else "",
        base=provenance.base or "none, trained from scratch or not stated",
        license=licence,
        data="; ".join(provenance.data) or NOT_STATED,
        training=provenance.training or NOT_STATED,
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


def _score_table(scores: Mapping[str, Any]) -> str:
    if not scores:
        return "None were measured with this export."
    lines = [f"| {name} | {value:.4f} |" for name, value in scores.items()]
    return "\n".join(["| score | value |", "| --- | --- |", *lines])
