import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from jmed_jax.cli import main
from jmed_jax.cli.arguments import Parser
from jmed_jax.cli.command import build_parser
from jmed_jax.cli.overrides import split_overrides

GROUPS = ("data", "corpus", "dictionary", "tokenizer", "evaluate", "export", "import", "analyze")
PLAIN = ("quickstart", "pack", "train", "plan", "generate", "chat")


def parsers(parser: Parser) -> Iterator[Parser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


ALL = list(parsers(build_parser()))
LEAVES = [parser for parser in ALL if parser.get_default("handler")]


def test_every_command_of_the_contract_is_there() -> None:
    top = {parser.prog.split()[1] for parser in ALL if " " in parser.prog}
    assert top == {*GROUPS, *PLAIN}


@pytest.mark.parametrize("parser", ALL, ids=lambda parser: parser.prog)
def test_help_shows_an_example_that_is_understood(parser: Parser) -> None:
    text = parser.format_help()
    _, _, examples = text.partition("Example:\n")
    lines = [line.strip() for line in examples.partition("\n\n")[0].splitlines()]
    assert lines
    for line in lines:
        if line.startswith("jmed "):
            own, _ = split_overrides(shlex.split(line.partition(" <")[0])[1:])
            build_parser().parse_args(own)


@pytest.mark.parametrize("parser", LEAVES, ids=lambda parser: parser.prog)
def test_every_command_takes_json_and_debug(parser: Parser) -> None:
    assert {"--json", "--debug"} <= parser._option_string_actions.keys()
    assert ("--out" in parser._option_string_actions) == ("--overwrite" in parser._option_string_actions)


def test_help_imports_no_jax_and_takes_less_than_a_second() -> None:
    commands = [parser.prog.split()[1:] for parser in ALL]
    code = (
        "import sys, time\n"
        "from jmed_jax.cli import main\n"
        "codes = [main(['--help'])]\n"
        # Of the processor: other processes must not fail this.
        "print(time.process_time(), file=sys.stderr)\n"
        f"codes += [main([*command, '--help']) for command in {commands}]\n"
        "assert set(codes) == {0}, codes\n"
        "assert not {'jax', 'numpy', 'transformers', 'tyro'} & sys.modules.keys()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(result.stderr) < 1.0


def test_the_module_is_the_command() -> None:
    result = subprocess.run([sys.executable, "-m", "jmed_jax", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("jmed_jax ")


def test_without_a_command_the_error_points_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "error: the following arguments are required: COMMAND. See jmed --help.\n"
