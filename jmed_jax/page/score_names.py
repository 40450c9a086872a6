"""What the tasks, protocols and metrics of the evaluation are called on a page, and how their figures are written."""

from collections.abc import Iterable

# As the papers' tables head them, in the order of their columns.
LABELS = {
    "jmed_llm.jmmlu_med": "JMMLU-Med",
    "jmed_llm.crade": "CRADE",
    "jmed_llm.rrtnm": "RRTNM",
    "jmed_llm.smdis": "SMDIS",
    "jmed_llm.jcsts": "JCSTS",
    "jmed_llm.mrner_disease": "MRNER-disease",
    "jmed_llm.mrner_medicine": "MRNER-medicine",
    "jmed_llm.nrner": "NRNER",
    "igakuqa": "IgakuQA",
    "igakuqa_en": "IgakuQA",
    "medqa": "MedQA",
    "medqa_ja": "MedQA",
    "medqa_4": "MedQA, 4 options",
    "medmcqa": "MedMCQA",
    "medmcqa_ja": "MedMCQA",
    "mmlu": "MMLU, health",
    "jmmlu": "JMMLU, health",
    "igakuqa119": "IgakuQA119",
    "denqa": "DenQA",
    "jjsimqa": "JJSIMQA",
    "questions": "Own questions",
}

PROTOCOLS = {
    "jmed_llm": "JMED-LLM",
    "igakuqa_points": "IgakuQA, exam points",
    "gestalt_cot": "Chain of thought, Gestalt accuracy",
    "loglikelihood": "Log-likelihood of the options",
    "open_ended": "Open-ended questions",
}

METRICS = {
    "accuracy": "accuracy",
    "kappa": "kappa",
    "exact_f1": "exact F1",
    "partial_f1": "partial F1",
    "overlap_f1": "overlap F1",
    "points": "points",
    "relaxed_points": "relaxed points",
    "total": "of",
    "gestalt_accuracy": "Gestalt accuracy",
    "exact_match": "exact match",
    "rouge_l": "ROUGE-L",
    "chrf": "chrF",
    "judge": "judge",
}

# Those that a paper shows first come first.
_MAIN = ("points", "kappa", "partial_f1", "gestalt_accuracy", "accuracy", "judge", "rouge_l", "exact_match")
_SECOND = {"kappa": "accuracy", "partial_f1": "exact_f1", "gestalt_accuracy": "exact_match"}
# Printed with two digits, as the paper does; other shares are written in per cent.
_TWO_DIGITS = ("kappa", "exact_f1", "partial_f1", "overlap_f1")

_COUNTS = ("points", "relaxed_points", "total")

MISSING = "–"


def label(task: str) -> str:
    """What a task is called, with the language that its name ends with; its own name if it is not one of ours."""
    if task not in LABELS:
        return task
    language = next((ending for ending in ("en", "ja") if task.endswith(f"_{ending}")), "")
    return f"{LABELS[task]} ({language})" if language else LABELS[task]


def benchmark(task: str) -> str:
    """A task without its language: what "igakuqa" and "igakuqa_en" have in common."""
    return task.removesuffix("_en").removesuffix("_ja")


def place(task: str) -> int:
    """Sorts tasks into the order of the papers' columns, others behind them."""
    return list(LABELS).index(task) if task in LABELS else len(LABELS)


def main_metric(names: Iterable[str]) -> str:
    """The one of several metrics that is shown where there is room for one."""
    present = list(names)
    return next((name for name in _MAIN if name in present), present[0])


def second_metric(main: str) -> str:
    """The metric in brackets beside a main one, or ""."""
    return _SECOND.get(main, "")


def in_per_cent(metric: str, protocol: str) -> bool:
    """Whether a metric is written as 46.4 and not as 0.46, as it is in the table of JMED-LLM."""
    return protocol != "jmed_llm" and metric not in (*_TWO_DIGITS, *_COUNTS)


def heading(metric: str, protocol: str) -> str:
    """`Gestalt accuracy, %`."""
    name = METRICS.get(metric, metric)
    return f"{name}, %" if in_per_cent(metric, protocol) else name


def figure(value: float | None, metric: str, protocol: str) -> str:
    """One figure as its heading promises."""
    if value is not None and in_per_cent(metric, protocol):
        return f"{100 * value:.1f}"
    if value is not None and metric in _COUNTS:
        return show(round(value))
    return show(value)


def span(low_high: Iterable[float] | None, metric: str, protocol: str) -> str:
    """An interval, `0.61 to 0.79`: a dash would be taken for a minus of kappa. "" where there is none."""
    if low_high is None:
        return ""
    return " to ".join(figure(value, metric, protocol) for value in low_high)


def show(value: float | None) -> str:
    """A share with two digits and a true minus; a count as it is."""
    if value is None:
        return MISSING
    if isinstance(value, int):
        return f"{value:,}"
    rounded = round(value, 2)
    return f"−{-rounded:.2f}" if rounded < 0 else f"{abs(rounded):.2f}"
