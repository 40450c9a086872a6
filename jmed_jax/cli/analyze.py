"""`jmed analyze`: a look inside a model."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.analyze_attention import add_attention
from jmed_jax.cli.analyze_embeddings import add_embeddings
from jmed_jax.cli.analyze_losses import add_loss
from jmed_jax.cli.arguments import Commands, Parser, add_command, add_group, add_model, positive
from jmed_jax.cli.streams import print_table

if TYPE_CHECKING:
    from jmed_jax.analysis.embeddings import Term


def add_analyze(commands: Commands) -> None:
    """Add `jmed analyze`."""
    group = add_group(
        commands,
        "analyze",
        "Look inside a model",
        example="jmed analyze tokens --model out/pretrain --nearest 肺炎",
    )
    _add_neighbours(group)
    add_embeddings(group)
    add_attention(group)
    add_loss(group)


# --- neighbours, analogies --------------------------------------------------------------------------------------------


def _add_neighbours(group: Commands) -> None:
    parser = add_command(
        group,
        "tokens",
        _tokens,
        "Tokens whose embeddings are nearest to a term's",
        example="jmed analyze tokens --model out/pretrain --nearest 肺炎",
    )
    _add_choice(parser)
    parser.add_argument("--nearest", required=True, metavar="TERM", help="its vector is the mean over its tokens")

    parser = add_command(
        group,
        "analogy",
        _analogy,
        "Tokens nearest to a sum of terms",
        example="jmed analyze analogy --model out/pretrain 脳出血 - 脳 + 消化管",
    )
    _add_choice(parser)
    text = "terms with + and - between them, as words of their own"
    parser.add_argument("expression", nargs="+", metavar="TERM", help=text)


def _add_choice(parser: Parser) -> None:
    add_model(parser)
    text = "choose among these terms, one a line, instead of the vocabulary"
    parser.add_argument("--candidates", type=Path, metavar="FILE", help=text)
    parser.add_argument("--count", type=positive, default=10, metavar="N", help="how many to show (default: 10)")


def _tokens(args: Namespace) -> dict[str, Any]:
    from jmed_jax.analysis.embeddings import Term

    return {"nearest": args.nearest, "neighbours": _neighbours(args, [Term(1, args.nearest)])}


def _analogy(args: Namespace) -> dict[str, Any]:
    from jmed_jax.analysis.embeddings import parse_analogy

    expression = " ".join(args.expression)
    return {"analogy": expression, "neighbours": _neighbours(args, parse_analogy(expression))}


def _neighbours(args: Namespace, terms: "Sequence[Term]") -> list[dict[str, Any]]:
    from jmed_jax.analysis.embeddings import TokenEmbeddings
    from jmed_jax.jsonl import read_lines
    from jmed_jax.language_model import load

    among = [line for _, line in read_lines(args.candidates) if line.strip()] if args.candidates else None
    embeddings = TokenEmbeddings.of(load(args.model))
    vector = embeddings.combine(terms)
    found = embeddings.nearest(vector, args.count, exclude={term.text for term in terms}, among=among)
    print_table(("text", "cosine"), found)
    return [neighbour._asdict() for neighbour in found]
