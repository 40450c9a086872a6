"""JMED-LLM's eight tasks, in the order of the paper's table (arXiv 2412.16423)."""

from jmed_jax.evaluate.kappa import KappaWeights
from jmed_jax.evaluate.protocols.jmed_llm import TEST, ChoiceTask, ExtractionTask


def _choice(name: str, kappa_weights: KappaWeights = None) -> ChoiceTask:
    return ChoiceTask(f"jmed_llm.{name}", "ja", f"{TEST}/{name}.jsonl", kappa_weights=kappa_weights)


def _extraction(name: str) -> ExtractionTask:
    return ExtractionTask(f"jmed_llm.{name}", "ja", f"{TEST}/{name}.jsonl")


TASKS = (
    _choice("jmmlu_med"),
    _choice("crade", kappa_weights="linear"),
    _choice("rrtnm"),
    _choice("smdis"),
    _choice("jcsts", kappa_weights="linear"),
    _extraction("mrner_disease"),
    _extraction("mrner_medicine"),
    _extraction("nrner"),
)
