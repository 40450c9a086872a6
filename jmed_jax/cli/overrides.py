"""A configuration file with fields changed on the command line, through tyro."""

import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from jmed_jax.config import ExperimentConfig, load_config, to_dict
from jmed_jax.errors import InputError
from jmed_jax.progress import say

_FIELD = re.compile(r"--(name|[a-z_]+\.[\w-]+)(=.*)?", re.DOTALL)
# What tyro draws around its messages, on terminals and elsewhere.
_FRAME = " \t-─│╭╮╰╯"


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arguments of ours, and `--section.field value` with its value, wherever it stands before a `--`."""
    own: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest and rest[0] != "--":
        argument = rest.pop(0)
        field = _FIELD.fullmatch(argument)
        (overrides if field else own).append(argument)
        if field and field[2] is None and rest and not rest[0].startswith("--"):
            overrides.append(rest.pop(0))
    return own + rest, overrides


def load_experiment(path: Path, overrides: Sequence[str]) -> ExperimentConfig:
    """The configuration of a file, with overrides.

    Raises:
        InputError: the file is none or fails, a field does not exist, or a value does not fit.
    """
    config = load_config(path, ExperimentConfig)
    return _override(config, overrides) if overrides else config


def _override(config: ExperimentConfig, overrides: Sequence[str]) -> ExperimentConfig:
    import tyro

    console = io.StringIO()
    try:
        with contextlib.redirect_stderr(console), _wide_terminal():
            return tyro.cli(ExperimentConfig, default=config, args=_spread(config, overrides), add_help=False)
    except SystemExit as error:
        raise InputError(_one_line(console.getvalue())) from error


@contextlib.contextmanager
def _wide_terminal() -> Iterator[None]:
    """tyro breaks its lines where a terminal ends, within a list of names too; ours are put together again."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _spread(config: ExperimentConfig, overrides: Sequence[str]) -> list[str]:
    """`--lora.targets q_proj,v_proj` as tyro reads it: a value an argument."""
    spread: list[str] = []
    several = False
    for argument in overrides:
        if argument.startswith("--"):
            name, equals, value = argument.partition("=")
            section, _, field = name.removeprefix("--").replace("-", "_").partition(".")
            several = isinstance(getattr(getattr(config, section, None), field, None), tuple) if field else False
            spread += [name, *value.split(",")] if several and equals else [argument]
        else:
            spread += argument.split(",") if several else [argument]
    return spread


def _one_line(boxed: str) -> str:
    """The message in what tyro prints: a title, the message up to a rule, and help that we leave out."""
    lines = [line.strip(_FRAME) for line in boxed.splitlines()]
    start = next(number for number, line in enumerate(lines) if line) + 1
    body = lines[start:]
    while body and not body[0]:
        body.pop(0)
    end = body.index("") if "" in body else len(body)
    message = " ".join(body[:end])
    # A check of the configuration already names the field.
    message = re.sub(r"^Error parsing (?!-)\w+: ", "", message)
    return f"{message.rstrip('.')}."


def echo(config: ExperimentConfig) -> None:
    """Print the complete configuration to standard error, a line a section."""
    for name, section in to_dict(config).items():
        fields = section.items() if isinstance(section, dict) else [("", section)]
        say(f"{name:<10} " + " ".join(f"{field}={value!r}".lstrip("=") for field, value in fields))
