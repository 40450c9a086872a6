"""What the page of the quickstart's recipe `jmedllm` says, and writing it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax.page.page import Sample, Stage, format_duration, training_chart
from jmed_jax.page.render import write_html
from jmed_jax.page.score_names import label

TEMPLATE = "adaptation.html.j2"


@dataclass(frozen=True)
class Compared:
    """One set of held-out questions, which every model was asked in the same words.

    Attributes:
        chance: share right of a guess.
        values: share right, a model.
        intervals: their 95 % intervals.
        unparsable: answers from which no choice could be read, a model; they count as wrong.
    """

    title: str
    n: int
    chance: float
    values: Sequence[float]
    intervals: Sequence[tuple[float, float]]
    unparsable: Sequence[int]

    @property
    def beats_chance(self) -> bool:
        """Whether the last model's interval lies above a guess."""
        return self.intervals[-1][0] > self.chance

    @property
    def beats_base(self) -> bool:
        """Whether the last model's interval lies above that of the first."""
        return self.intervals[-1][0] > self.intervals[0][1]


@dataclass(frozen=True)
class AdaptationPage:
    """Everything on the page.

    Attributes:
        data_note: what it was trained and asked on: "synthetic sample", or the data folder's name.
        synthetic: the text and questions were made up: the page says so.
        model: key facts by name.
        mfpt: lines of the `metrics.jsonl` of full-parameter training; `mpeft` of the adapter's.
        losses: stage → {"first", "last", "first_tenth", "last_tenth"}.
        models: names of those that were asked, in the order of `Compared.values`.
        reload: what was exported and loaded again → largest difference of a logit from the run's.
        largest_logit: of the run, against which the differences stand.
        answer: one question and what the export answered.
        commands: what to do next: label and command.
    """

    title: str
    data_note: str
    synthetic: bool
    stages: Sequence[Stage]
    model: Mapping[str, str]
    mfpt: Sequence[Mapping[str, Any]]
    mpeft: Sequence[Mapping[str, Any]]
    losses: Mapping[str, Mapping[str, float]]
    models: Sequence[str]
    compared: Sequence[Compared]
    reload: Mapping[str, float]
    largest_logit: float
    samples: Sequence[Sample]
    answer: Sample
    commands: Sequence[tuple[str, str]]

    @property
    def seconds(self) -> float:
        """The time of all stages."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def cpu_seconds(self) -> float:
        """The same over all cores."""
        return sum(stage.cpu_seconds for stage in self.stages)


def write_adaptation_page(path: Path, page: AdaptationPage) -> None:
    """Write the page as one HTML file: no scripts, nothing loaded from anywhere, model output escaped."""
    charts = [
        training_chart(page.mfpt, "MFPT: every parameter, on text", "mfpt", bits_per_byte=True),
        training_chart(page.mpeft, "MPEFT: an adapter, on the answers alone", "mpeft", bits_per_byte=False),
    ]
    values = {"page": page, "charts": list(filter(None, charts)), "date": time.strftime("%Y-%m-%d")}
    write_html(path, TEMPLATE, values, filters={"duration": format_duration, "task": _title})


def _title(task: str) -> str:
    return "Questions" if task == "questions" else label(task)
