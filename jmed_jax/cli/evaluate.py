"""`jmed evaluate`: ask a model the benchmarks' questions, or score a file of answers."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_group, add_output, add_prompts, positive
from jmed_jax.cli.backends import in_words
from jmed_jax.cli.compare import add_compare
from jmed_jax.cli.contamination import add_contamination
from jmed_jax.cli.evaluate_report import add_report
from jmed_jax.cli.evaluated_model import add_evaluated_model, open_evaluated_model, open_judge
from jmed_jax.cli.streams import print_table
from jmed_jax.progress import say


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
    add_compare(group)
    add_contamination(group)
    add_report(group)


# --- run --------------------------------------------------------------------------------------------------------------


def _add_run(group: Commands) -> None:
    parser = add_command(
        group,
        "run",
        _run,
        "Ask a model the test questions and score its answers; a killed run goes on where it was",
        example="jmed evaluate run --model out/instruct --tasks jmed_llm,igakuqa --data out/sample --out out/scores\n"
        "jmed evaluate run --model openai:qwen --endpoint http://localhost:8000 --tasks medqa --data data --out qwen\n"
        "jmed evaluate run --model hf:Qwen2-7B --plain --protocol loglikelihood --tasks mmlu --data data --out base",
    )
    add_evaluated_model(parser)
    _add_asking(parser)
    add_prompts(parser)
    text = "folder that holds the tasks' questions (README of the data)"
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=text)
    add_output(parser)


def _add_asking(parser: Parser) -> None:
    group = parser.add_argument_group("what is asked, and how")
    text = "tasks and groups, separated by commas; a file of questions of your own is a task too"
    group.add_argument("--tasks", required=True, metavar="A,B", help=text)
    text = "of all tasks (default: each task's own); igakuqa_points, jmed_llm, gestalt_cot, loglikelihood, open_ended"
    group.add_argument("--protocol", metavar="NAME", help=text)
    group.add_argument("--limit", type=positive, metavar="N", help="only the first N questions of each task")
    text = "solved examples before each question (default: 0)"
    group.add_argument("--shots", type=positive, default=0, metavar="K", help=text)
    text = "solved examples for examinations, instead of the data folder's; without --shots, all of them"
    group.add_argument("--fewshot", type=Path, metavar="FILE", help=text)
    text = "prompts are plain texts, for base models without a chat template"
    group.add_argument("--plain", action="store_true", help=text)
    text = "ask every question once for every place that its choices can be turned to"
    group.add_argument("--rotate-choices", action="store_true", help=text)
    text = "leave out questions over 1,024 (ja) or 2,048 (en) characters, as arXiv 2409.11783 did"
    group.add_argument("--max-characters", action="store_true", help=text)
    text = "longest answer (default: the protocol's own, 512 or 256)"
    group.add_argument("--max-new-tokens", type=positive, metavar="N", help=text)
    text = "above 1: beam search (default: 1)"
    group.add_argument("--beams", type=positive, default=1, metavar="N", help=text)
    text = "finish without the answers that the model did not give: they count as wrong"
    group.add_argument("--leave-unanswered", action="store_true", help=text)


def _run(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free
    from jmed_jax.evaluate.evaluations import SCORES
    from jmed_jax.evaluate.plan import Options
    from jmed_jax.evaluate.run import run_tasks
    from jmed_jax.evaluate.tasks import expand_tasks, get_task

    check_free(args.out, args.overwrite)
    tasks = expand_tasks(args.tasks)
    for task in tasks:
        get_task(task, args.protocol)
    model = open_evaluated_model(args)
    evaluation = run_tasks(
        model.backend,
        tasks,
        args.data,
        args.out,
        model_info=model.info,
        options=Options(
            protocol=args.protocol,
            limit=args.limit,
            shots=args.shots,
            fewshot=args.fewshot,
            prompts=args.prompts,
            plain=args.plain,
            rotate_choices=args.rotate_choices,
            max_characters=args.max_characters,
            max_new_tokens=args.max_new_tokens,
            beams=args.beams,
        ),
        identity=model.identity,
        judge=open_judge(args),
        leave_unanswered=args.leave_unanswered,
        overwrite=args.overwrite,
    )
    if model.backend.counts:
        say(f"{model.backend.name}: {in_words(model.backend.counts)}")
    scores = json.loads((evaluation.path / SCORES).read_text(encoding="utf-8"))
    _print_scores(scores["tasks"])
    return {"out": str(args.out), **scores}


def _print_scores(tasks: dict[str, Any]) -> None:
    """Each task's main metric with its interval, beside what answers without reading reach."""
    rows = []
    for name, entry in tasks.items():
        metric, baselines = entry["main_metric"], entry["baselines"]
        interval = entry["intervals"].get(metric)
        others = [baselines.get(baseline, {}).get(metric) for baseline in ("linear", "majority", "random")]
        shown = " to ".join(f"{bound:.0f}" if bound >= 100 else f"{bound:.3f}" for bound in interval or ()) or None
        rows.append((name, metric, entry["metrics"][metric], shown, *others, entry["n"], entry["unparsable"]))
    heads = ("task", "metric", "model", "95 %", "linear", "majority", "random", "n", "unparsable")
    print_table(heads, rows)


# --- score ------------------------------------------------------------------------------------------------------------


def _add_score(group: Commands) -> None:
    parser = add_command(
        group,
        "score",
        _score,
        "Score a file of predictions, made by any system",
        example="jmed evaluate score --task igakuqa --gold data/igakuqa/ja --predictions answers.jsonl --json",
    )
    parser.add_argument("--task", required=True, metavar="NAME", help="a task of `jmed evaluate run`")
    parser.add_argument("--protocol", metavar="NAME", help="one that the task knows (default: its own)")
    text = "files or directories, in our layout or the benchmark's own"
    parser.add_argument("--gold", type=Path, nargs="+", required=True, metavar="PATH", help=text)
    text = 'JSON Lines of {"problem_id" or "id", "prediction"}, or {"id", "output"} with raw text'
    parser.add_argument("--predictions", type=Path, required=True, metavar="FILE", help=text)
    parser.add_argument("--system", metavar="NAME", help="which one, where the file holds several")
    text = "training rows: adds the score of the test rows that share no source with them"
    parser.add_argument("--train", type=Path, nargs="+", default=[], metavar="PATH", help=text)


def _score(args: Namespace) -> dict[str, Any]:
    from jmed_jax.evaluate.score import score_predictions

    score = score_predictions(
        args.task, args.gold, args.predictions, protocol=args.protocol, system=args.system, train=args.train
    )
    groups = {name: row for name, row in score["groups"].items() if "/" not in name}
    clean = {"clean rows": score["clean"]} if score.get("clean") else {}
    metrics = [name for name, value in score.items() if isinstance(value, int | float)]
    rows = [(name, *(row.get(metric) for metric in metrics)) for name, row in {"all": score, **clean, **groups}.items()]
    print_table((args.task, *metrics), rows)
    return score
