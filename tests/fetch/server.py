"""A web server for tests that can break off, refuse, ignore ranges and ask to wait."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What is served, and how.

    Attributes:
        files: path → content.
        breaks: after so many bytes the connection ends, once for each number.
        statuses: answered before anything else, one a request.
        ranges: whether it honours Range.
        requests: (path, Range header) of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve() -> Iterator[Site]:
    """Run a server on this machine while the block lasts."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.requests.append((self.path, self.headers.get("Range")))
            if site.statuses:
                self._refuse(site.statuses.pop(0))
            elif self.path not in site.files:
                self._refuse(404)
            else:
                self._send(site.files[self.path])

        def _refuse(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, content: bytes) -> None:
            asked = self.headers.get("Range") if site.ranges else None
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            if asked and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            rest = content[start:]
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            if site.breaks:
                self.wfile.write(rest[: site.breaks.pop(0)])
                self.close_connection = True
                return
            self.wfile.write(rest)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
