"""Each model in Japanese and in English, on the questions that exist in both, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jmed_jax.evaluate.compare import system_names
from jmed_jax.evaluate.cross_lingual import compare_languages, language_pairs
from jmed_jax.evaluate.evaluations import open_evaluation
from jmed_jax.page.evaluation_differences import is_significant, p_value, signed
from jmed_jax.page.evaluation_runs import EvaluationRun
from jmed_jax.page.score_names import METRICS, figure, label


@dataclass(frozen=True)
class Languages:
    """One metric of one benchmark, of one model.

    Attributes:
        difference: what English gains.
        clear: significant after the correction for all tests of the table.
    """

    run: str
    benchmark: str
    metric: str
    n: int
    ja: str
    en: str
    difference: str
    interval: str
    test: str
    p_holm: str
    clear: bool


def compare_run_languages(runs: Sequence[EvaluationRun]) -> list[Languages]:
    """A row for every benchmark that a run has in both languages under one protocol.

    Raises:
        InputError: a file of predictions is damaged.
    """
    both = [run for run in runs if language_pairs(open_evaluation(run.path))]
    if not both:
        return []
    paths = [run.path for run in both]
    names = system_names([open_evaluation(path) for path in paths])
    by_name = dict(zip(names, both, strict=True))
    return [_row(found.to_dict(), by_name[found.model]) for found in compare_languages(paths)]


def _row(found: Mapping[str, Any], run: EvaluationRun) -> Languages:
    metric, protocol = found["metric"], run.tasks[found["benchmark"]]["protocol"]
    whole = metric in ("points", "relaxed_points")
    return Languages(
        run=run.name,
        benchmark=label(found["benchmark"]),
        metric=METRICS.get(metric, metric),
        n=found["n"],
        ja=figure(found["ja"], metric, protocol),
        en=figure(found["en"], metric, protocol),
        difference=signed(found["difference"], whole=whole),
        interval=" to ".join(signed(value, whole=whole) for value in found["interval"]),
        test=found["test"],
        p_holm=p_value(found["p_holm"]),
        clear=is_significant(found["p_holm"]),
    )
