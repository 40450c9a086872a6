"""`jmed data list`, `fetch` and `verify`: public sets from their own homes."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, Parser, add_command
from jmed_jax.errors import InputError
from jmed_jax.progress import say

if TYPE_CHECKING:
    from jmed_jax.fetch.catalogue import DataSet

DEFAULT_FOLDER = Path("data")


def add_fetch(group: Commands) -> None:
    """Add the commands of this module to `jmed data`."""
    parser = add_command(
        group,
        "list",
        _list,
        "Show the public sets that can be fetched, their licences, and which are here",
        example="jmed data list --data data",
    )
    _add_data(parser)

    parser = add_command(
        group,
        "fetch",
        _fetch,
        "Fetch public sets from their own homes, pinned by commit, after their licences are accepted",
        example="jmed data fetch igakuqa jmed_llm --data data\n"
        "jmed data fetch all --data data --accept-licenses --mirror https://mirror.example.org/jmed",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="sets of `jmed data list`, or all")
    _add_data(parser)
    text = "the licences, which are shown, are accepted; without this a question is asked, on a terminal only"
    parser.add_argument("--accept-licenses", action="store_true", help=text)
    text = "take the files from this server, which holds them as the folder DATA/.downloads of another machine does"
    parser.add_argument("--mirror", metavar="URL", help=text)
    text = "take the files from this folder, a copy of another machine's DATA/.downloads; no network is used"
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help=text)
    text = "fetch again what is there, and replace what was not fetched by jmed"
    parser.add_argument("--replace", action="store_true", help=text)

    parser = add_command(
        group,
        "verify",
        _verify,
        "Check every file of fetched sets against the lock beside them",
        example="jmed data verify --data data",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="sets (default: all that were fetched)")
    _add_data(parser)


def _add_data(parser: Parser) -> None:
    text = f"data folder; its data.lock.json holds every sha256 (default: {DEFAULT_FOLDER})"
    parser.add_argument("--data", type=Path, metavar="DIR", default=DEFAULT_FOLDER, help=text)


def _list(args: Namespace) -> dict[str, Any]:
    from jmed_jax.fetch.catalogue import read_catalogue
    from jmed_jax.fetch.lock import Lock

    lock = Lock(args.data)
    sets = []
    for entry in read_catalogue().values():
        presence = lock.presence(entry)
        print(f"{entry.name}  [{presence}]\n  {entry.title}\n  rows: {entry.rows}; good for {entry.good_for}")
        print(f"  licence: {_license(entry)}")
        sets.append(
            {
                "name": entry.name,
                "presence": presence,
                **{name: getattr(entry, name) for name in ("title", "good_for", "rows", "license", "license_stated")},
                "restricted": entry.restricted,
                "homes": list(entry.homes),
                "files": len(entry.upstream),
            }
        )
    return {"data": str(args.data), "sets": sets}


def _fetch(args: Namespace) -> dict[str, Any]:
    from jmed_jax.fetch.catalogue import choose
    from jmed_jax.fetch.obtain import Origin, fetch

    def accept(sets: "Sequence[DataSet]") -> None:
        _show_licenses(sets)
        if not args.accept_licenses:
            _ask()

    origin = Origin(args.mirror, args.folder)
    sets = choose(args.names)
    fetched = fetch(sets, args.data, accept=accept, origin=origin, replace=args.replace)
    for entry in sets:
        print(f"{entry.name}: {'fetched' if entry.name in fetched else 'was here already'}")
    return {"data": str(args.data), "fetched": fetched, "sets": [entry.name for entry in sets]}


def _verify(args: Namespace) -> dict[str, Any]:
    from jmed_jax.fetch.lock import LOCK, Lock

    lock = Lock(args.data)
    if not lock.sets:
        raise InputError(f"{args.data / LOCK}: names no set, so there is nothing to compare with. See jmed data fetch.")
    names = args.names or list(lock.sets)
    for name in names:
        if name not in lock.sets:
            raise InputError(f"{args.data / LOCK}: has no set {name}; it has {', '.join(lock.sets)}.")
    faults = lock.faults(names)
    for fault in faults:
        say(str(fault))
    files = sum(len(lock.sets[name]["files"]) for name in names)
    if faults:
        raise InputError(
            f"{args.data}: {len(faults)} of {files} files are not as recorded, see above. Fetch them again."
        )
    print(f"{args.data}: {len(names)} sets, {files} files, all as recorded")
    return {"data": str(args.data), "sets": names, "files": files}


def _show_licenses(sets: "Sequence[DataSet]") -> None:
    for entry in sets:
        say(f"{entry.name}: {entry.title}\n  licence: {_license(entry)}\n  from: {', '.join(entry.homes)}")


def _license(entry: "DataSet") -> str:
    restricted = f" [{entry.restricted}]" if entry.restricted else ""
    return f"{entry.license}{restricted} ({entry.license_stated})"


def _ask() -> None:
    """
    Raises:
        InputError: the answer is not yes, or nobody is there to give one.
    """
    if not sys.stdin.isatty():
        raise InputError("these licences must be accepted first: read them above and give --accept-licenses.")
    print("Do you accept these licences? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("the licences were not accepted; nothing was fetched.")
