"""What the commands' arguments have in common."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, cast

from jmed_jax.errors import InputError

Handler = Callable[[argparse.Namespace], dict[str, Any]]
"""Prints a result for people and returns it as one JSON object."""


# The epilog keeps its lines; names of commands and options have room beside their help.
_HELP_FORMAT = cast(type[argparse.HelpFormatter], partial(argparse.RawDescriptionHelpFormatter, max_help_position=28))


class Parser(argparse.ArgumentParser):
    """An argument parser whose usage errors are `InputError`s of one line."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_HELP_FORMAT, **settings)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. See {self.prog} --help.")


# argparse's own name for what add_subparsers returns is private.
Commands = Any


def add_group(commands: Commands, name: str, summary: str, *, example: str) -> Commands:
    """A command that only holds subcommands, as `jmed corpus`."""
    parser = commands.add_parser(name, help=summary, description=summary, epilog=f"Example:\n  {example}")
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def add_command(
    commands: Commands, name: str, handler: Handler, summary: str, *, example: str, takes_overrides: bool = False
) -> Parser:
    """A command that does something.

    Args:
        example: command lines that the help shows, one a line.
        takes_overrides: `--section.field value` is understood.
    """
    parser: Parser = commands.add_parser(name, help=summary, description=summary, epilog=_examples(example))
    return _prepared(parser, handler, takes_overrides)


def script(handler: Handler, summary: str, *, example: str) -> Parser:
    """The parser of a script of its own, which `command.run` runs as it does a command."""
    return _prepared(Parser(description=summary, epilog=_examples(example)), handler, takes_overrides=False)


def _examples(lines: str) -> str:
    return "Example:" + "".join(f"\n  {line}" for line in lines.splitlines())


def _prepared(parser: Parser, handler: Handler, takes_overrides: bool) -> Parser:
    parser.set_defaults(handler=handler, takes_overrides=takes_overrides)
    parser.add_argument("--json", action="store_true", help="make the last line of the output one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_output(parser: Parser, *, metavar: str = "DIR", default: Path | None = None) -> None:
    """`--out` and `--overwrite`."""
    text = f"what to write (default: {default})" if default else "what to write"
    parser.add_argument("--out", type=Path, metavar=metavar, default=default, required=default is None, help=text)
    parser.add_argument("--overwrite", action="store_true", help="replace what stands there already")


def add_model(parser: Parser) -> None:
    """`--model`."""
    parser.add_argument("--model", type=Path, metavar="DIR", required=True, help="a run or a Hugging Face directory")


def add_tokenizer(parser: Parser) -> None:
    """`--tokenizer`."""
    text = "made by `jmed tokenizer train`"
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", required=True, help=text)


def add_prompts(parser: Parser) -> None:
    """`--prompts`."""
    text = "wording of the questions, instead of the package's own"
    parser.add_argument("--prompts", type=Path, metavar="FILE", help=text)


def add_seed(parser: Parser) -> None:
    """`--seed`, of what is drawn."""
    parser.add_argument("--seed", type=int, default=0, help="of the drawing (default: 0)")


def positive(text: str) -> int:
    """A whole number from 1, for argparse's `type`."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")


def key_value(text: str) -> tuple[str, str]:
    """`NAME=VALUE`, for argparse's `type`."""
    name, equals, value = text.partition("=")
    if name and equals:
        return name, value
    raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
