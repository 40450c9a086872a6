"""The house stands in floors: a room imports only from rooms below it (see DESIGN.md, README)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jmed_jax"

# Top to bottom; rooms on one floor do not know each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("quickstart", "harness"),
    ("plan", "page", "analysis"),
    ("instruct",),
    ("language_model", "evaluate"),
    ("train",),
    ("data", "generate", "convert"),
    ("corpus", "sample", "fetch"),
    ("tokenizer", "backends"),
    ("models", "parallel", "journal"),
    ("artifact", "jsonl", "progress", "config", "hardware"),
    ("errors",),
    ("__init__",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def rooms_imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of every import of our own package, inside functions too; imports for types alone count as well."""
    package = ["jmed_jax", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "jmed_jax":
                room = parts[1] if len(parts) > 1 and parts[1] in rooms() else "__init__"
                yield node.lineno, room


def rooms() -> set[str]:
    return {room_of(path) for path in modules()}


def test_every_room_has_a_floor() -> None:
    assert rooms() <= FLOOR_OF.keys(), "give new rooms a floor in FLOORS"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_from_below(path: Path) -> None:
    room = room_of(path)
    # The package itself imports LanguageModel lazily, for type checkers.
    if room == "__init__":
        return
    upwards = [
        f"{path.relative_to(ROOT)}:{line} imports {other}"
        for line, other in rooms_imported(path)
        if other != room and FLOOR_OF[other] <= FLOOR_OF[room]
    ]
    assert not upwards


def test_a_folder_of_tests_stands_for_every_folder_of_the_package() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders <= {path.name for path in (ROOT / "tests").iterdir()}


def imported_with(*names: str) -> set[str]:
    """Top-level modules in memory after a fresh interpreter has imported the given ones."""
    code = f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


def test_importing_the_package_imports_no_heavy_library() -> None:
    assert not imported_with("jmed_jax") & {"jax", "flax", "numpy", "torch", "transformers", "grain"}


def test_corpus_and_tokenizer_import_no_jax() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in ("corpus", "tokenizer")
        for path in sorted((PACKAGE / room).glob("*.py"))
        # It stands in a Hugging Face directory, beside transformers.
        if path.stem not in ("__init__", "tokenization_jmed")
    ]
    assert not imported_with(*names) & {"jax", "flax", "torch"}
