"""`jmed evaluate contamination`: which benchmark questions a model may have seen in its training data."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, add_command, add_output, positive
from jmed_jax.cli.streams import print_table


def add_contamination(group: Commands) -> None:
    """Add `contamination` to the group `evaluate`."""
    parser = add_command(
        group,
        "contamination",
        _contamination,
        "Count the benchmark questions that share a long span of text with training data",
        example="jmed evaluate contamination --rows out/rows --data data --out contamination.json\n"
        "jmed evaluate contamination --files conversations.jsonl --tasks jmed_llm --data data --out seen.json",
    )
    texts = parser.add_mutually_exclusive_group(required=True)
    texts.add_argument("--corpus", type=Path, metavar="DIR", help="made by `jmed corpus build`")
    texts.add_argument("--rows", type=Path, metavar="DIR", help="made by `jmed data pack`")
    text = "conversations, training rows or any texts: .jsonl, .txt, .parquet, or directories of them"
    texts.add_argument("--files", type=Path, nargs="+", metavar="PATH", help=text)
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="folder that holds the tasks' questions"
    )
    text = "tasks and groups, separated by commas (default: all whose questions are in --data)"
    parser.add_argument("--tasks", metavar="A,B", help=text)
    text = "kana and kanji in common that count; three Latin letters count as one (default: 30)"
    parser.add_argument("--n-gram", type=positive, default=30, metavar="N", help=text)
    add_output(parser, metavar="FILE")


def _contamination(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free, replacing
    from jmed_jax.evaluate.contamination import corpus_texts, file_texts, measure, read_benchmarks, rows_texts
    from jmed_jax.evaluate.tasks import expand_tasks
    from jmed_jax.progress import track

    check_free(args.out, args.overwrite)
    questions = read_benchmarks(args.data, expand_tasks(args.tasks) if args.tasks else ())
    if args.files:
        texts = file_texts(args.files)
    else:
        texts = corpus_texts(args.corpus) if args.corpus else rows_texts(args.rows)
    source = " ".join(map(str, args.files or [args.corpus or args.rows]))
    result = measure(source, track(texts, "contamination", unit="texts"), questions, n_gram=args.n_gram)
    with replacing(args.out) as temporary:
        temporary.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    columns = ("n", "comparable", "overlapping", "share")
    print_table(("task", *columns), [(task, *(row[name] for name in columns)) for task, row in result["tasks"].items()])
    print(f"comparable: long enough to share {args.n_gram} characters; examples are in {args.out}")
    return result
