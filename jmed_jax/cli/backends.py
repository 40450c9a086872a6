"""Options that choose a model which answers or encodes: an endpoint, a Hugging Face directory, or one of ours."""

import argparse
from argparse import ArgumentTypeError, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jmed_jax.backends.protocol import Backend, Encoder
from jmed_jax.cli.arguments import Parser, positive
from jmed_jax.errors import InputError

if TYPE_CHECKING:
    from jmed_jax.backends.endpoint import Endpoint

ENDPOINT_HELP = "OpenAI-compatible server: http://HOST:PORT or https://HOST/v1"
# What only an export of ours has: its tokenizer, as Python code.
OUR_TOKENIZER_FILE = "tokenization_jmed.py"


def add_backend(parser: Parser) -> None:
    """`--endpoint` or `--model`, and what belongs to them."""
    group = parser.add_argument_group("the model that answers, one of --endpoint and --model")
    choice = group.add_mutually_exclusive_group()
    choice.add_argument("--endpoint", metavar="URL", help=ENDPOINT_HELP)
    choice.add_argument("--model", type=Path, metavar="DIR", help="a run, or a Hugging Face directory")
    group.add_argument("--endpoint-model", metavar="NAME", help="the model, as the server calls it")
    add_requests(group)


def add_requests(group: argparse._ArgumentGroup) -> None:
    """How an endpoint is asked."""
    text = 'environment variable that holds the API key (default: OPENAI_API_KEY if it is set; "" for none)'
    group.add_argument("--key-variable", metavar="NAME", help=text)
    text = "requests in flight (default: 8)"
    group.add_argument("--concurrency", type=positive, default=8, metavar="N", help=text)
    text = "of one request (default: 120)"
    group.add_argument("--timeout", type=_seconds, default=120.0, metavar="SECONDS", help=text)
    text = "how often a failing request is sent (default: 5)"
    group.add_argument("--attempts", type=positive, default=5, metavar="N", help=text)
    text = "budget: send no more than N requests, retries included"
    group.add_argument("--max-requests", type=positive, metavar="N", help=text)
    text = "budget: send nothing more once N tokens were read and written"
    group.add_argument("--max-tokens", type=positive, metavar="N", help=text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value


def open_backend(args: Namespace) -> Backend:
    """The model that the options of `add_backend` choose.

    Raises:
        InputError: there is none, or it cannot be opened.
    """
    if args.endpoint:
        if not args.endpoint_model:
            raise InputError("--endpoint needs --endpoint-model NAME, the model as the server calls it.")
        return open_endpoint(args, args.endpoint_model)
    if not args.model:
        raise InputError("no model: give --endpoint URL with --endpoint-model NAME, or --model DIR.")
    if args.endpoint_model or args.key_variable or args.max_requests or args.max_tokens:
        raise InputError("--endpoint-model, --key-variable, --max-requests and --max-tokens are for --endpoint.")
    if is_ours(args.model):
        from jmed_jax.language_model import load
        from jmed_jax.language_model.backend import OurModel

        return OurModel(load(args.model))

    from jmed_jax.backends.huggingface import HuggingFaceModel

    return HuggingFaceModel(args.model)


def open_endpoint(args: Namespace, model: str) -> "Endpoint":
    """The server at `--endpoint`, with the options of `add_requests`.

    Args:
        model: as the server calls it.
    """
    from jmed_jax.backends.endpoint import Endpoint

    return Endpoint(
        args.endpoint,
        model,
        key_variable=args.key_variable,
        concurrency=args.concurrency,
        timeout=args.timeout,
        attempts=args.attempts,
        max_requests=args.max_requests,
        max_tokens=args.max_tokens,
    )


def is_ours(path: Path) -> bool:
    """Whether a directory is a run of ours or an export of one."""
    from jmed_jax.train.run import RUN_FILE

    return (path / RUN_FILE).is_file() or (path / OUR_TOKENIZER_FILE).is_file()


def in_words(counts: Mapping[str, int]) -> str:
    """`1,000 requests, 998 answers, 2 HTTP 429`: the line that a command ends with."""
    return ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items() if count)


def add_encoder(parser: Parser) -> None:
    """`--encoder` and `--max-length`."""
    text = "a Hugging Face directory, or a run; its last hidden states are averaged"
    parser.add_argument("--encoder", type=Path, required=True, metavar="DIR", help=text)
    text = "tokens of a document that it looks at (default: 512)"
    parser.add_argument("--max-length", type=positive, default=512, metavar="N", help=text)


def open_encoder(args: Namespace) -> Encoder:
    """The encoder that the options of `add_encoder` choose.

    Raises:
        InputError: it cannot be opened.
    """
    if is_ours(args.encoder):
        from jmed_jax.language_model import load
        from jmed_jax.language_model.backend import OurEncoder

        return OurEncoder(load(args.encoder), max_length=args.max_length)

    from jmed_jax.backends.huggingface import HuggingFaceEncoder

    return HuggingFaceEncoder(args.encoder, max_length=args.max_length)
