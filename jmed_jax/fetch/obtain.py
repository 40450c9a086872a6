"""From names of sets to files in a data folder: licences first, then the downloads, then our layout."""

import importlib
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from jmed_jax.artifact import file_sha256, replacing
from jmed_jax.errors import InputError
from jmed_jax.fetch.catalogue import DataSet, Upstream
from jmed_jax.fetch.convert.downloads import Downloads
from jmed_jax.fetch.download import download, open_client
from jmed_jax.fetch.lock import Lock
from jmed_jax.progress import say, track

if TYPE_CHECKING:
    import httpx

DOWNLOADS = ".downloads"
"""Folder inside the data folder that keeps what came from the homes, as it came, GitHub's files under
`github/OWNER/REPOSITORY/COMMIT/`. A mirror looks the same, and a folder carried to a machine without network too."""

Accept = Callable[[Sequence[DataSet]], None]
"""Shows licences and returns if they are accepted; raises InputError otherwise."""


@dataclass(frozen=True)
class Origin:
    """Where files come from instead of their homes.

    Attributes:
        mirror: address of a server that holds them as `DOWNLOADS` does; None asks the homes.
        folder: a folder that holds them so; nothing is fetched then.
    """

    mirror: str | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.mirror is not None and self.folder is not None:
            raise InputError("--mirror and --from exclude each other: the files come from one place.")
        if self.mirror is not None and not self.mirror.startswith(("http://", "https://")):
            raise InputError(f"{self.mirror}: no address of a server. It begins with https:// or http://.")
        if self.folder is not None and not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder. It holds what {DOWNLOADS} of another data folder holds.")

    def url(self, upstream: Upstream) -> str:
        """The address of a file."""
        return upstream.url if self.mirror is None else f"{self.mirror.rstrip('/')}/{upstream.place}"


def fetch(
    sets: Sequence[DataSet], data: Path, *, accept: Accept, origin: Origin | None = None, replace: bool = False
) -> list[str]:
    """Bring sets into the data folder, and return the names of those that were not there already.

    Args:
        accept: is asked once, about all sets that will be fetched, before anything is written or a server is asked.
        replace: fetch again what is there.

    Raises:
        InputError: a licence is not accepted, something that is not ours stands in the way, a file is not to be had or
            is not the one that is pinned. What was complete stays, and what has come is not fetched again.
    """
    lock = Lock(data)
    wanted = [entry for entry in sets if replace or not _is_here(entry, lock)]
    for entry in wanted:
        _check_free(entry, data, lock, replace)
    if not wanted:
        return []
    accept(wanted)
    with ExitStack() as stack:
        stack.enter_context(_alone(data))
        client = stack.enter_context(open_client())
        # What another process fetched while the licences were read is in it.
        lock = Lock(data)
        for entry in wanted:
            paths = _obtain_all(client, entry, data, lock, origin or Origin())
            _convert(entry, paths, data, lock)
    return [entry.name for entry in wanted]


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Let nobody else fetch into the folder."""
    (data / DOWNLOADS).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(data / DOWNLOADS / "lock", timeout=0):
            yield
    except Timeout as error:
        raise InputError(
            f"{data}: another process is fetching into it. Wait for it, and give the command again."
        ) from error


def _is_here(entry: DataSet, lock: Lock) -> bool:
    if entry.name not in lock.sets:
        return False
    faults = lock.faults([entry.name])
    if faults:
        raise InputError(f"{faults[0]}. Fetch {entry.name} again with --replace.")
    return True


def _check_free(entry: DataSet, data: Path, lock: Lock, replace: bool) -> None:
    if entry.name in lock.sets:
        return
    for name in entry.writes:
        if (data / name).exists() and not replace:
            raise InputError(
                f"{data / name}: stands there already and was not fetched by jmed. Give another --data, or --replace."
            )


def _obtain_all(
    client: "httpx.Client", entry: DataSet, data: Path, lock: Lock, origin: Origin
) -> dict[tuple[str, str], Path]:
    """Every upstream file of a set on disk, checked."""
    paths = {}
    new = 0
    try:
        for upstream in track(entry.upstream, entry.name, unit="files"):
            path = data / DOWNLOADS / upstream.place
            new += lock.expected_sha256(upstream) is None
            _obtain(client, upstream, path, lock.expected_sha256(upstream), origin)
            lock.record_download(upstream, path)
            paths[upstream.home, upstream.path] = path
    finally:
        lock.save()
    if new:
        say(
            f"{entry.name}: {new} files have no sha256 that was known before; theirs are recorded now, and every later "
            f"download must have the same (trust on first use; the commit pins them at their home)."
        )
    return paths


def _obtain(client: "httpx.Client", upstream: Upstream, path: Path, sha256: str | None, origin: Origin) -> None:
    if path.is_file():
        if sha256 in (None, file_sha256(path)):
            return
        say(f"{path}: not as recorded; fetched again")
        path.unlink()
    if origin.folder is None:
        download(client, origin.url(upstream), path, sha256=sha256)
        return
    source = origin.folder / upstream.place
    if not source.is_file():
        raise InputError(f"{source}: missing. Take it from {upstream.url}")
    if sha256 not in (None, found := file_sha256(source)):
        raise InputError(f"{source}: its sha256 is {found}, but {sha256} was expected: not the file that is pinned.")
    with replacing(path) as temporary:
        shutil.copyfile(source, temporary)


def _convert(entry: DataSet, paths: dict[tuple[str, str], Path], data: Path, lock: Lock) -> None:
    module, _, function = entry.converter.partition(":")
    convert = getattr(importlib.import_module(f"jmed_jax.fetch.convert.{module}"), function or "convert")
    with _staging(data) as staged:
        convert(Downloads(paths), staged)
        names = sorted(str(file.relative_to(staged)) for file in staged.rglob("*") if file.is_file())
        # While files are being replaced the set is none.
        old = lock.sets.pop(entry.name, {"files": {}})["files"]
        lock.save()
        for name in names:
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).replace(data / name)
    for name in old.keys() - set(names):
        (data / name).unlink(missing_ok=True)
    lock.record_set(entry, names)
    lock.save()


@contextmanager
def _staging(data: Path) -> Iterator[Path]:
    """A folder beside the sets, where one is made before its files take their names."""
    folder = data / f".partial-{uuid.uuid4().hex[:12]}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
