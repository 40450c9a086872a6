"""`jmed corpus annotate` and `jmed corpus quality`: labels from a model, and a classifier that learns them."""

from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_group, add_output, add_seed, positive
from jmed_jax.cli.backends import add_backend, add_encoder, in_words, open_backend, open_encoder
from jmed_jax.cli.streams import print_table, report_artifact


def add_commands(group: Commands) -> None:
    """Add the commands of this module to `jmed corpus`."""
    _add_annotate(group)
    quality = add_group(
        group,
        "quality",
        "Learn which documents are low quality, see whether that pays, and drop them",
        example="jmed corpus quality report out/quality --price-hour 2",
    )
    _add_train(quality)
    _add_report(quality)
    _add_apply(quality)


def _names(text: str) -> list[str]:
    return text.split(",")


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise ArgumentTypeError(f"{text!r} is no number between 0 and 1")
    return value


def _price(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is no price")
    return value


def _add_corpus(parser: Parser) -> None:
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="made by `jmed corpus build`")


# --- annotate ---------------------------------------------------------------------------------------------------------


def _add_annotate(group: Commands) -> None:
    parser = add_command(
        group,
        "annotate",
        _annotate,
        "Ask a model whether documents are of high or low quality; the same command again goes on where it stopped",
        example="jmed corpus annotate out/corpus --sample 1000 --endpoint http://localhost:8000 "
        "--endpoint-model qwen --out out/labels.jsonl\n"
        "jmed corpus annotate out/corpus --sample 1000 --model out/instruct --out out/labels-ours.jsonl",
    )
    _add_corpus(parser)
    text = "documents, drawn by a hash of their ids (default: 100000, as the paper)"
    parser.add_argument("--sample", type=positive, default=100_000, metavar="N", help=text)
    add_seed(parser)
    text = "sources to draw from (default: all)"
    parser.add_argument("--sources", type=_names, default=[], metavar="A,B", help=text)
    text = "of a document's beginning that the model sees (default: 2000)"
    parser.add_argument("--characters", type=positive, default=2000, metavar="N", help=text)
    text = "wording, labels and reminders, instead of the package's own"
    parser.add_argument("--prompt", type=Path, metavar="FILE", help=text)
    text = "further attempts after a malformed answer (default: 2)"
    parser.add_argument("--retries", type=int, choices=range(10), default=2, metavar="N", help=text)
    text = "longest answer; a model that reasons first needs more (default: 32)"
    parser.add_argument("--max-new-tokens", type=positive, default=32, metavar="N", help=text)
    add_backend(parser)
    add_output(parser, metavar="FILE.jsonl")


def _annotate(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free
    from jmed_jax.corpus.annotate import annotate, sample_documents
    from jmed_jax.corpus.annotation_prompt import load_prompt
    from jmed_jax.progress import say

    check_free(args.out, args.overwrite)
    prompt = load_prompt(args.prompt)
    backend = open_backend(args)
    documents = sample_documents(
        args.corpus, args.sample, seed=args.seed, characters=args.characters, sources=args.sources
    )
    try:
        summary = annotate(
            documents,
            backend,
            prompt,
            args.out,
            characters=args.characters,
            retries=args.retries,
            max_new_tokens=args.max_new_tokens,
            overwrite=args.overwrite,
        )
    finally:
        # Also where a budget or a dead server ended it: what was sent was paid for.
        if backend.counts:
            say(f"{backend.name}: {in_words(backend.counts)}")
    print(f"{args.out}: {summary['documents']:,} documents, {in_words(summary['labels'])}")
    if summary["malformed"]:
        print(f"malformed answers: {in_words(summary['malformed'])}")
    return {"out": str(args.out), **summary, "counts": dict(backend.counts)}


# --- train ------------------------------------------------------------------------------------------------------------


def _add_train(group: Commands) -> None:
    parser = add_command(
        group,
        "train",
        _train,
        "Train a random forest on labelled documents, and measure it on a part held out",
        example="jmed corpus quality train out/corpus --labels a.jsonl b.jsonl --encoder out/pretrain "
        "--out out/quality",
    )
    _add_corpus(parser)
    text = "made by `jmed corpus annotate`, one file an annotator; the majority's label is learned"
    parser.add_argument("--labels", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    add_encoder(parser)
    parser.add_argument("--trees", type=positive, default=300, metavar="N", help="of the forest (default: 300)")
    text = "share of the labels that it is measured on (default: 0.2)"
    parser.add_argument("--held-out", type=_share, default=0.2, metavar="X", help=text)
    parser.add_argument("--seed", type=int, default=0, help="of the forest and of what is held out (default: 0)")
    add_output(parser)


def _train(args: Namespace) -> dict[str, Any]:
    from jmed_jax.corpus.quality import load_quality, train_quality

    made = train_quality(
        args.corpus,
        args.labels,
        open_encoder(args),
        args.out,
        trees=args.trees,
        held_out=args.held_out,
        seed=args.seed,
        overwrite=args.overwrite,
    )
    result = report_artifact(made)
    record = load_quality(args.out).record
    _print_held_out(record["held_out"])
    return {**result, "held_out": record["held_out"]}


# --- report -----------------------------------------------------------------------------------------------------------


def _add_report(group: Commands) -> None:
    parser = add_command(
        group,
        "report",
        _report,
        "Show how good a classifier is, what it would drop, and what it costs",
        example="jmed corpus quality report out/quality --price-prompt 0.15 --price-completion 0.6 --price-hour 2",
    )
    parser.add_argument("quality", type=Path, metavar="DIR", help="made by `jmed corpus quality train`")
    text = "of a million tokens that the annotator reads (default: 0)"
    parser.add_argument("--price-prompt", type=_price, default=0.0, metavar="X", help=text)
    text = "of a million tokens that the annotator writes (default: 0)"
    parser.add_argument("--price-completion", type=_price, default=0.0, metavar="X", help=text)
    text = "of an hour of the machine that encodes and classifies (default: 0)"
    parser.add_argument("--price-hour", type=_price, default=0.0, metavar="X", help=text)
    text = "of an hour of the annotator's machine, where it is your own (default: 0)"
    parser.add_argument("--price-annotator-hour", type=_price, default=0.0, metavar="X", help=text)


def _report(args: Namespace) -> dict[str, Any]:
    from jmed_jax.corpus.quality import load_quality
    from jmed_jax.corpus.quality_measures import Prices, cost_per_million, verdict

    prices = Prices(args.price_prompt, args.price_completion, args.price_hour, args.price_annotator_hour)
    record = load_quality(args.quality).record
    cost = cost_per_million(record["per_million"], prices)
    _print_held_out(record["held_out"])
    print()
    _print_thresholds(record)
    print()
    _print_annotators(record)
    print()
    _print_cost(record, cost)
    print()
    lines = verdict(record, cost)
    print("\n".join(lines))
    return {**record, "cost": cost, "verdict": lines}


def _print_held_out(held_out: Mapping[str, Any]) -> None:
    baselines = held_out["baselines"]
    columns = (held_out, baselines["majority"], baselines["length"])
    names = ("accuracy", "balanced_accuracy", "roc_auc")
    rows = [(name.replace("_", " "), *(column.get(name) for column in columns)) for name in names]
    print_table((f"{held_out['documents']:,} held out", "classifier", "majority", "length alone"), rows)
    counts = held_out["confusion"]
    print()
    rows = [(f"labelled {label}", counts[f"{label}_kept"], counts[f"{label}_dropped"]) for label in ("high", "low")]
    print_table(("confusion at 0.5", "kept", "dropped"), rows)


def _print_thresholds(record: Mapping[str, Any]) -> None:
    names = ("dropped_documents", "dropped_characters", "low_caught", "high_lost", "dropped_low")
    documents = record["corpus"]["documents"]
    rows = [
        (f"{row['threshold']:.2f}", f"{row['dropped_documents'] * documents:,.0f}", *(_percent(row[n]) for n in names))
        for row in record["thresholds"]
    ]
    header = ("threshold", "documents dropped", "share", "of characters", "of low", "of high", "low among dropped")
    print_table(header, rows)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _print_annotators(record: Mapping[str, Any]) -> None:
    files = record["labels"]["files"]
    rows = [
        (file["file"], file["annotator"], *(file["labels"][name] for name in ("high", "low", "none")), file["attempts"])
        for file in files
    ]
    print_table(("labels", "annotator", "high", "low", "none", "attempts"), rows)
    for file in files:
        if file["malformed"]:
            print(f"malformed in {file['file']}: {in_words(file['malformed'])}")
    if record["agreement"]:
        print()
        rows = [
            (f"{row['a']}, {row['b']}", row["documents"], row["equal"], row["kappa"]) for row in record["agreement"]
        ]
        print_table(("agreement", "documents", "equal", "kappa"), rows)


def _print_cost(record: Mapping[str, Any], cost: Mapping[str, Any]) -> None:
    per_million = record["per_million"]
    rows = [
        (
            f"labels by {entry['annotator']}",
            f"{entry['seconds'] / 3600:,.1f}",
            f"{entry['prompt_tokens'] / 1e6:,.1f} M",
            f"{entry['completion_tokens'] / 1e6:,.1f} M",
            f"{priced['cost']:,.2f}",
        )
        for entry, priced in zip(per_million["annotation"], cost["annotation"], strict=True)
    ]
    ours = per_million["classification"]
    classification = (f"{ours['seconds'] / 3600:,.1f}", f"{ours['tokens'] / 1e6:,.1f} M", "-")
    rows.append(("classifier", *classification, f"{cost['classification']:,.2f}"))
    print_table(("a million documents", "hours", "tokens read", "tokens written", "cost"), rows)


# --- apply ------------------------------------------------------------------------------------------------------------


def _add_apply(group: Commands) -> None:
    parser = add_command(
        group,
        "apply",
        _apply,
        "Write a corpus without the documents that a classifier calls low quality",
        example="jmed corpus quality apply out/corpus --quality out/quality --encoder out/pretrain "
        "--out out/corpus-high",
    )
    _add_corpus(parser)
    text = "made by `jmed corpus quality train`"
    parser.add_argument("--quality", type=Path, required=True, metavar="DIR", help=text)
    add_encoder(parser)
    text = "keep documents of at least this probability of high quality (default: 0.5)"
    parser.add_argument("--threshold", type=_share, default=0.5, metavar="X", help=text)
    text = "sources that are judged; others stay whole (default: all)"
    parser.add_argument("--sources", type=_names, default=[], metavar="A,B", help=text)
    add_output(parser)


def _apply(args: Namespace) -> dict[str, Any]:
    from jmed_jax.corpus.quality_filter import apply_quality

    made = apply_quality(
        args.corpus,
        args.quality,
        open_encoder(args),
        args.out,
        threshold=args.threshold,
        sources=args.sources,
        overwrite=args.overwrite,
    )
    return report_artifact(made)
