"""For job scripts: whether two directories hold the same model. Exit code 0 if so, 1 if not, 2 for bad input."""

import argparse
import math
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Parser, positive, script
from jmed_jax.cli.command import run
from jmed_jax.cli.streams import print_table


def build_parser() -> Parser:
    parser = script(
        _verify,
        "Compare two models tensor by tensor (names, shapes, dtypes, numbers) and by logits on random ids, in plain, "
        "padded and packed rows. Exit code 0: equal; 1: different.",
        example="python tools/verify.py Qwen2-7B-Instruct out/qwen2\n"
        "python tools/verify.py out/mpeft out/model --tolerance 0.01\n"
        "python tools/verify.py out/adapter out/model --first-base Qwen2-7B-Instruct",
    )
    text = "a Hugging Face directory, a run, or an adapter, which is merged with its base"
    parser.add_argument("first", type=Path, metavar="FIRST", help=text)
    parser.add_argument("second", type=Path, metavar="SECOND", help="the same")
    for side in ("first", "second"):
        text = f"base of the adapter {side.upper()} (default: where the adapter says)"
        parser.add_argument(f"--{side}-base", type=Path, metavar="DIR", help=text)
    text = "how far numbers and logits may be apart, dtypes then aside (default: 0, every bit is the same)"
    parser.add_argument("--tolerance", type=_distance, default=0.0, metavar="X", help=text)
    parser.add_argument("--show", type=positive, default=10, metavar="N", help="tensors in the table (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the random ids (default: 0)")
    return parser


def _distance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0")
    return value


def _verify(args: Namespace) -> dict[str, Any]:
    from jmed_jax.language_model.verify import compare

    found = compare(args.first, args.second, first_base=args.first_base, second_base=args.second_base, seed=args.seed)
    equal = found.equal(args.tolerance)
    args.exit_code = 0 if equal else 1
    if found.differences:
        print_table(("tensor", "what", "largest", "share"), [_row(*d) for d in found.differences[: args.show]])
    print(*found.settings, sep="\n", end="\n" * bool(found.settings))
    rows = ", ".join(f"{name} {value:.3g}" for name, value in found.logits.items()) or "vocabularies differ"
    print(f"{found.tensors} tensors, {len(found.differences)} differ; largest difference of logits: {rows}")
    print("equal" if equal else "different")
    differences = [difference._asdict() for difference in found.differences]
    return {"equal": equal, "tolerance": args.tolerance, **asdict(found), "differences": differences}


def _row(name: str, what: str, largest: float | None, share: float | None) -> tuple[str | None, ...]:
    return name, what, None if largest is None else f"{largest:.3g}", None if share is None else f"{share:.1%}"


def main(argv: Sequence[str] | None = None) -> int:
    return run(build_parser, argv)


if __name__ == "__main__":
    sys.exit(main())
