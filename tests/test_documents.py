"""What README and the other documents name is there, and their commands are understood."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from jmed_jax.cli.arguments import Parser
from jmed_jax.cli.command import build_parser
from jmed_jax.cli.overrides import load_experiment, split_overrides
from tests.test_layout import FLOORS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "EXPERIMENTS.md",
    ROOT / "launch" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]

_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
_FILE = re.compile(r"(?<![\w/.])(?:configs|docs|launch|requirements|tests|tools)/[\w./-]*\w")


def commands(page: Path) -> Iterator[str]:
    """The `jmed` commands of a page's blocks, without comments and with their continued lines."""
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.partition(" #")[0].strip()
            if command.startswith("jmed "):
                yield command


COMMANDS = [(page, command) for page in PAGES for command in commands(page)]


def test_readme_walks_the_whole_way() -> None:
    ours = [command.split()[1] for page, command in COMMANDS if page.name == "README.md"]
    assert {"corpus", "dictionary", "tokenizer", "pack", "train", "evaluate", "export", "chat"} <= set(ours)


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda value: getattr(value, "name", value)[:60])
def test_a_command_is_understood(page: Path, command: str) -> None:
    own, overrides = split_overrides(shlex.split(command)[1:])
    arguments = build_parser().parse_args(own)
    if arguments.takes_overrides:
        load_experiment(ROOT / arguments.config, overrides)
    else:
        assert not overrides, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_files_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [link for link in _LINK.findall(text) if not (page.parent / link).exists()]
    missing += [name for name in _FILE.findall(text) if not (ROOT / name).exists() and not list(ROOT.glob(f"{name}*"))]
    assert not missing


def programs(parser: Parser) -> Iterator[str]:
    yield parser.prog
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from programs(child)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_within_the_text_exist(page: Path) -> None:
    known = set(programs(build_parser()))
    groups = {program.rpartition(" ")[0] for program in known}
    for words in re.findall(r"`jmed ([a-z]+)(?: ([a-z]+))?", page.read_text(encoding="utf-8")):
        program = f"jmed {words[0]}"
        assert program in known
        assert program not in groups or not words[1] or f"{program} {words[1]}" in known


def test_contributing_knows_the_floors() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("`", "")
    assert " → ".join(", ".join(floor) for floor in FLOORS) in " ".join(text.split())
