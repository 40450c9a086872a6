"""`jmed analyze loss`: the loss curves of runs."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, add_command, add_output
from jmed_jax.cli.streams import print_table


def add_loss(group: Commands) -> None:
    """Add `jmed analyze loss`."""
    parser = add_command(
        group,
        "loss",
        _loss,
        "Draw the loss curves of runs on one picture, against tokens",
        example="jmed analyze loss out/pretrain out/instruct --out out/loss.html",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="made by `jmed train`")
    add_output(parser, metavar="FILE.html|svg|png")


def _loss(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free
    from jmed_jax.jsonl import read_jsonl
    from jmed_jax.page.analysis_losses import RunCurve, write_losses
    from jmed_jax.train.run import METRICS, VALIDATION, open_run

    check_free(args.out, args.overwrite)
    curves = []
    for path, name in zip(args.runs, _names(args.runs), strict=True):
        open_run(path)
        lines = {
            file: [row for _, row in read_jsonl(path / file)]
            for file in (METRICS, VALIDATION)
            if (path / file).is_file()
        }
        curves.append(RunCurve.of(name, lines.get(METRICS, []), lines.get(VALIDATION, [])))
    write_losses(args.out, curves)
    print_table(
        ("run", "steps", "tokens", "loss", "bits per byte"),
        [
            (run.name, run.rows[-1]["step"], run.rows[-1]["tokens"], run.last_loss, run.last_loss * run.bits_a_nat)
            for run in curves
        ],
    )
    print(args.out)
    return {"out": str(args.out), "runs": {run.name: {"loss": run.last_loss} for run in curves}}


def _names(runs: Sequence[Path]) -> list[str]:
    """The directories' own names, or where those are not all different, the paths."""
    names = [path.resolve().name for path in runs]
    return names if len(set(names)) == len(names) else [str(path) for path in runs]
