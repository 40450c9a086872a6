"""The same questions in Japanese and in English: what a model loses by the language (arXiv 2409.11783).

Only questions that stand on both sides count, each with its translation: JMMLU leaves out some of MMLU's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.evaluate.compare import Difference, paired_difference, system_names, tested_metrics
from jmed_jax.evaluate.evaluations import Evaluation, open_evaluation, read_rows
from jmed_jax.evaluate.paired_tests import holm

TRANSLATIONS = (("igakuqa", "igakuqa_en"), ("jmmlu", "mmlu"))
"""Tasks in Japanese with the same in English. A set that `jmed data translate` made needs no entry: its questions name
those that they were translated from."""


@dataclass(frozen=True)
class LanguageComparison:
    """One metric of one benchmark, of one model in both languages.

    Attributes:
        benchmark: the Japanese task's name.
        n: questions that stand on both sides; rotations of one count once.
        result: the first is Japanese and the second English, so the difference is what English gains.
        p_holm: after Holm's correction over all comparisons of the call.
    """

    model: str
    benchmark: str
    metric: str
    n: int
    result: Difference
    p_holm: float

    def to_dict(self) -> dict[str, Any]:
        """As one flat object, the values called "ja" and "en"."""
        values = self.result._asdict()
        ja, en = values.pop("first_value"), values.pop("second_value")
        fields = {name: getattr(self, name) for name in ("model", "benchmark", "metric", "n")}
        return {**fields, "ja": ja, "en": en, **values, "p_holm": self.p_holm}


def compare_languages(
    paths: Sequence[Path], *, tasks: Sequence[str] = (), chosen_metrics: Sequence[str] = (), seed: int = 0
) -> list[LanguageComparison]:
    """Each model's Japanese against its English, in every benchmark that its evaluation has in both.

    Args:
        paths: evaluation directories.
        tasks: only pairs with one of these; () for all.
        chosen_metrics: as for `compare_evaluations`.

    Raises:
        InputError: none of the directories has a benchmark in both languages, or one is damaged.
    """
    evaluations = [open_evaluation(path) for path in paths]
    compared = [
        comparison
        for evaluation, name in zip(evaluations, system_names(evaluations), strict=True)
        for japanese, english in language_pairs(evaluation, tasks)
        for comparison in _compare(evaluation, name, japanese, english, chosen_metrics, seed)
    ]
    if not compared:
        expected = "; ".join(" and ".join(pair) for pair in TRANSLATIONS)
        raise InputError(
            f"{', '.join(map(str, paths))}: no benchmark in both languages under one protocol. Evaluate {expected}."
        )
    corrected = holm([comparison.p_holm for comparison in compared])
    return [replace(comparison, p_holm=p) for comparison, p in zip(compared, corrected, strict=True)]


def language_pairs(evaluation: Evaluation, tasks: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The task in Japanese and the task in English of every benchmark that is there in both, under one protocol."""
    known = [pair for pair in TRANSLATIONS if set(pair) <= evaluation.tasks.keys()]
    japanese, english = (_named_pairs(evaluation, language) for language in ("ja", "en"))
    translated = [
        pair for pair in product(japanese, english) if pair not in known and japanese[pair[0]] & english[pair[1]]
    ]
    return [
        pair
        for pair in [*known, *translated]
        if len({evaluation.tasks[task]["protocol"] for task in pair}) == 1 and (not tasks or set(pair) & set(tasks))
    ]


def _named_pairs(evaluation: Evaluation, language: str) -> dict[str, set[str]]:
    """Task in a language → what its questions have in common with their translations.

    Ids alone, "1" or "2018-3", may meet by chance: only a name ("medqa/1") says that one is the other's translation.
    """
    tasks = [task for task, entry in evaluation.tasks.items() if entry.get("language") == language]
    return {task: {pair for pair in read_rows(evaluation, task).pairs if "/" in pair} for task in tasks}


def _compare(
    evaluation: Evaluation, name: str, japanese: str, english: str, chosen_metrics: Sequence[str], seed: int
) -> list[LanguageComparison]:
    first, second = read_rows(evaluation, japanese), read_rows(evaluation, english)
    place = {pair: index for index, pair in enumerate(second.pairs)}
    paired = [(index, place[pair]) for index, pair in enumerate(first.pairs) if pair in place]
    if not paired:
        return []
    ours, theirs = (list(side) for side in zip(*paired, strict=True))
    clusters = None if first.clusters is None else [first.clusters[index] for index in ours]
    comparisons = []
    for metric in tested_metrics(evaluation, japanese, chosen_metrics):
        result = paired_difference(
            first.scores.take(ours), second.scores.take(theirs), metric, clusters=clusters, seed=seed
        )
        n = len(set(clusters)) if clusters else len(ours)
        comparisons.append(LanguageComparison(name, japanese, metric, n, result, result.p))
    return comparisons
