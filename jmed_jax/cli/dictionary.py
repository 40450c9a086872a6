"""`jmed dictionary`: term lists to a MeCab user dictionary, and what that does to text."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, add_command, add_group, add_output, add_seed, positive
from jmed_jax.cli.streams import print_table, report_artifact

# Of the most frequent changes.
EXAMPLES = 10


def add_dictionary(commands: Commands) -> None:
    """Add the commands of this module."""
    group = add_group(
        commands,
        "dictionary",
        "Compile term lists for MeCab, and see what they do to text",
        example="jmed dictionary build lists/ --out out/dictionary",
    )
    _add_build(group)
    _add_check(group)


# --- build ------------------------------------------------------------------------------------------------------------


def _add_build(group: Commands) -> None:
    parser = add_command(
        group,
        "build",
        _build,
        "Compile disease and drug names into a MeCab user dictionary",
        example="jmed dictionary build MANBYO_202106.csv terms.txt --reliability C --out out/dictionary",
    )
    text = (
        "published term list, .txt of a term a line, or a directory of them; ordinary words get no entry and are noted "
        "in conflicts.tsv: those of ipadic, and in lists of neither diseases nor drugs (a .txt says so in its name) "
        "those under 4 characters or with hiragana or digits"
    )
    parser.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help=text)
    text = "last level of MANBYO to take: S, A, B, C (coded by people), D, E, F (by machine) (default: E)"
    parser.add_argument("--reliability", default="E", metavar="LEVEL", help=text)
    parser.add_argument("--encoding", metavar="NAME", help="of lists that are not UTF-8, e.g. cp932")
    add_output(parser)


def _build(args: Namespace) -> dict[str, Any]:
    from jmed_jax.tokenizer.dictionary import CONFLICTS_FILE, build_dictionary

    built = build_dictionary(
        args.sources,
        args.out,
        reliability=args.reliability,
        encoding=args.encoding,
        overwrite=args.overwrite,
    )
    result = report_artifact(built)
    problems = built.counts["problems"]
    if problems:
        print_table((f"noted in {args.out / CONFLICTS_FILE}", "names"), list(problems.items()))
    return result


# --- check ------------------------------------------------------------------------------------------------------------


def _add_check(group: Commands) -> None:
    parser = add_command(
        group,
        "check",
        _check,
        "Measure whether terms stay whole in sentences, and which words of a text change against ipadic alone",
        example="jmed dictionary check --terms-per-kind 4000 out/dictionary novels.txt laws.jsonl.gz",
    )
    parser.add_argument("dictionary", type=Path, metavar="DIR", help="made by `jmed dictionary build`")
    text = "ordinary text that should not change: .jsonl or .txt, plain, .gz or .zst, or a corpus"
    parser.add_argument("texts", type=Path, nargs="*", metavar="TEXT", help=text)
    parser.add_argument("--text-field", default="text", metavar="NAME", help="of a JSON object (default: text)")
    text = "terms drawn of each kind (default: 1000)"
    parser.add_argument("--terms-per-kind", type=positive, default=1000, metavar="N", help=text)
    add_seed(parser)


def _check(args: Namespace) -> dict[str, Any]:
    from jmed_jax.cli.tokenizer import texts_of
    from jmed_jax.tokenizer.dictionary_check import as_json, check_terms, check_texts

    terms = check_terms(args.dictionary, terms_per_kind=args.terms_per_kind, seed=args.seed)
    texts = check_texts(args.dictionary, texts_of(args.texts, args.text_field)) if args.texts else None
    result = as_json(terms, texts, examples=EXAMPLES)
    _print_terms(result["terms"])
    if texts is not None:
        _print_texts(result["texts"])
    return result


def _print_terms(terms: Mapping[str, Mapping[str, Any]]) -> None:
    names = ("sentences", "whole", "part_of_a_longer_word", "broken", "whole_with_ipadic_alone")
    header = ("terms in sentences", *(name.replace("_", " ") for name in names))
    print_table(header, [(kind, *(row[name] for name in names)) for kind, row in terms.items()])
    for kind, row in terms.items():
        _print_examples(f"broken most often ({kind})", row["most_broken"])


def _print_texts(texts: Mapping[str, Any]) -> None:
    print()
    names = ("characters", "words", "boundaries_joined", "boundaries_split")
    print_table(("text against ipadic alone", ""), [(name.replace("_", " "), texts[name]) for name in names])
    _print_examples("joined most often", texts["most_joined"])
    _print_examples("split most often", texts["most_split"])


def _print_examples(title: str, examples: Mapping[str, int]) -> None:
    if examples:
        print(f"\n{title}:")
        for example, count in examples.items():
            print(f"  {count:>6}  {example}")
