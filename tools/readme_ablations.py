"""The tables of `docs/ablations.md`: what each part of a recipe is worth."""

from collections.abc import Mapping
from typing import Any

from readme_results import figure

from jmed_jax.page.score_names import label

TASKS = ("smdis", "crade", "jcsts", "rrtnm", "nrner", "mrner_disease", "jmmlu_med")
"""MRNER-medicine has six validation questions, which say nothing."""

VARIANTS = {
    "base": "the basis",
    "kept_copies": "the basis, copying exercises mixed into the instruction data",
    "kept_both": "the basis, both kinds of exercises mixed into it",
    "no_terms": "exercises in copying only",
    "no_copies": "exercises in extraction only",
    "no_exercises": "no exercises",
    "no_neftune": "the basis, no NEFTune",
    "tokens_alike": "the basis, every token weighs the same",
    "no_dictionary": "no exercises, MeCab without medical terms",
    "document_mask": "no exercises, text under a document mask",
    "double_text": "no exercises, text twice",
    "half_text": "no exercises, text half",
    "no_text": "no exercises, no text",
}
"""Variant of `tools/reproduce.py` → what the table calls it."""

SYSTEMS = {
    "imported": "as imported: random weights",
    "mfpt": "after MFPT",
    "lora_alone": "LoRA alone",
    "mpeft": "MFPT, then LoRA",
}
"""System of `tools/compare_jmedllm.py` → what the table calls it."""

SIGNIFICANT = 0.05


def scores_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: every variant's score in every task, with its 95 % interval."""
    names = [f"jmed_llm.{task}" for task in TASKS]
    rows = []
    for variant, words in VARIANTS.items():
        if variant in result["runs"]:
            tasks = result["runs"][variant]["tasks"]
            rows.append([words, *(_score(tasks[name]["score"], tasks[name]["interval"]) for name in names)])
    linear = next(iter(result["runs"].values()))["tasks"]
    rows.append(["linear baseline", *(figure(linear[name]["linear"]) for name in names)])
    return ["variant", *map(label, names)], rows


def differences_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: the second variant of a pair less the first, with the 95 % interval of the paired bootstrap.

    Bold where the p, Holm-corrected over the pair's tasks, is below SIGNIFICANT.
    """
    pairs: dict[tuple[str, str], dict[str, str]] = {}
    for row in result["comparisons"]:
        cell = _score(row["difference"], row["interval"], sign="+")
        significant = row["p_holm"] < SIGNIFICANT
        pairs.setdefault((row["first"], row["second"]), {})[row["task"]] = f"**{cell}**" if significant else cell
    names = [f"jmed_llm.{task}" for task in TASKS]
    rows = [
        [f"{VARIANTS[second]}, less: {VARIANTS[first]}", *(cells[name] for name in names)]
        for (first, second), cells in pairs.items()
    ]
    return ["difference", *map(label, names)], rows


def jmedllm_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: every system's score with its 95 % interval, and what MFPT before LoRA adds (paired bootstrap)."""
    tasks = result["systems"]["mpeft"]
    rows = [
        [words, *(_score(entry["score"], entry["interval"]) for entry in result["systems"][system].values())]
        for system, words in SYSTEMS.items()
    ]
    differences = {
        row["task"]: f"{_score(row['difference'], row['interval'], sign='+')}, p {row['p']:.2g}"
        for row in result["comparisons"]
        if row["metric"] == tasks[row["task"]]["metric"]
    }
    rows.append(["MFPT, then LoRA, less: LoRA alone", *(differences[task] for task in tasks)])
    return ["system", *(f"{label(task)}, {entry['n']} questions" for task, entry in tasks.items())], rows


def _score(value: float, interval: tuple[float, float], sign: str = "") -> str:
    low, high = interval
    return f"{figure(value, sign)} [{figure(low, sign)}, {figure(high, sign)}]"
