"""`jmed evaluate`: ask a model the benchmarks' questions, or score a file of answers."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, add_command, add_group, add_model, add_output, add_prompts, positive
from jmed_jax.cli.streams import print_table


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = add_group(
        commands,
        "evaluate",
        "Score models on the benchmarks",
        example="jmed evaluate run --model out/instruct --tasks jmed_llm --data out/sample --out out/scores",
    )
    _add_run(group)
    _add_score(group)


# --- run --------------------------------------------------------------------------------------------------------------


def _add_run(group: Commands) -> None:
    parser = add_command(
        group,
        "run",
        _run,
        "Ask a model the test questions and score its answers, beside the majority answer and chance",
        example="jmed evaluate run --model out/instruct --tasks jmed_llm,igakuqa --data out/sample --out out/scores",
    )
    add_model(parser)
    parser.add_argument("--tasks", required=True, metavar="A,B", help="tasks and groups, separated by commas")
    text = "folder that holds jmed_llm/ and igakuqa/"
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=text)
    add_output(parser)
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N questions of each task")
    text = "longest answer (default: 512)"
    parser.add_argument("--max-new-tokens", type=positive, default=512, metavar="N", help=text)
    add_prompts(parser)
    parser.add_argument("--fewshot", type=Path, metavar="FILE", help="solved examples for igakuqa; without, zero-shot")


def _run(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free
    from jmed_jax.evaluate.runner import SCORES, run_tasks
    from jmed_jax.evaluate.tasks import expand_tasks

    check_free(args.out, args.overwrite)
    tasks = expand_tasks(args.tasks)

    from jmed_jax.language_model import load

    model = load(args.model)
    evaluation = run_tasks(
        model,
        tasks,
        args.data,
        args.out,
        model_info={"name": model.name, "parameters": model.config.num_parameters},
        limit=args.limit,
        max_new_tokens=args.max_new_tokens,
        prompts=args.prompts,
        fewshot=args.fewshot,
        overwrite=args.overwrite,
    )
    scores = json.loads((evaluation.path / SCORES).read_text(encoding="utf-8"))
    _print_scores(scores["tasks"])
    return {"out": str(args.out), **scores}


def _print_scores(tasks: dict[str, Any]) -> None:
    """Each task's main metric beside what answers without reading reach."""
    rows = []
    for name, entry in tasks.items():
        metric, baselines = entry["main_metric"], entry["baselines"]
        others = [baselines.get(baseline, {}).get(metric) for baseline in ("majority", "random")]
        rows.append((name, metric, entry["metrics"][metric], *others, entry["n"], entry["unparsable"]))
    print_table(("task", "metric", "model", "majority", "random", "n", "unparsable"), rows)


# --- score ------------------------------------------------------------------------------------------------------------


def _add_score(group: Commands) -> None:
    parser = add_command(
        group,
        "score",
        _score,
        "Score a file of predictions, made by any system",
        example="jmed evaluate score --task igakuqa --gold data/igakuqa/ja --predictions answers.jsonl --json",
    )
    parser.add_argument("--task", required=True, metavar="NAME", help="igakuqa, or jmed_llm.TASK")
    text = "files or directories, in our layout or the benchmark's own"
    parser.add_argument("--gold", type=Path, nargs="+", required=True, metavar="PATH", help=text)
    text = 'JSON Lines of {"problem_id" or "id", "prediction"}, or {"id", "output"} with raw text'
    parser.add_argument("--predictions", type=Path, required=True, metavar="FILE", help=text)
    parser.add_argument("--system", metavar="NAME", help="which one, where the file holds several")
    text = "training rows: adds the score of the test rows that share no source with them"
    parser.add_argument("--train", type=Path, nargs="+", default=[], metavar="PATH", help=text)


def _score(args: Namespace) -> dict[str, Any]:
    from jmed_jax.evaluate.score import score_predictions

    score = score_predictions(args.task, args.gold, args.predictions, system=args.system, train=args.train)
    groups = {name: row for name, row in score["groups"].items() if "/" not in name}
    clean = {"clean rows": score["clean"]} if score.get("clean") else {}
    metrics = [name for name, value in score.items() if isinstance(value, int | float)]
    rows = [(name, *(row.get(metric) for metric in metrics)) for name, row in {"all": score, **clean, **groups}.items()]
    print_table((args.task, *metrics), rows)
    return score
