"""Goals and what was measured, met or missed, for `tools/readme_tables.py`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from readme_results import NotMeasuredError, case_of, newest

Table = tuple[list[str], list[list[str]]]
"""Head and rows."""
Result = Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """A figure of a script, and the goal that the script's docstring sets it.

    Attributes:
        script: in tools/, whose results bear its name.
        figure: from the result.
        unit: how a figure is written.
        at_most: the goal is a ceiling.
    """

    what: str
    script: str
    figure: Callable[[Result], float]
    goal: float
    unit: str
    at_most: bool = False

    def row(self, result: Result) -> list[str]:
        value = self.figure(result)
        met = value <= self.goal if self.at_most else value >= self.goal
        goal = f"{'at most' if self.at_most else 'at least'} {_written(self.goal, self.unit)}"
        return [self.what, goal, _written(value, self.unit), _met(met), *_where(result)]


PERCENT, TIMES, MILLIONS = "{:.3g} %", "{:.3g} times", "{:.3g} M/s"


def _written(value: float, unit: str) -> str:
    return unit.format(100 * value if unit == PERCENT else value)


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def _where(result: Result) -> list[str]:
    return [result["date"], result["hardware"]]


MEASURES = (
    Measure(
        "cleaning, MeCab and Unigram: speed of bare fugashi and sentencepiece",
        "bench_corpus",
        lambda found: found["encode_speed_to_bare_libraries"],
        0.6,
        PERCENT,
    ),
    Measure(
        "corpus build in two processes against one",
        "bench_corpus",
        lambda found: found["build_two_processes_to_one"],
        1.8,
        TIMES,
    ),
    Measure(
        "encoding in two processes against one",
        "bench_corpus",
        lambda found: found["encode_two_processes_to_one"],
        1.8,
        TIMES,
    ),
    Measure(
        "packing ids into rows: tokens",
        "bench_corpus",
        lambda found: found["pack_million_tokens_a_second"],
        2,
        MILLIONS,
    ),
    Measure("loader: tokens", "bench_loop", lambda found: found["loader million tokens/s"], 10, MILLIONS),
    Measure(
        "training loop: time over the bare step",
        "bench_loop",
        lambda found: found["loop over bare step"],
        0.02,
        PERCENT,
        at_most=True,
    ),
    Measure(
        "LoRA step: share of the time of a step over all parameters",
        "bench_train_cpu",
        lambda found: case_of(found, "LoRA")["share_of_full_step"],
        0.7,
        PERCENT,
        at_most=True,
    ),
    Measure(
        "training step, 1.2 B, bfloat16: share of the FLOP/s of a bare product",
        "bench_train_gpu",
        lambda found: case_of(found, "1.2 B")["share_of_matmul"],
        0.55,
        PERCENT,
    ),
    Measure(
        "generation, 1.2 B, bfloat16, batch 1: speed of reading every weight once a token",
        "bench_generate_gpu",
        lambda found: found["cases"][0]["share_of_bandwidth_bound"],
        0.6,
        PERCENT,
    ),
    Measure(
        "import from Hugging Face: speed of a copy",
        "bench_convert",
        lambda found: found["import over copy speed"],
        0.5,
        PERCENT,
    ),
    Measure(
        "export to Hugging Face: speed of a copy",
        "bench_convert",
        lambda found: found["export over copy speed"],
        0.5,
        PERCENT,
    ),
    Measure(
        "import, export: memory over the model's bytes",
        "bench_convert",
        lambda found: max(found[f"{way} peak memory over bytes"] for way in ("import", "export")),
        1.5,
        TIMES,
        at_most=True,
    ),
    Measure(
        "10,000 tiny training steps: growth of memory from step 2,000 on",
        "soak",
        lambda found: found["RSS growth behind the warm-up"],
        0.01,
        PERCENT,
        at_most=True,
    ),
)


TRAINING_ON_CPU = {
    "float32": "training step, 30 M parameters: speed of PyTorch's",
    "LoRA": "LoRA step, Qwen2 of 0.1 B: speed of PEFT's",
}
TRAINING_ON_GPU = {
    "1.2 B": "training step, 1.2 B, bfloat16: speed of PyTorch's",
    "7 B, LoRA": "LoRA step, Qwen2-7B, bfloat16: speed of PEFT's",
}
"""Case of `tools/bench_train.py` → what the table calls it."""


def benchmarks_table() -> Table:
    """Every figure that was measured, with its goal where there is one."""
    head = ["what", "goal", "measured", "", "date", "hardware"]
    rows = [
        *_against_pytorch(newest("bench_train_cpu"), TRAINING_ON_CPU),
        *_against_pytorch(newest("bench_train_gpu"), TRAINING_ON_GPU),
        *_against_transformers(newest("bench_generate_cpu")),
    ]
    for measure in MEASURES:
        with suppress(NotMeasuredError):
            rows.append(measure.row(newest(measure.script)))
    return head, rows


def _against_pytorch(result: Result, cases: Mapping[str, str]) -> Iterator[list[str]]:
    for name, what in cases.items():
        yield _ratio(what, case_of(result, name), result)


def _against_transformers(result: Result) -> Iterator[list[str]]:
    for case in result["cases"]:
        if "goal" in case:
            family, parameters, _ = case["model"].split(", ")
            size = int(parameters.split()[0].replace(",", "")) / 1e6
            what = f"generation, {size:.0f} M parameters ({family}), batch {case['batch']}: speed of transformers'"
            yield _ratio(what, case, result)


def _ratio(what: str, case: Mapping[str, Any], result: Result) -> list[str]:
    measured = f"{_written(case['ratio'], TIMES)} ({case['ratio_range']})"
    if case["goal"] == "information":
        return [what, "none", measured, "", *_where(result)]
    met = _met(case["ratio"] >= case["goal"])
    return [what, f"at least {_written(case['goal'], TIMES)}", measured, met, *_where(result)]
