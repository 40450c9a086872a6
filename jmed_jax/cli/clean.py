"""`jmed corpus clean`: the cleaning as a filter, and what each of its steps did."""

from argparse import ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jmed_jax.cli.arguments import Commands, add_command
from jmed_jax.cli.streams import stdin_lines
from jmed_jax.errors import InputError


def add_clean(group: Commands) -> None:
    """Add `clean` to the commands of `jmed corpus`."""
    parser = add_command(
        group,
        "clean",
        _clean,
        "Clean text line by line, from a file or standard input to standard output",
        example="zcat notes.txt.gz | jmed corpus clean > clean.txt\n"
        "jmed corpus clean notes.txt --personal-data patient_id,postal_code\n"
        "echo '３８．５°Ｃ' | jmed corpus clean --explain",
    )
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="plain, .gz or .zst; standard input if none")
    text = (
        "remove these too, separated by commas: postal_code, my_number, insurance_card, patient_id, identity_document"
    )
    parser.add_argument("--personal-data", type=_kinds, default=(), metavar="KIND[,KIND]", help=text)
    text = "print every line as it came and, below it, what each step that changed it made of it"
    parser.add_argument("--explain", action="store_true", help=text)


def _kinds(text: str) -> tuple[str, ...]:
    from jmed_jax.corpus.personal_data import check_kinds

    kinds = tuple(text.split(","))
    try:
        check_kinds(kinds)
    except InputError as error:
        raise ArgumentTypeError(str(error).rstrip(".")) from error
    return kinds


def _clean(args: Namespace) -> dict[str, Any]:
    from jmed_jax.corpus.personal_data import clean_document

    count = 0
    removed: Counter[str] = Counter()
    for line in _file_lines(args.file) if args.file else stdin_lines():
        cleaned, found = clean_document(line, args.personal_data)
        count += 1
        removed += found
        print("\n".join(_explained(line, cleaned, found)) if args.explain else cleaned)
    return {"lines": count, "personal_data": dict(removed)}


def _explained(line: str, cleaned: str, found: Counter[str]) -> Sequence[str]:
    from jmed_jax.corpus.personal_data import KINDS
    from jmed_jax.tokenizer.clean import explain

    changes = explain(line)
    kinds = [kind for kind in KINDS if found[kind]]
    if kinds:
        changes.append((f"personal data removed ({', '.join(kinds)})", cleaned))
    return [line, *(f"  {step}: {text}" for step, text in changes)]


def _file_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file without their ends, holding one at a time.

    Raises:
        InputError: the file is missing, a line is not UTF-8 or too long, or the compression is broken; names the line.
    """
    from jmed_jax.jsonl import NUL_BYTES, salvage_lines

    def report(fault: str, number: int) -> None:
        # NUL bytes are not among the characters that cleaning leaves anyway.
        if fault != NUL_BYTES:
            raise InputError(f"{path}:{number}: {fault}. Mend the file or write it again.")

    for number, line in salvage_lines(path, report):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{number}: not UTF-8 ({error.reason}). Convert it first.") from error
