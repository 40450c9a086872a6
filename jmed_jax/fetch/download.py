"""One file over HTTP: in pieces that survive an interruption, checked, and under its name only when it is whole."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from jmed_jax.artifact import file_sha256
from jmed_jax.errors import InputError
from jmed_jax.progress import say

if TYPE_CHECKING:
    import httpx

PART = ".part"
"""Suffix of a file that is not whole yet."""
ATTEMPTS = 5
LONGEST_WAIT = 60.0
"""Seconds between two attempts; a server that asks for more is given up on."""
SECONDS_WITHOUT_A_BYTE = 60.0
# 408, 425 and 429 say that the same request may succeed later; any other 4xx says that it will not.
RETRIED_STATUSES = frozenset({408, 425, 429})


class Interrupted(Exception):
    """The connection broke, or the server is unwell: what has come is kept, and another attempt may bring the rest.

    Attributes:
        wait: seconds that the server asks for, before the next attempt.
    """

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


@contextmanager
def open_client() -> "Iterator[httpx.Client]":
    """A client that keeps its connections, for several files of one server."""
    import httpx

    # Ranges count the bytes of the file only where nothing is compressed on the way.
    headers = {"Accept-Encoding": "identity", "User-Agent": "jmed_jax"}
    with httpx.Client(headers=headers, timeout=SECONDS_WITHOUT_A_BYTE, follow_redirects=True) as client:
        yield client


def download(
    client: "httpx.Client", url: str, path: Path, *, sha256: str | None = None, first_wait: float = 1.0
) -> None:
    """Fetch `url` to `path`; an earlier attempt's `path.part` is continued where the server can do that.

    Args:
        sha256: what the file must have; None accepts what comes.
        first_wait: seconds before the second attempt; they double.

    Raises:
        InputError: the server has no such file, gives up, or sends another file than `sha256` says. Nothing stands
            under `path` then.
    """
    part = path.with_name(path.name + PART)
    part.parent.mkdir(parents=True, exist_ok=True)
    continued = part.exists()
    _fetch_with_retries(client, url, part, first_wait)
    if continued and sha256 not in (None, file_sha256(part)):
        # The half that lay here may have been another file's: whole, from the beginning, once.
        part.unlink()
        _fetch_with_retries(client, url, part, first_wait)
    found = file_sha256(part)
    if sha256 not in (None, found):
        part.unlink()
        raise InputError(
            f"{url}: its sha256 is {found}, but {sha256} was expected: another file than the one that is pinned, "
            f"so it is not kept. Look at what this address serves."
        )
    part.replace(path)


def _fetch_with_retries(client: "httpx.Client", url: str, part: Path, first_wait: float) -> None:
    import httpx

    for attempt in range(1, ATTEMPTS + 1):
        try:
            _fetch(client, url, part)
            return
        except (httpx.TransportError, Interrupted) as error:
            reason = str(error) or type(error).__name__
            wait = getattr(error, "wait", None)
            wait = first_wait * 2 ** (attempt - 1) if wait is None else wait
            if attempt == ATTEMPTS or wait > LONGEST_WAIT:
                raise InputError(
                    f"{url}: not fetched after {attempt} attempts ({reason}). What has come is kept: the same command "
                    f"goes on from there."
                ) from error
            say(f"{url}: {reason}; again in {wait:g} s")
            time.sleep(wait)


def _fetch(client: "httpx.Client", url: str, part: Path) -> None:
    """One attempt.

    Raises:
        InputError: the server will not give this file.
        Interrupted: there is less than the server announced, or it may answer another time.
    """
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", quote(url, safe=":/%@"), headers=headers) as response:
        if response.status_code == 416:
            # Nothing stands behind what we have: it is whole, or of another file. The length tells.
            total = response.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(have):
                return
            part.unlink()
            raise Interrupted("what lay here is longer than the file; from the beginning")
        _check_status(response)
        resumed = response.status_code == 206
        start = have if resumed else 0
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise Interrupted("the server continues elsewhere than asked; from the beginning")
        announced = response.headers.get("Content-Length")
        with part.open("ab" if resumed else "wb") as stream:
            for block in response.iter_raw():
                stream.write(block)
    size = part.stat().st_size
    if announced is not None and size != start + int(announced):
        raise Interrupted(f"{size:,} of {start + int(announced):,} bytes")


def _check_status(response: "httpx.Response") -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in RETRIED_STATUSES or status >= 500:
        asked = response.headers.get("Retry-After", "")
        raise Interrupted(f"HTTP {status}", float(asked) if asked.isdecimal() else None)
    missing = "The set may have moved; --mirror and --from take it from elsewhere." if status == 404 else ""
    raise InputError(f"{response.url}: HTTP {status} {response.reason_phrase}. {missing}".rstrip())
