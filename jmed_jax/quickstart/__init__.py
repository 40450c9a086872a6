"""Whole recipes on a small scale, from raw text to a scored, exported model in minutes on two CPU cores.

`slm` is NCVC-slm-1 (arXiv 2412.16423), from scratch; `jmedllm` is JMedLLM-v1 (arXiv 2409.11783), a model of others,
adapted.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.quickstart import jmedllm as jmedllm
from jmed_jax.quickstart import slm as slm
from jmed_jax.quickstart.stages import PAGE, Stages, check_data, claim, describe_sample, write_summary
from jmed_jax.sample.generate import write_sample

Recipe = Callable[[Path, Path, Stages, bool], dict[str, Any]]
"""Runs every stage on (data, out, stages, whether the data is the synthetic sample), writes the page, and returns what
is its own in the summary."""

RECIPES: dict[str, Recipe] = {"slm": slm.run, "jmedllm": jmedllm.run}
NEEDED = {"slm": slm.NEEDED, "jmedllm": jmedllm.NEEDED}


def quickstart(data: Path | None, out: Path, overwrite: bool = False, recipe: str = "slm") -> dict[str, Any]:
    """Run every stage, write `out/index.html`, and return a summary, which `out/quickstart.json` holds too.

    Args:
        data: a folder in the layout of the sample (`jmed data sample` writes one); None uses the sample itself.
        out: a new directory; every artefact of the recipe stays in it.
        overwrite: replace the directory of an earlier quickstart.
        recipe: a name of `RECIPES`.

    Returns:
        {"status", "recipe", "page", "seconds", "cpu_seconds", "stages"} and what the recipe adds.

    Raises:
        InputError: `data` lacks a part, or `out` exists and is not an earlier quickstart to replace.
    """
    if recipe not in RECIPES:
        raise InputError(f'no recipe "{recipe}". There are: {", ".join(RECIPES)}.')
    if data is not None:
        check_data(data, NEEDED[recipe])
    claim(out, overwrite)
    stages = Stages()
    folder = data or out / "sample"
    if data is None:
        stages.run("Synthetic sample", lambda: write_sample(folder), lambda _: describe_sample(folder))
    own = RECIPES[recipe](folder, out, stages, data is None)
    summary = {"status": "done", "recipe": recipe, "page": str(out / PAGE), **stages.summary(), **own}
    write_summary(out, summary)
    return summary
