"""The sentences of the template generator: data (`templates.json`) and a seeded choice among them."""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from random import Random
from typing import Any

FILE = "templates.json"


def templates_text() -> str:
    """The file as it is, for its hash."""
    return resources.files("jmed_jax.corpus.synthetic").joinpath(FILE).read_text(encoding="utf-8")


@cache
def _templates() -> dict[str, dict[str, Any]]:
    return dict(json.loads(templates_text()))


def sentence(random: Random, section: str, name: str, /, **values: str) -> str:
    """One of the templates of that name, filled."""
    template = _templates()[section][name]
    return str(random.choice(template) if isinstance(template, list) else template).format(**values)


def quoted(names: Sequence[str]) -> str:
    """「A」、「B」"""
    return "、".join(f"「{name}」" for name in names)
