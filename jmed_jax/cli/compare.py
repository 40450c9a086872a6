"""`jmed evaluate compare`: are two models different, or were the questions kind to one of them?"""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, add_command
from jmed_jax.cli.streams import print_table

# Field of a comparison → what the table calls it.
_MODEL_COLUMNS = {
    "task": "task",
    "metric": "metric",
    "first": "first",
    "second": "second",
    "n": "n",
    "first_value": "first",
    "second_value": "second",
}
_LANGUAGE_COLUMNS = {name: name for name in ("model", "benchmark", "metric", "n", "ja", "en")}


def add_compare(group: Commands) -> None:
    """Add `compare` to the group `evaluate`."""
    parser = add_command(
        group,
        "compare",
        _compare,
        "Test the differences between models that answered the same questions, or of one model between languages",
        example="jmed evaluate compare out/scores-base out/scores-tuned\n"
        "jmed evaluate compare --languages out/scores-tuned",
    )
    text = "directories of `jmed evaluate run`: two or more, or one with --languages"
    parser.add_argument("evaluations", type=Path, nargs="+", metavar="DIR", help=text)
    text = "only these tasks, separated by commas (default: all that two have in common)"
    parser.add_argument("--tasks", type=_names, default=(), metavar="A,B", help=text)
    text = "only these metrics (default: each task's main metric, and accuracy)"
    parser.add_argument("--metrics", type=_names, default=(), metavar="A,B", help=text)
    text = "compare each model's Japanese with its English, over the questions that are translations of each other"
    parser.add_argument("--languages", action="store_true", help=text)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write what is printed as JSON, too")
    parser.add_argument("--overwrite", action="store_true", help="replace what stands there already")


def _compare(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free, replacing
    from jmed_jax.evaluate.compare import RESAMPLES

    if args.out:
        check_free(args.out, args.overwrite)
    rows = _between_languages(args) if args.languages else _between_models(args)
    result = {"correction": f"Holm over {len(rows)} comparisons", "resamples": RESAMPLES, "comparisons": rows}
    columns = _LANGUAGE_COLUMNS if args.languages else _MODEL_COLUMNS
    print_table(
        (*columns.values(), "difference", "95 %", "test", "p", "p (Holm)"), [_cells(row, columns) for row in rows]
    )
    subtracted = "en - ja" if args.languages else "second - first"
    print(f"difference: {subtracted}; p (Holm): corrected over the {len(rows)} comparisons of this table")
    if args.out:
        with replacing(args.out) as temporary:
            temporary.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return result


def _between_models(args: Namespace) -> list[dict[str, Any]]:
    from jmed_jax.errors import InputError
    from jmed_jax.evaluate.compare import compare_evaluations

    if len(args.evaluations) < 2:
        raise InputError(
            f"{args.evaluations[0]}: one directory has nothing to be compared with. Name two or more, or --languages."
        )
    compared = compare_evaluations(args.evaluations, tasks=args.tasks, chosen_metrics=args.metrics)
    if compared.refused:
        others = f" ({len(compared.refused) - 1} more such)" if len(compared.refused) > 1 else ""
        raise InputError(f"{compared.refused[0]} Or leave it out with --tasks.{others}")
    return [row.to_dict() for row in compared.rows]


def _between_languages(args: Namespace) -> list[dict[str, Any]]:
    from jmed_jax.evaluate.cross_lingual import compare_languages

    compared = compare_languages(args.evaluations, tasks=args.tasks, chosen_metrics=args.metrics)
    return [row.to_dict() for row in compared]


def _cells(row: dict[str, Any], columns: Mapping[str, str]) -> tuple[Any, ...]:
    low, high = row["interval"]
    values = [row[name] for name in columns]
    return (*values, row["difference"], f"[{low:.4f}, {high:.4f}]", row["test"], _p(row["p"]), _p(row["p_holm"]))


def _p(value: float) -> float | str:
    # No p is 0.
    return "<0.0001" if value < 0.0001 else value


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))
