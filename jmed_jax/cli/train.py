"""`jmed quickstart`, `jmed train`."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_output, positive
from jmed_jax.cli.overrides import echo, load_experiment
from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError


def add_quickstart(commands: Commands) -> None:
    """Add `jmed quickstart`, which the help shows first."""
    parser = add_command(
        commands,
        "quickstart",
        _quickstart,
        "Run every stage, small, on your data or on the synthetic sample",
        example="jmed quickstart\njmed quickstart --data out/sample --out out/mine\n"
        "jmed quickstart --recipe jmedllm --out out/adapted",
    )
    text = (
        "slm (default): NCVC-slm-1, from raw text to a scored model; jmedllm: a small random Qwen2, imported, trained "
        "on text and on questions, scored before and after"
    )
    parser.add_argument("--recipe", choices=("slm", "jmedllm"), default="slm", help=text)
    text = "in the layout of `jmed data sample`; the sample itself if none"
    parser.add_argument("--data", type=Path, metavar="DIR", help=text)
    add_output(parser, default=Path("out/quickstart"))


def add_commands(commands: Commands) -> None:
    """Add the other commands of this module."""
    _add_train(commands)


def _quickstart(args: Namespace) -> dict[str, Any]:
    from jmed_jax.quickstart import quickstart

    summary = quickstart(args.data, args.out, args.overwrite, args.recipe)
    print(args.out / "index.html")
    return summary


def add_config(parser: Parser) -> None:
    """`CONFIG`, and how its fields are changed."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="configs/NAME.py (comes with jmed) or your own")
    parser.usage = f"{parser.prog} CONFIG [options] [--SECTION.FIELD VALUE …]"
    parser.epilog = (
        f"{parser.epilog}\n\nEvery field of the configuration (jmed_jax/config.py) is an option: --model.…, --data.…, "
        "--optimizer.…,\n--train.…, --mesh.…, --lora.…, --tokenizer.…, --name; true and false are --model.gated-mlp "
        "and --model.no-gated-mlp;\nseveral values stand between commas: --lora.targets q_proj,v_proj."
    )


# --- train ------------------------------------------------------------------------------------------------------------


def _add_train(commands: Commands) -> None:
    parser = add_command(
        commands,
        "train",
        _train,
        "Train a model; the same command again goes on where it stopped",
        example="jmed train configs/ncvc_slm_tiny.py --run out/pretrain --data.rows out/rows --optimizer.peak-lr 5e-4\n"
        "jmed train configs/jmedllm_7b_mpeft.py --run out/adapter --data.rows out/questions --train.initialize-from "
        "out/mfpt\n"
        "for r in 8 16 32; do jmed train configs/jmedllm_7b_mpeft.py --run out/rank-$r --lora.rank $r; done",
        takes_overrides=True,
    )
    add_config(parser)
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="the run's directory")
    parser.add_argument("--steps", type=positive, metavar="N", help="short for --train.steps N")
    text = "write a profiler trace of these steps into DIR/profile, e.g. 10:13"
    parser.add_argument("--profile-steps", metavar="FIRST:LAST", help=text)
    _add_evaluation(parser)
    _add_processes(parser)


def _add_evaluation(parser: Parser) -> None:
    text = "score the model at every Nth checkpoint and at the end, into DIR/scores.jsonl"
    parser.add_argument("--evaluate-every", type=positive, metavar="N", help=text)
    text = "tasks and groups to score it on, separated by commas"
    parser.add_argument("--evaluate-tasks", metavar="A,B", help=text)
    text = "folder that holds jmed_llm/ and igakuqa/"
    parser.add_argument("--evaluate-data", type=Path, metavar="DIR", help=text)
    parser.add_argument("--evaluate-limit", type=positive, metavar="N", help="only the first N questions of each task")


def _add_processes(parser: Parser) -> None:
    text = "of several processes, where Slurm, Kubernetes or a TPU pod does not say so: where the first one listens"
    parser.add_argument("--coordinator", metavar="HOST:PORT", help=text)
    parser.add_argument("--processes", type=positive, metavar="N", help="how many there are")
    parser.add_argument("--process", type=_from_zero, metavar="I", help="which one this is, from 0")


def _from_zero(text: str) -> int:
    if text.isdecimal():
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not a whole number from 0")


def _train(args: Namespace) -> dict[str, Any]:
    steps = ["--train.steps", str(args.steps)] if args.steps else []
    config = load_experiment(args.config, [*args.overrides, *steps])

    from jmed_jax.parallel import distributed
    from jmed_jax.train.loop import Interrupted, train
    from jmed_jax.train.profile import parse_steps

    profile_steps = parse_steps(args.profile_steps) if args.profile_steps else range(0)
    evaluation = _evaluation(args, config)
    with distributed.start(args.coordinator, args.processes, args.process, together=(Interrupted,)):
        first = distributed.is_first()
        if first:
            echo(config)
        result = train(config, args.run, evaluation=evaluation, profile_steps=profile_steps)
    if first:
        loss = "" if result["loss"] is None else f", loss {result['loss']:.4f}"
        print(f"{args.run}: {result['steps']:,} steps, {result['tokens']:,} tokens{loss}")
    return result


def _evaluation(args: Namespace, config: ExperimentConfig) -> Any:
    given = (args.evaluate_every, args.evaluate_tasks, args.evaluate_data)
    if given == (None, None, None) and args.evaluate_limit is None:
        return None
    if None in given:
        raise InputError("--evaluate-every, --evaluate-tasks and --evaluate-data belong together: give all three.")
    from jmed_jax.cli.training_scores import TrainingScores
    from jmed_jax.evaluate.tasks import expand_tasks
    from jmed_jax.train.scoring import Evaluation

    tasks = expand_tasks(args.evaluate_tasks)
    score = TrainingScores(config, args.run, tasks, args.evaluate_data, limit=args.evaluate_limit)
    return Evaluation(args.evaluate_every, score)
