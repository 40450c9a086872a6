"""`jmed data` and `jmed pack`: public data, instruction data, and text as packed rows."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import (
    Commands,
    add_command,
    add_group,
    add_output,
    add_prompts,
    add_seed,
    positive,
)
from jmed_jax.cli.fetch import add_fetch
from jmed_jax.cli.instruct import add_instruct
from jmed_jax.cli.streams import report_artifact
from jmed_jax.errors import InputError


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = add_group(commands, "data", "Fetch and make data", example="jmed data sample --out out/sample")
    _add_data(group)
    add_fetch(group)
    _add_pack(commands)


# --- data -------------------------------------------------------------------------------------------------------------


def _add_data(group: Commands) -> None:
    parser = add_command(
        group,
        "sample",
        _sample,
        "Write the synthetic sample: texts, terms and questions, all invented",
        example="jmed data sample --out out/sample",
    )
    add_output(parser)
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other texts (default: 0)")

    parser = add_command(
        group,
        "conversations",
        _conversations,
        "Write training conversations of benchmark tasks, for `jmed pack --mode fit`",
        example="jmed data conversations --tasks jmed_llm --data out/sample --balance --out out/conversations.jsonl",
    )
    parser.add_argument("--tasks", required=True, metavar="A,B", help="tasks and groups, separated by commas")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder that holds jmed_llm/train")
    add_output(parser, metavar="FILE.jsonl")
    parser.add_argument("--balance", action="store_true", help="draw rows so that every answer is equally frequent")
    text = "leave out rows whose source also stands in a test set"
    parser.add_argument("--exclude-test-documents", action="store_true", help=text)
    parser.add_argument("--limit-per-task", type=positive, metavar="N", help="draw at most so many rows of a task")
    add_seed(parser)
    add_prompts(parser)

    parser = add_command(
        group,
        "holdout",
        _holdout,
        "Draw validation questions from training rows, into a data folder of their own",
        example="jmed data holdout --tasks jmed_llm --data out/sample --questions 20 --out out/validation\n"
        "jmed evaluate run --model out/run --tasks jmed_llm --data out/validation --out out/scores",
    )
    parser.add_argument("--tasks", required=True, metavar="A,B", help="tasks and groups, separated by commas")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder that holds jmed_llm/train")
    text = "of each task; of an answer at most a third of its rows (default: 100)"
    parser.add_argument("--questions", type=positive, default=100, metavar="N", help=text)
    add_seed(parser)
    add_output(parser)
    add_instruct(group)


def _sample(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free, replacing_directory
    from jmed_jax.sample.generate import write_sample

    check_free(args.out, args.overwrite)
    with replacing_directory(args.out) as directory:
        write_sample(directory, seed=args.seed)
    print(f"{args.out}: the synthetic sample, in the layout that `jmed quickstart --data` reads")
    return {"out": str(args.out), "seed": args.seed}


def _conversations(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free
    from jmed_jax.evaluate.instruction import write_conversations
    from jmed_jax.evaluate.tasks import expand_tasks

    check_free(args.out, args.overwrite)
    counts = write_conversations(
        expand_tasks(args.tasks),
        args.data,
        args.out,
        exclude_test_documents=args.exclude_test_documents,
        balance=args.balance,
        seed=args.seed,
        limit_per_task=args.limit_per_task,
        prompts=args.prompts,
    )
    by_task = ", ".join(f"{task} {count:,}" for task, count in counts.items())
    print(f"{args.out}: {sum(counts.values()):,} conversations ({by_task})")
    return {"out": str(args.out), "conversations": sum(counts.values()), "tasks": counts}


def _holdout(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free
    from jmed_jax.evaluate.holdout import hold_out
    from jmed_jax.evaluate.tasks import expand_tasks

    check_free(args.out, args.overwrite)
    tasks = expand_tasks(args.tasks)
    counts = hold_out(tasks, args.data, args.out, questions=args.questions, seed=args.seed)
    print(f"{args.out}: validation questions in jmed_llm/test, the other training rows in jmed_llm/train")
    return {"out": str(args.out), "held_out": counts}


# --- pack -------------------------------------------------------------------------------------------------------------


def _add_pack(commands: Commands) -> None:
    parser = add_command(
        commands,
        "pack",
        _pack,
        "Encode text and pack it into rows of a fixed length, for `jmed train`",
        example="jmed pack --mode concat --tokenizer tokenizer --corpus corpus --row-length 512 --out rows\n"
        "jmed pack --mode fit --tokenizer tokenizer --conversations conversations.jsonl --row-length 512 --out rows",
    )
    text = (
        "concat: documents end to end, for pre-training; documents: whole ones, none seeing another, for continued "
        "pre-training; fit: whole conversations, for instruction tuning"
    )
    parser.add_argument("--mode", choices=("concat", "documents", "fit"), required=True, help=text)
    text = "made by `jmed tokenizer train`, or that of a Hugging Face model"
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", required=True, help=text)
    text = "made by `jmed corpus build`, for concat and documents"
    parser.add_argument("--corpus", type=Path, metavar="DIR", help=text)
    text = 'JSON Lines of {"messages": […]}, for fit'
    parser.add_argument("--conversations", type=Path, nargs="+", metavar="FILE", help=text)
    parser.add_argument("--row-length", type=positive, required=True, metavar="N", help="tokens of a row")
    text = "what happens to conversations longer than a row (fit; default: drop)"
    parser.add_argument("--overlong", choices=("drop", "truncate"), help=text)
    text = "processes that encode (concat, documents; default: 1)"
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help=text)
    text = "share of documents or conversations, by their ids, that go to --holdout-out, for data.validation_rows"
    parser.add_argument("--holdout-share", type=float, metavar="X", help=text)
    parser.add_argument("--holdout-out", type=Path, metavar="DIR", help="rows of what is held out")
    add_output(parser)


def _pack(args: Namespace) -> dict[str, Any]:
    from jmed_jax.data.pack import Holdout, pack_conversations, pack_corpus

    _check_pack_arguments(args)
    holdout = Holdout(args.holdout_share, args.holdout_out) if args.holdout_out else None
    if args.mode == "fit":
        rows = pack_conversations(
            args.tokenizer,
            args.conversations,
            args.out,
            row_length=args.row_length,
            overlong=args.overlong or "drop",
            holdout=holdout,
            overwrite=args.overwrite,
        )
    else:
        rows = pack_corpus(
            args.tokenizer,
            args.corpus,
            args.out,
            row_length=args.row_length,
            mode=args.mode,
            workers=args.workers,
            holdout=holdout,
            overwrite=args.overwrite,
        )
    return report_artifact(rows)


def _check_pack_arguments(args: Namespace) -> None:
    needed, other = ("conversations", "corpus") if args.mode == "fit" else ("corpus", "conversations")
    if not getattr(args, needed) or getattr(args, other):
        raise InputError(f"--mode {args.mode} takes --{needed}, and no --{other}. See jmed pack --help.")
    if args.mode == "fit" and args.workers > 1:
        raise InputError("--workers is for a corpus: conversations are packed in one process.")
    if args.mode != "fit" and args.overlong:
        raise InputError(f"--overlong is for --mode fit: {args.mode} cuts a document that is too long.")
    if (args.holdout_share is None) != (args.holdout_out is None):
        raise InputError("--holdout-share and --holdout-out belong together: give both, or neither.")
