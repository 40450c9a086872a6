"""Write README's table of results from the files in `tools/results`, or check that it stands there.

    python tools/readme_tables.py [--check]

The table stands between two marks in README.md; `--check` exits with 1 where README says something else.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jmed_jax.evaluate.published import published_scores
from jmed_jax.page.score_names import METRICS, label

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results: made by tools/readme_tables.py -->\n", "<!-- end of results -->\n"
RECIPE = "clinical_small"
PAPER = "NCVC-slm-1-instruct (50B tokens)"


def newest(kind: str) -> Path | None:
    """The last result of `tools/reproduce.py --save` on "test" or "validation" questions."""
    return max((ROOT / "tools" / "results").glob(f"{RECIPE}_{kind}-*.json"), default=None)


def results_table(result: Mapping[str, Any], paper: Mapping[str, float]) -> str:
    """A Markdown table of the tasks of a result, beside its baselines and the paper's figures by task."""
    head = (
        "task",
        "metric",
        "this model",
        "95 %",
        "clean rows",
        "majority",
        "linear",
        "NCVC-slm-1-instruct, 1.2 B (paper, 100 rows)",
    )
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for name, entry in result["runs"][RECIPE]["tasks"].items():
        low, high = entry["interval"]
        clean = f"{_figure(entry['clean_score'])} ({entry['clean_n']})" if entry["clean_n"] else "none"
        cells = (
            label(name),
            METRICS.get(entry["metric"], entry["metric"]),
            f"**{_figure(entry['score'])}**",
            f"{_figure(low)} to {_figure(high)}",
            clean,
            _figure(entry["majority"]),
            _figure(entry["linear"]),
            _figure(paper[name]) if name in paper else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def paper_scores() -> dict[str, float]:
    """Task → the main metric of the paper's model (arXiv 2412.16423, Table 4)."""
    found = {}
    for score in published_scores():
        if score.model == PAPER and score.protocol == "jmed_llm":
            found[score.task] = score.metrics.get("kappa", score.metrics.get("partial_f1", 0.0))
    return found


def with_table(readme: str, table: str) -> str:
    """README with the table between the marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, "README has the two marks"
    return f"{before}{begin}{table}{end}{after}"


def _figure(value: float) -> str:
    # Without the zero, as the papers' tables have it; a minus as wide as a digit.
    # Adding 0 makes a zero of −0.
    return f"{round(value, 2) + 0:.2f}".replace("0.", ".", 1).replace("-", "−")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if README says something else")
    arguments = parser.parse_args()
    path, readme = newest("test"), ROOT / "README.md"
    assert path is not None, "tools/reproduce.py --save has been run"
    was = readme.read_text(encoding="utf-8")
    should_be = with_table(was, results_table(json.loads(path.read_text(encoding="utf-8")), paper_scores()))
    if arguments.check:
        print("README has the results on record" if was == should_be else f"README differs from {path.name}")
        return int(was != should_be)
    readme.write_text(should_be, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
