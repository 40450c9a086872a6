"""`jmed tokenizer`: train, encode, decode, stats, report."""

import dataclasses
import json
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, Parser, add_command, add_group, add_output, add_tokenizer
from jmed_jax.cli.streams import print_table, report_artifact, texts_or_stdin
from jmed_jax.config import TokenizerConfig
from jmed_jax.errors import InputError


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = add_group(
        commands,
        "tokenizer",
        "Train and use a tokenizer",
        example="jmed tokenizer train --corpus out/corpus --dictionary out/dictionary --out out/tokenizer",
    )
    _add_train(group)
    _add_encode(group)
    _add_decode(group)
    _add_stats(group)
    _add_report(group)


# --- train ------------------------------------------------------------------------------------------------------------


def _add_train(group: Commands) -> None:
    parser = add_command(
        group,
        "train",
        _train,
        "Train a Unigram tokenizer over MeCab words",
        example="jmed tokenizer train --corpus out/corpus --dictionary out/dictionary --vocab-size 8192 "
        "--out out/tokenizer",
    )
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="made by `jmed corpus build`")
    text = "conversations whose messages are learned from too"
    parser.add_argument("--conversations", type=Path, nargs="+", default=[], metavar="FILE", help=text)
    text = "made by `jmed dictionary build`; ipadic alone if none"
    parser.add_argument("--dictionary", type=Path, metavar="DIR", help=text)
    _add_settings(parser)
    add_output(parser)


def _add_settings(parser: Parser) -> None:
    for field in dataclasses.fields(TokenizerConfig):
        name = "--" + field.name.replace("_", "-")
        default: Any = field.default
        parser.add_argument(name, type=type(default), default=default, metavar="N", help=f"(default: {default})")


def _train(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free, file_sha256, open_artifact
    from jmed_jax.corpus.documents import iter_corpus
    from jmed_jax.tokenizer.tokenizer import train_tokenizer

    check_free(args.out, args.overwrite)
    names = [field.name for field in dataclasses.fields(TokenizerConfig)]
    config = TokenizerConfig(**{name: getattr(args, name) for name in names})
    inputs = {"corpus": open_artifact(args.corpus, "corpus", verify_hashes=False).fingerprint}
    contents = list(_contents(args.conversations))
    inputs |= {f"conversations {path.name}": file_sha256(path) for path in args.conversations}
    tokenizer = train_tokenizer(
        chain(iter_corpus(args.corpus), contents),
        config,
        args.out,
        dictionary=args.dictionary,
        inputs=inputs,
        overwrite=args.overwrite,
    )
    return report_artifact(tokenizer)


def _contents(conversations: Sequence[Path]) -> Iterator[str]:
    from jmed_jax.data.pack import read_conversations

    for place, messages in read_conversations(conversations):
        for message in messages:
            if not isinstance(message.get("content"), str):
                raise InputError(f'{place}: a message has no "content" text.')
            yield message["content"]


# --- use --------------------------------------------------------------------------------------------------------------


def _add_encode(group: Commands) -> None:
    parser = add_command(
        group,
        "encode",
        _encode,
        "Print the ids of texts, a line each",
        example='jmed tokenizer encode --tokenizer out/tokenizer --pieces "主訴は発熱。"',
    )
    add_tokenizer(parser)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="without any, lines of standard input")
    parser.add_argument("--pieces", action="store_true", help="print the pieces too, behind a tab")


def _encode(args: Namespace) -> dict[str, Any]:
    from jmed_jax.tokenizer.load import load_tokenizer

    tokenizer = load_tokenizer(args.tokenizer)
    rows = []
    for text in texts_or_stdin(args.texts):
        ids = tokenizer.encode(text)
        pieces = [tokenizer.token(index).replace("\n", "\\n") for index in ids] if args.pieces else None
        print(" ".join(map(str, ids)) + ("\t" + " ".join(pieces) if pieces is not None else ""))
        if args.json:
            rows.append({"ids": ids} if pieces is None else {"ids": ids, "pieces": pieces})
    return {"texts": rows}


def _add_decode(group: Commands) -> None:
    parser = add_command(
        group,
        "decode",
        _decode,
        "Print the text of ids",
        example="jmed tokenizer decode --tokenizer out/tokenizer 512 87 9",
    )
    add_tokenizer(parser)
    text = "of one text; without any, each line of standard input is a text"
    parser.add_argument("ids", nargs="*", metavar="ID", help=text)


def _decode(args: Namespace) -> dict[str, Any]:
    from jmed_jax.tokenizer.load import load_tokenizer

    tokenizer = load_tokenizer(args.tokenizer)
    texts = []
    for number, line in enumerate(texts_or_stdin([" ".join(args.ids)] if args.ids else []), start=1):
        place = "the command line" if args.ids else f"standard input:{number}"
        texts.append(tokenizer.decode(_parse_ids(line, tokenizer.vocab_size, place)))
        print(texts[-1])
    return {"texts": texts}


def _parse_ids(line: str, vocab_size: int, place: str) -> list[int]:
    for word in line.split():
        if not (word.isascii() and word.isdecimal() and int(word) < vocab_size):
            raise InputError(f"{place}: {word!r} is no token id; they are whole numbers below {vocab_size}.")
    return [int(word) for word in line.split()]


def _add_stats(group: Commands) -> None:
    parser = add_command(
        group,
        "stats",
        _stats,
        "Measure how well a tokenizer fits texts",
        example="jmed tokenizer stats --tokenizer out/tokenizer out/corpus",
    )
    add_tokenizer(parser)
    text = ".jsonl or .txt file, or a corpus made by `jmed corpus build`"
    parser.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help=text)
    parser.add_argument("--text-field", default="text", metavar="NAME", help="of a JSON object (default: text)")


def _stats(args: Namespace) -> dict[str, Any]:
    from jmed_jax.tokenizer.report import tokenizer_stats
    from jmed_jax.tokenizer.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(args.tokenizer)
    stats = tokenizer_stats(tokenizer, texts_of(args.sources, args.text_field))
    print_table(("", "value"), list(stats.items()))
    return stats


def texts_of(sources: Iterable[Path], text_field: str) -> Iterator[str]:
    """Yield the texts of files and of corpora made by `jmed corpus build`, one after the other."""
    return chain.from_iterable(_texts(source, text_field) for source in sources)


def _texts(source: Path, text_field: str) -> Iterator[str]:
    from jmed_jax.artifact import MANIFEST
    from jmed_jax.corpus.documents import iter_corpus
    from jmed_jax.corpus.sources import iter_texts

    return iter_corpus(source) if (source / MANIFEST).is_file() else iter_texts(source, text_field=text_field)


# --- report -----------------------------------------------------------------------------------------------------------

PLAIN_MODEL = "plain.model"


def _add_report(group: Commands) -> None:
    parser = add_command(
        group,
        "report",
        _report,
        "Compare a tokenizer with a plain Unigram and with Qwen2's on held-out general and medical text",
        example="jmed tokenizer report --tokenizer out/tokenizer --train-plain out/corpus --qwen qwen2/ "
        "--terms out/dictionary --general held-out-news.jsonl --medical held-out-records.jsonl --out out/report",
    )
    add_tokenizer(parser)
    plain = parser.add_mutually_exclusive_group()
    text = "an earlier report, whose plain Unigram (sentencepiece's, without MeCab) is used again"
    plain.add_argument("--plain", type=Path, metavar="DIR", help=text)
    text = "train one of the same vocabulary on these, which should be the tokenizer's own training texts"
    plain.add_argument("--train-plain", type=Path, nargs="+", metavar="SOURCE", help=text)
    text = "tokenizer of Qwen2: a directory with vocab.json and merges.txt"
    parser.add_argument("--qwen", type=Path, metavar="DIR", help=text)
    for name in ("general", "medical"):
        text = f"{name} text: files or corpora that no tokenizer was trained on, for there it looks too good"
        parser.add_argument(f"--{name}", type=Path, nargs="+", metavar="SOURCE", required=True, help=text)
    parser.add_argument("--text-field", default="text", metavar="NAME", help="of a JSON object (default: text)")
    text = "made by `jmed dictionary build`: also count its terms that are one token"
    parser.add_argument("--terms", type=Path, metavar="DIR", help=text)
    add_output(parser)


def _report(args: Namespace) -> dict[str, Any]:
    from jmed_jax import artifact
    from jmed_jax.page.tokenizer_chart import draw_tokenizer_report
    from jmed_jax.tokenizer.load import load_tokenizer
    from jmed_jax.tokenizer.plain import train_plain_unigram
    from jmed_jax.tokenizer.report import (
        our_encoder,
        plain_encoder,
        pretrained_encoder,
        qwen_encoder,
        tokenizer_report,
    )
    from jmed_jax.tokenizer.tokenizer import Tokenizer

    artifact.check_free(args.out, args.overwrite)
    tokenizer = load_tokenizer(args.tokenizer)
    encoders = [our_encoder(tokenizer) if isinstance(tokenizer, Tokenizer) else pretrained_encoder(tokenizer)]
    if args.qwen:
        encoders.append(qwen_encoder(args.qwen))
    with artifact.create(args.out, "tokenizer_report", _sources(args), overwrite=args.overwrite) as draft:
        draft.inputs["tokenizer"] = tokenizer.fingerprint
        if args.train_plain:
            config = TokenizerConfig(**artifact.open_artifact(args.tokenizer, "tokenizer").config)
            train_plain_unigram(texts_of(args.train_plain, args.text_field), config, draft.path / PLAIN_MODEL)
        if args.train_plain or args.plain:
            encoders.insert(1, plain_encoder((args.plain or draft.path) / PLAIN_MODEL))
        general, medical = (texts_of(sources, args.text_field) for sources in (args.general, args.medical))
        report = tokenizer_report(encoders, general, medical, args.terms)
        (draft.path / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", "utf-8")
        draw_tokenizer_report(report, [draft.path / "report.svg", draft.path / "report.png"])
    _print_report(report)
    print(f"\n{args.out}: report.json, report.svg, report.png")
    return {"out": str(args.out), **report}


def _sources(args: Namespace) -> dict[str, Any]:
    """The names of what was measured, for the manifest."""
    return {name: [path.name for path in getattr(args, name)] for name in ("general", "medical")}


def _print_report(report: Mapping[str, Any]) -> None:
    names = list(report["tokenizers"])
    for part in ("general", "medical"):
        text = report[part]
        size = f"{part}: {text['documents']:,} documents, {text['characters']:,} characters, {text['words']:,} words"
        measures = [measure for measure in text["tokenizers"][names[0]] if measure != "tokens"]
        rows = [(measure, *(text["tokenizers"][name][measure] for name in names)) for measure in measures]
        print_table((size, *names), rows)
        print()
    if report["terms"]:
        rows = [
            (f"{kind}, {label} ({entry['terms']:,})", *(entry["tokenizers"][name]["one_token"] for name in names))
            for part, label in (("listed", "listed"), ("in_text", "in medical text"))
            for kind, entry in report["terms"][part].items()
        ]
        print_table(("terms that are one token", *names), rows)
