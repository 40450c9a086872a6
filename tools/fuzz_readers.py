"""Damage valid files in every way that files get damaged, and see that every reader answers in one clear line.

    python tools/fuzz_readers.py --minutes 10 [--seed N] [--only NAME]

A reader must return text that can be written, or raise `InputError` with one line, within `LIMIT_S` and `LIMIT_BYTES`;
and it must leave nothing behind. Whatever else happens is printed once for each place where it happens, with the seed
that makes it happen again (`--seed N --only NAME --minutes 0`); what ends the process itself is shown by the
interpreter's fault handler.
"""

import argparse
import faulthandler
import fnmatch
import io
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import fields, is_dataclass
from pathlib import Path

from fuzz_binary import binary_readers
from fuzz_files import Reader, write
from fuzz_text import text_readers

from jmed_jax.errors import InputError
from jmed_jax.jsonl import SURROGATES

LIMIT_S = 20
"""For the smallest files: a reader that takes longer would stand still for ever on a user's."""
LIMIT_BYTES = 8 << 30
"""More memory than has been taken at the start: a file of a few hundred bytes needs none of it."""


def readers() -> list[Reader]:
    """Every reader of a user's files."""
    return [*text_readers(), *binary_readers()]


class _Hangs(BaseException):
    """No `OSError` as TimeoutError is, which a reader may turn into a line of its own."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _Hangs(f"longer than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _limit_memory() -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + LIMIT_BYTES, resource.RLIM_INFINITY))


def try_once(reader: Reader, seed: int, folder: Path) -> str | None:
    """What is wrong with how the reader takes the damaged files; None if nothing is."""
    generator = random.Random(seed)
    damaged, files = reader.damaged(generator)
    write(files, folder)
    if generator.random() < 0.03:
        (folder / damaged).unlink()
    elif generator.random() < 0.02:
        (folder / damaged).unlink()
        (folder / damaged).mkdir()
    there = set(folder.rglob("*"))
    try:
        # What a reader says beside is not looked at.
        with _limited(), redirect_stderr(io.StringIO()):
            read = reader.read(folder)
    except InputError as error:
        if "\n" in str(error):
            return f"more than one line: {str(error)!r}"
        read = None
    except KeyboardInterrupt:
        raise
    # A panic of Rust's is no Exception.
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {str(error)[:120]}"
    if bad := next((text for text in _texts(read) if SURROGATES.search(text)), None):
        return f"text that has no UTF-8: {bad[:120]!r}"
    left = set(folder.rglob("*")) - there
    return f"left behind: {sorted(path.name for path in left)}" if left and not reader.writes else None


def read_valid(chosen: list[Reader]) -> None:
    """Undamaged files first: imports, which take as long as the machine is busy, are behind us then."""
    for reader in chosen:
        with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder:
            write(reader.valid(), Path(folder))
            reader.read(Path(folder))


def _texts(value: object) -> Iterator[str]:
    """Every text in what a reader returned."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _texts(inner)
    elif is_dataclass(value):
        yield from _texts([getattr(value, one.name) for one in fields(value)])


def fuzz(chosen: list[Reader], seeds: Iterator[int], until: Callable[[], bool]) -> dict[str, str]:
    """Readers in turn, a seed each, until it is time; place of a fault → reader, seed and fault."""
    faults: dict[str, str] = {}
    while True:
        for reader in chosen:
            seed = next(seeds)
            folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
            try:
                fault = try_once(reader, seed, folder)
            finally:
                # The journal removes its folder where it holds no answer.
                shutil.rmtree(folder, ignore_errors=True)
            if fault is not None:
                place = f"{reader.name}: {fault.partition(': ')[0]}"
                if place not in faults:
                    faults[place] = f"{reader.name} (seed {seed}): {fault}"
                    print(faults[place], flush=True)
        if until():
            return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first damage; each further one has the next")
    parser.add_argument("--only", metavar="NAME", default="*", help="a reader, or several: source*")
    arguments = parser.parse_args()
    chosen = [reader for reader in readers() if fnmatch.fnmatchcase(reader.name, arguments.only)]
    read_valid(chosen)
    _limit_memory()
    faulthandler.enable()
    end = time.monotonic() + 60 * arguments.minutes
    count = 0

    def seeds() -> Iterator[int]:
        nonlocal count
        while True:
            count += 1
            yield arguments.seed + count - 1

    faults = fuzz(chosen, seeds(), lambda: time.monotonic() >= end)
    print(f"{count:,} damaged files, {len(chosen)} readers, {len(faults)} kinds of fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
