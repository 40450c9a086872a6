"""A small page with every section, to be changed with `dataclasses.replace`."""

from typing import Any

from jmed_jax.page.page import QuickstartPage, Sample, Stage

SMDIS: dict[str, Any] = {
    "protocol": "jmed_llm",
    "main_metric": "kappa",
    "n": 60,
    "metrics": {"accuracy": 0.8833, "kappa": 0.7654},
    "unparsable": 3,
    "groups": {},
    "baselines": {"majority": {"accuracy": 0.4833, "kappa": 0.0}, "random": {"accuracy": 0.4333, "kappa": -0.1346}},
    "clean": None,
    "seconds": 4.2,
}
NRNER: dict[str, Any] = {
    "protocol": "jmed_llm",
    "main_metric": "partial_f1",
    "n": 24,
    "metrics": {"exact_f1": 0.025, "partial_f1": 0.1168, "overlap_f1": 0.025},
    "unparsable": 7,
    "groups": {},
    "baselines": {
        "majority": {"exact_f1": 0.0478, "partial_f1": 0.1198, "overlap_f1": 0.0545},
        "random": {"exact_f1": 0.0, "partial_f1": 0.0, "overlap_f1": 0.0302},
    },
    "clean": {"n": 17, "exact_f1": 0.0, "partial_f1": 0.0912, "overlap_f1": 0.0, "unparsable": 2},
    "seconds": 8.9,
}


def metrics_rows(steps: int) -> list[dict[str, Any]]:
    """Lines of a metrics.jsonl whose loss falls, with something like noise."""
    return [
        {
            "step": step,
            "loss": 3 + 5 / step + 0.1 * (step % 3),
            "tokens": step * 2048,
            "targets": 2000 + step,
            "bits_per_byte": (3 + 5 / step + 0.1 * (step % 3)) * 0.39,
        }
        for step in range(1, steps + 1)
    ]


def small_page() -> QuickstartPage:
    return QuickstartPage(
        title="jmed quickstart",
        data_note="synthetic sample",
        synthetic=True,
        stages=[
            Stage("Corpus", 6.25, "3,184 documents", "cleaned"),
            Stage("Pre-training", 93.0, "120 steps", "batch 4"),
        ],
        model={"Parameters": "3.4 million", "Layers": "4"},
        pretraining=metrics_rows(120),
        instruction=metrics_rows(30),
        scores={"jmed_llm.smdis": SMDIS, "jmed_llm.nrner": NRNER},
        samples=[
            Sample("jmed_llm.smdis", "インフルエンザでしたか？", "A", "A", right=True),
            Sample("jmed_llm.nrner", "所見は？", "['疼痛']", "['発熱']", right=False),
        ],
        prompt="高血圧の治療は？",
        answer="減塩と運動を行う。",
        commands=[("Ask it", 'jmed generate "糖尿病は?"')],
    )
