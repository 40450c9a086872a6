"""`jmed corpus`: from raw sources to clean documents."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from jmed_jax.cli import clean, quality, report, synthesize
from jmed_jax.cli.arguments import Commands, Parser, add_command, add_group, add_output, key_value, positive
from jmed_jax.cli.streams import report_artifact
from jmed_jax.errors import InputError
from jmed_jax.progress import say


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = add_group(
        commands,
        "corpus",
        "Turn raw text into clean documents",
        example="jmed corpus build articles.jsonl.gz --out out/corpus",
    )
    _add_build(group)
    clean.add_clean(group)
    synthesize.add_synthesize(group)
    quality.add_commands(group)
    report.add_report(group)


def _add_build(group: Commands) -> None:
    parser = add_command(
        group,
        "build",
        _build,
        "Clean, filter and deduplicate documents into a corpus",
        example="jmed corpus build articles.jsonl.gz notes/ --text-field body --out out/corpus\n"
        "jmed corpus build --config configs/corpus_ncvc.py --data raw/ --workers 16 --out out/corpus",
    )
    text = ".jsonl, .txt (a document a line), .parquet, .warc or .wet, plain, .gz or .zst, or a directory of them"
    parser.add_argument("sources", type=Path, nargs="*", metavar="SOURCE", help=text)
    text = "file whose config() returns a CorpusConfig: named sources, mixture, thresholds"
    parser.add_argument("--config", type=Path, metavar="FILE", help=text)
    text = "folder that the paths of --config are relative to (default: here)"
    parser.add_argument("--data", type=Path, metavar="DIR", help=text)
    parser.add_argument("--text-field", metavar="NAME", help="of a JSON object (default: text)")
    _add_choices(parser)
    _add_executor(parser)
    add_output(parser)


def _add_choices(parser: Parser) -> None:
    text = "remove these too, beside telephone numbers and e-mail addresses: postal_code, my_number, insurance_card, "
    text += "patient_id, identity_document"
    parser.add_argument("--personal-data", metavar="A,B", help=text)
    text = "drop documents that share a long span with a test question of these files or directories"
    parser.add_argument("--evaluation-sets", nargs="+", type=Path, default=[], metavar="PATH", help=text)
    text = "threshold of a filter, e.g. too_short=100; may be given several times (`jmed corpus report` lists them)"
    parser.add_argument("--threshold", action="append", type=key_value, default=[], metavar="NAME=N", help=text)
    parser.add_argument("--keep-near-duplicates", action="store_true", help="drop exact duplicates only")


def _add_executor(parser: Parser) -> None:
    text = "where tasks run; the corpus is the same (default: local)"
    parser.add_argument("--executor", choices=("local", "slurm", "ray"), default="local", help=text)
    text = "tasks at one time (default: 1; with slurm as many as there are); a file is never split over two"
    parser.add_argument("--workers", type=positive, metavar="N", help=text)
    text = "partition, time, mem_per_cpu_gb or any option of sbatch; may be given several times"
    parser.add_argument("--slurm", action="append", type=key_value, default=[], metavar="NAME=VALUE", help=text)


def _build(args: Namespace) -> dict[str, Any]:
    from jmed_jax.corpus.executors import Executor
    from jmed_jax.corpus.pipeline import build_corpus, submit_corpus

    config, data = _corpus_config(args), args.data or Path()
    if args.executor == "slurm":
        slurm = {**dict(args.slurm), **({"workers": str(args.workers)} if args.workers else {})}
        tasks = submit_corpus(config, args.out, slurm, data=data, overwrite=args.overwrite)
        if tasks:
            print(f"{args.out}: {tasks} tasks submitted; the corpus appears when the last job, jmed-finish, has ended")
        else:
            print(f"{args.out}: the jobs are done and the corpus is complete")
        return {"out": str(args.out), "tasks": tasks}
    if args.slurm:
        raise InputError("--slurm is for --executor slurm.")
    executor = Executor(args.executor, args.workers or 1)
    made = build_corpus(config, args.out, data=data, executor=executor, overwrite=args.overwrite)
    if lost := made.counts["lost_records"]:
        say(f"warning: {lost:,} records could not be used. `jmed corpus report {args.out}` shows where they stand.")
    return report_artifact(made)


def _corpus_config(args: Namespace) -> Any:
    import dataclasses

    from jmed_jax.config import load_config
    from jmed_jax.corpus.config import CorpusConfig
    from jmed_jax.corpus.sources import plain_sources

    if bool(args.sources) == bool(args.config):
        raise InputError("give SOURCE files or directories, or --config FILE, not both. See jmed corpus build --help.")
    if args.config and args.text_field:
        raise InputError("--text-field is for SOURCE files; a --config names it for each source.")
    if args.data and not args.config:
        raise InputError("--data is the folder of a --config; SOURCE files are named as they are.")
    if args.data and not args.data.is_dir():
        raise InputError(f"{args.data}: no such directory.")
    if args.config:
        config = load_config(args.config, CorpusConfig)
    else:
        config = CorpusConfig(args.out.name, plain_sources(args.sources, text_field=args.text_field or "text"))
    changes: dict[str, Any] = {"thresholds": {**config.thresholds, **_numbers(args.threshold)}}
    if args.personal_data:
        changes["personal_data"] = tuple(args.personal_data.split(","))
    if args.evaluation_sets:
        changes["evaluation_sets"] = tuple(str(path.absolute()) for path in args.evaluation_sets)
    if args.keep_near_duplicates:
        changes["near_duplicates"] = False
    return dataclasses.replace(config, **changes)


def _numbers(pairs: list[tuple[str, str]]) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in pairs}
    except ValueError as error:
        raise InputError(f"--threshold: {error}.") from error
