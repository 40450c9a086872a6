"""`jmed evaluate report`: evaluations beside one another and beside the papers, as a page, as Markdown and as CSV."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, add_command, add_output, key_value
from jmed_jax.cli.streams import print_table
from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_json

if TYPE_CHECKING:
    from jmed_jax.page.score_table import ScoreTable

# What a file of `jmed evaluate contamination` says.
_CONTAMINATION = {"source", "n_gram", "tasks"}


def add_report(group: Commands) -> None:
    """Add `report` to the commands of `jmed evaluate`."""
    parser = add_command(
        group,
        "report",
        _report,
        "Show evaluations beside the papers' figures, with every question and answer, as one HTML page",
        example="jmed evaluate report out/scores --out report.html\n"
        "jmed evaluate report out/a out/b --label ours=out/a --out report.html --csv scores.csv",
    )
    text = "made by `jmed evaluate run`; a training run adds its scores against tokens seen"
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help=text)
    add_output(parser, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="the tables as Markdown as well")
    text = "a row a model, task and metric as CSV as well"
    parser.add_argument("--csv", type=Path, metavar="FILE", help=text)
    text = "made by `jmed evaluate contamination`; may be given again"
    parser.add_argument("--contamination", type=Path, action="append", default=[], metavar="FILE", help=text)
    text = "what to call one of the runs; may be given again"
    parser.add_argument("--label", type=key_value, action="append", default=[], metavar="NAME=RUN", help=text)


def _report(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free, replacing
    from jmed_jax.page.evaluation_differences import compare_runs
    from jmed_jax.page.evaluation_languages import compare_run_languages
    from jmed_jax.page.evaluation_page import Report, write_evaluation_page
    from jmed_jax.page.evaluation_runs import read_inputs
    from jmed_jax.page.evaluation_text import csv_text, markdown
    from jmed_jax.page.score_table import run_tables

    outputs = [path for path in (args.out, args.markdown, args.csv) if path is not None]
    _check_outputs(outputs, args.runs)
    for path in outputs:
        check_free(path, args.overwrite)
    inputs = read_inputs(args.runs, _names(args.label, args.runs))
    report = Report(
        inputs=inputs,
        tables=run_tables({run.name: run.tasks for run in inputs.runs}),
        differences=compare_runs(inputs.runs),
        languages=compare_run_languages(inputs.runs),
        contamination=[_read_contamination(path) for path in args.contamination],
    )
    write_evaluation_page(args.out, report)
    for path, text in ((args.markdown, markdown), (args.csv, csv_text)):
        if path is not None:
            with replacing(path) as temporary:
                temporary.write_text(text(report), encoding="utf-8")
    _print_tables(report.tables)
    for path in outputs:
        print(path)
    return {"out": [str(path) for path in outputs], "runs": [run.name for run in inputs.runs]}


def _check_outputs(outputs: Sequence[Path], runs: Sequence[Path]) -> None:
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise InputError("--out, --markdown and --csv name the same file twice. Give each its own.")
    for path in outputs:
        inside = [run for run in runs if path.resolve().is_relative_to(run.resolve())]
        if inside:
            raise InputError(f"{path}: within {inside[0]}, which is read. Give a place outside.")


def _names(pairs: Sequence[tuple[str, str]], runs: Sequence[Path]) -> dict[Path, str]:
    """By the run as it was given."""
    by_place = {run.resolve(): run for run in runs}
    names = {}
    for name, run in pairs:
        if Path(run).resolve() not in by_place:
            raise InputError(f"--label {name}={run}: this is none of the runs given.")
        names[by_place[Path(run).resolve()]] = name
    return names


def _read_contamination(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except InputError as error:
        raise InputError(f"{error} Make it with `jmed evaluate contamination`.") from error
    if not isinstance(found, dict) or not found.keys() >= _CONTAMINATION:
        raise InputError(f"{path}: not made by `jmed evaluate contamination`. Make it with that command.")
    return found


def _print_tables(tables: Sequence["ScoreTable"]) -> None:
    """The main figures of the runs; the rest is on the page."""
    for number, table in enumerate(tables):
        if number:
            print()
        heads = [column.label for column in table.columns]
        print_table((table.title, *heads), [(run.row.name, *(c.main for c in run.row.cells)) for run in table.runs])
