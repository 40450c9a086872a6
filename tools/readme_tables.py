"""Write the tables of README and docs/ from the files in `tools/results` and from `jmed plan`, or check them.

    python tools/readme_tables.py [--check]

A table stands between two marks, `<!-- NAME: made by tools/readme_tables.py -->` and `<!-- end of NAME -->`; `--check`
exits with 1 where a page says something else.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from readme_ablations import differences_table, jmedllm_table, scores_table
from readme_benchmarks import benchmarks_table
from readme_costs import measured_costs_table, planned_costs_table
from readme_results import NotMeasuredError, figure, newest

from jmed_jax.evaluate.published import published_scores
from jmed_jax.page.score_names import METRICS, label

ROOT = Path(__file__).resolve().parents[1]
RECIPE = "clinical_small"
PAPER = "NCVC-slm-1-instruct (50B tokens)"

_MARKED = re.compile(
    r"(?P<begin><!-- (?P<name>[\w ]+): made by tools/readme_tables\.py -->\n)"
    r"(?P<table>.*?)"
    r"(?P<end><!-- end of (?P=name) -->\n)",
    re.DOTALL,
)


def pages() -> list[Path]:
    """What may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


# --- scores -----------------------------------------------------------------------------------------------------------


def results_table(result: Mapping[str, Any], paper: Mapping[str, float]) -> str:
    """The tasks of a result of `tools/reproduce.py`, beside its baselines and the paper's figures by task."""
    head = ["task", "metric", "this model", "95 %", "clean rows", "majority", "linear"]
    rows = []
    for name, entry in result["runs"][RECIPE]["tasks"].items():
        low, high = entry["interval"]
        clean = f"{figure(entry['clean_score'])} ({entry['clean_n']})" if entry["clean_n"] else "none"
        baselines = [figure(entry["majority"]), figure(entry["linear"])]
        interval = f"{figure(low)} to {figure(high)}"
        rows.append([*_task(name, entry["metric"], entry["score"]), interval, clean, *baselines, _paper(name, paper)])
    return table([*head, "NCVC-slm-1-instruct, 1.2 B (paper, 100 rows)"], rows)


def quickstart_table(result: Mapping[str, Any], paper: Mapping[str, float]) -> str:
    """The same of `tools/bench_quickstart.py`."""
    head = ["task", "metric", "this run", "majority", "random", "linear"]
    rows = []
    for name, entry in result["scores"].items():
        baselines = [figure(entry[baseline]) for baseline in ("majority", "random", "linear")]
        rows.append([*_task(name, entry["metric"], entry["model"]), *baselines, _paper(name, paper)])
    return table([*head, "NCVC-slm-1-instruct, 1.2 B (paper, 100 rows)"], rows)


def paper_scores() -> dict[str, float]:
    """Task → the main metric of the paper's model (arXiv 2412.16423, Table 4)."""
    found = {}
    for score in published_scores():
        if score.model == PAPER and score.protocol == "jmed_llm":
            found[score.task] = score.metrics.get("kappa", score.metrics.get("partial_f1", 0.0))
    return found


def _task(name: str, metric: str, score: float) -> list[str]:
    return [label(name), METRICS.get(metric, metric), f"**{figure(score)}**"]


def _paper(name: str, paper: Mapping[str, float]) -> str:
    return figure(paper[name]) if name in paper else ""


# --- pages ------------------------------------------------------------------------------------------------------------

TABLES: Mapping[str, Callable[[], str]] = {
    "results": lambda: results_table(newest(f"{RECIPE}_test"), paper_scores()),
    "quickstart": lambda: quickstart_table(newest("bench_quickstart"), paper_scores()),
    "measured costs": lambda: table(*measured_costs_table(newest("bench_quickstart"), newest(f"{RECIPE}_test"))),
    "planned costs": lambda: table(
        *planned_costs_table(newest("bench_corpus"), newest("bench_train_cpu"), newest("bench_train_gpu"))
    ),
    "ablations": lambda: table(*scores_table(newest(f"{RECIPE}_validation_gpu"))),
    "ablations repeated": lambda: table(*scores_table(newest(f"{RECIPE}_validation"))),
    "ablation differences": lambda: table(*differences_table(newest(f"{RECIPE}_validation"))),
    "jmedllm": lambda: table(*jmedllm_table(newest("compare_jmedllm"))),
    "benchmarks": lambda: table(*benchmarks_table()),
}


def with_tables(page: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """A page with what stands between its marks written anew; a table of what was not measured yet is empty."""

    def written(marked: re.Match[str]) -> str:
        try:
            made = tables[marked["name"]]()
        except NotMeasuredError:
            made = ""
        return marked["begin"] + made + marked["end"]

    return _MARKED.sub(written, page)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page says something else")
    arguments = parser.parse_args()
    differ = []
    for page in pages():
        was = page.read_text(encoding="utf-8")
        should_be = with_tables(was, TABLES)
        if was != should_be:
            differ.append(page)
            if not arguments.check:
                page.write_text(should_be, encoding="utf-8")
    if arguments.check:
        print(*(f"{page} says something else" for page in differ), sep="\n", end="\n" if differ else "")
        return int(bool(differ))
    return 0


if __name__ == "__main__":
    sys.exit(main())
