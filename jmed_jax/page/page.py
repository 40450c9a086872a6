"""What the quickstart page says, and writing it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from jmed_jax.page.charts import finite_rows, loss_chart, smooth, smoothing_window
from jmed_jax.page.numbers import short_count
from jmed_jax.page.render import write_html
from jmed_jax.page.score_names import label
from jmed_jax.page.score_table import score_tables

TEMPLATE = "index.html.j2"

# The fact of `QuickstartPage.model` that the note under the score table quotes.
PARAMETERS = "Parameters"


@dataclass(frozen=True)
class Stage:
    """One stage of the run.

    Attributes:
        size: how much it made, e.g. "1,204 documents, 3.1 MB".
        detail: one line on what it did.
        cpu_seconds: of this process, over all cores: where others share the machine, the steadier figure.
    """

    name: str
    seconds: float
    size: str
    detail: str
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One test question and what the model wrote.

    Attributes:
        task: a name of `evaluate.tasks.TASKS`.
    """

    task: str
    question: str
    output: str
    gold: str
    right: bool


@dataclass(frozen=True)
class QuickstartPage:
    """Everything on the page.

    Attributes:
        data_note: what it was trained and scored on: "synthetic sample", or the data folder's name.
        synthetic: the exercises were made up, so that the scores are not those of the benchmark: the page says so.
        model: key facts by name; `PARAMETERS` among them is quoted beside the published scores.
        pretraining: lines of the pre-training run's `metrics.jsonl`.
        instruction: lines of the instruction-tuning run's.
        scores: "tasks" of scores.json.
        prompt: what the generated answer answers.
        commands: what to do next: label and command.
    """

    title: str
    data_note: str
    synthetic: bool
    stages: Sequence[Stage]
    model: Mapping[str, str]
    pretraining: Sequence[Mapping[str, Any]]
    instruction: Sequence[Mapping[str, Any]]
    scores: Mapping[str, Mapping[str, Any]]
    samples: Sequence[Sample]
    prompt: str
    answer: str
    commands: Sequence[tuple[str, str]]

    @property
    def seconds(self) -> float:
        """The time of all stages."""
        return sum(stage.seconds for stage in self.stages)


@dataclass(frozen=True)
class Chart:
    """A loss curve with what a reader who does not see it needs."""

    title: str
    caption: str
    svg: Markup


def write_page(path: Path, page: QuickstartPage) -> None:
    """Write the page as one HTML file: no scripts, nothing loaded from anywhere, model output escaped."""
    write_html(
        path,
        TEMPLATE,
        {
            "page": page,
            "charts": _charts(page),
            "tables": score_tables(page.scores),
            "parameters": page.model.get(PARAMETERS, "a few million"),
            "date": time.strftime("%Y-%m-%d"),
        },
        filters={"duration": format_duration, "task": label},
    )


def _charts(page: QuickstartPage) -> list[Chart]:
    charts = [
        training_chart(page.pretraining, "Pre-training", "pretraining", bits_per_byte=True),
        training_chart(page.instruction, "Instruction tuning", "instruction", bits_per_byte=False),
    ]
    return [chart for chart in charts if chart]


def training_chart(rows: Sequence[Mapping[str, Any]], title: str, name: str, *, bits_per_byte: bool) -> Chart | None:
    """The loss curve of lines of `metrics.jsonl`; None where no loss is finite.

    Args:
        name: an HTML id.
    """
    drawn = finite_rows(rows)
    if not drawn:
        return None
    losses = smooth(drawn)
    caption = (
        f"{len(drawn):,} steps, {short_count(drawn[-1]['tokens'])} tokens; loss {losses[0]:.2f} → {losses[-1]:.2f}. "
        f"Points are single steps, the line is a mean over {smoothing_window(len(drawn))}."
    )
    return Chart(title, caption, Markup(loss_chart(drawn, name, bits_per_byte=bits_per_byte)))


def format_duration(seconds: float) -> str:
    """`4.2 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours} h {minute:02d} min" if hours else f"{minutes} min {second:02d} s"
