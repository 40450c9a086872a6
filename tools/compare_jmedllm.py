"""MFPT and then LoRA against LoRA alone, on the small Qwen2 of the quickstart's second recipe (arXiv 2409.11783).

    python tools/compare_jmedllm.py --data DATA --out out/jmedllm [--save]

Runs `jmed quickstart --recipe jmedllm` unless its result is there; then trains the same adapter on the same questions
from the weights as imported, asks it the same held-out questions, and tests the differences.
"""

import argparse
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from timing import save

from jmed_jax.evaluate.compare import compare_evaluations
from jmed_jax.evaluate.evaluations import open_evaluation
from jmed_jax.language_model import load
from jmed_jax.quickstart.jmedllm import ASKED, MAX_NEW_TOKENS, MODELS, mpeft_config
from jmed_jax.quickstart.stages import PAGE
from jmed_jax.train.loop import train

LORA_ALONE = "lora_alone"
SYSTEMS = (*MODELS, LORA_ALONE)
PACKAGES = ("jax", "flax", "optax", "grain", "tokenizers")


def run(data: Path, out: Path) -> dict[str, Path]:
    """Everything that is not there yet; the evaluation of each system."""
    if not (out / PAGE).exists():
        _jmed("quickstart", "--recipe", "jmedllm", "--data", data, "--out", out, "--overwrite")
    evaluations = {name: out / f"evaluation-{name}" for name in SYSTEMS}
    if not evaluations[LORA_ALONE].exists():
        start = out / "imported"
        train(mpeft_config(load(start).config, out / "rows-questions", start), out / LORA_ALONE)
        held_out = out / "held-out"
        tasks = f"{held_out / 'questions.jsonl'},igakuqa"
        asked = ("--protocol", "gestalt_cot", "--limit", ASKED, "--max-new-tokens", MAX_NEW_TOKENS)
        told = ("--model", out / LORA_ALONE, "--tasks", tasks, "--data", held_out, "--out", evaluations[LORA_ALONE])
        _jmed("evaluate", "run", *told, *asked)
    return evaluations


def _jmed(*words: Any) -> None:
    argv = [str(word) for word in words]
    print(f"$ jmed {shlex.join(argv)}", flush=True)
    subprocess.run([sys.executable, "-m", "jmed_jax", *argv], check=True)


def results(evaluations: dict[str, Path]) -> dict[str, Any]:
    """The accuracy of every system with its interval, and LoRA after MFPT less LoRA alone."""
    systems: dict[str, Any] = {}
    for name, path in evaluations.items():
        for task, entry in open_evaluation(path).tasks.items():
            metric = entry["main_metric"]
            systems.setdefault(name, {})[task] = {
                "metric": metric,
                "n": entry["n"],
                "score": entry["metrics"][metric],
                "interval": entry["intervals"][metric],
            }
    compared = compare_evaluations([evaluations[LORA_ALONE], evaluations["mpeft"]])
    names = {"first": LORA_ALONE, "second": "mpeft"}
    return {"systems": systems, "comparisons": [{**row.to_dict(), **names} for row in compared.rows]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, required=True, help="where the quickstart and the other adapter go")
    parser.add_argument("--save", action="store_true", help="write a result into tools/results")
    arguments = parser.parse_args()
    found = results(run(arguments.data, arguments.out))
    for name, tasks in found["systems"].items():
        for task, entry in tasks.items():
            low, high = entry["interval"]
            print(
                f"{name:12} {task:12} {entry['metric']:18} {entry['score']:.3f} [{low:.3f}, {high:.3f}]  n {entry['n']}"
            )
    for row in found["comparisons"]:
        low, high = row["interval"]
        text = f"{row['task']} {row['metric']}: {row['difference']:+.3f} [{low:+.3f}, {high:+.3f}], p {row['p']:.3f}"
        print(f"{row['second']} - {row['first']}: {text}")
    if arguments.save:
        print(save("compare_jmedllm", found, PACKAGES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
