"""The page that a daemon's sessions open. The trial picks it for each session."""

import contextlib
import enum
import functools
import http.server
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import attrs

# An element that only logged-in viewers see.
_MARK = '<a data-e2e="profile-icon"></a>'
_TABS = "for (let n = 0; n < 50; n++) window.open('/blank?' + n);"
_DOWNLOADS = (
    "for (let n = 0; n < 5; n++) {"
    " const frame = document.createElement('iframe');"
    " frame.src = '/file?' + n; document.body.append(frame); }"
)
# It stops at 3.8 GB, in case nothing ends it.
_ALLOCATE = (
    "const kept = [];"
    " setInterval(() => { if (kept.length < 60) kept.push(new Uint8Array(64 << 20).fill(7)); }, 200);"
)
_DOWNLOAD_MB = 100


class Page(enum.Enum):
    """What the stage shows."""

    HOME = "home"
    HANG = "hang"
    UNCERTAIN = "uncertain, and hangs when it is loaded again"
    TABS = "opens 50 tabs"
    DOWNLOADS = "starts 5 downloads of 100 MB"
    ALLOCATE = "allocates 64 MB every 0.2 s"


_SCRIPTS = {Page.TABS: _TABS, Page.DOWNLOADS: _DOWNLOADS, Page.ALLOCATE: _ALLOCATE}


@attrs.define(eq=False)
class Stage:
    """A server at `url`. It shows the page that it is told to, or redirects to the practice site."""

    url: str
    _site: str
    _page: Page = attrs.field(default=Page.HOME, init=False)
    _loads: int = attrs.field(default=0, init=False)
    taken: int = attrs.field(default=0, init=False)
    """How many tabs or files the page has asked for."""

    def show(self, page: Page) -> None:
        """Show `page` from now on."""
        self._page, self._loads, self.taken = page, 0, 0

    def next_answer(self) -> tuple[str | None, str]:
        """Return where to send the visitor, or None and a page's HTML."""
        self._loads += 1
        if self._page is Page.HOME:
            return f"{self._site}/", ""
        if self._page is Page.HANG or (self._page is Page.UNCERTAIN and self._loads > 1):
            return f"{self._site}/hang", ""
        if self._page is Page.UNCERTAIN:
            return None, "<!doctype html><p>"
        return None, f"<!doctype html>{_MARK}<script>onload = () => {{ {_SCRIPTS[self._page]} }}</script>"


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers for a stage."""

    def __init__(self, stage: Stage, *args: Any) -> None:
        self._stage = stage
        super().__init__(*args)

    def do_GET(self) -> None:  # the name that the base class calls
        """Answer with the page, or with a tab or file that a page asks for."""
        path = urlsplit(self.path).path
        with contextlib.suppress(ConnectionError):
            if path == "/":
                target, html = self._stage.next_answer()
                if target is None:
                    self._send(200, html.encode())
                else:
                    self._send(302, b"", Location=target)
            elif path == "/blank":
                self._stage.taken += 1
                self._send(200, b"<!doctype html><p>")
            elif path == "/file":
                self._stage.taken += 1
                self._send_file()
            else:
                self._send(404, b"")

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", 'attachment; filename="file.bin"')
        self.send_header("Content-Length", str(_DOWNLOAD_MB << 20))
        self.end_headers()
        for _ in range(_DOWNLOAD_MB):
            self.wfile.write(bytes(1 << 20))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the overridden name
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@contextlib.contextmanager
def open_stage(site: str) -> Iterator[Stage]:
    """Serve a stage in front of the practice site `site` for the length of the block."""
    stage = Stage("", site)
    with _Server(("127.0.0.1", 0), functools.partial(_Handler, stage)) as server:
        stage.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        try:
            yield stage
        finally:
            server.shutdown()
            thread.join()
