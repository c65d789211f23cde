"""The files of a session: those that its client sent, and those that its pages downloaded."""

import mimetypes
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import attrs
from playwright.async_api import BrowserContext, Download, FilePayload, Page

from greenroom.actors.browser.cells.environment import FILES
from greenroom.actors.browser.host.failures import OperationFailed
from greenroom.actors.browser.wire.messages import Failure

SAVED: Final = "saved"
# Playwright sends no more than that by content.
MAX_UPLOAD_BYTES: Final = 50 << 20
# How many downloads are remembered; the oldest is forgotten first. Its file counts towards the session's disk
# space until the session ends.
MAX_DOWNLOADS: Final = 100
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]")
_MAX_NAME_CHARS = 120


def read_stored(scratch: Path, names: Sequence[str]) -> list[FilePayload]:
    """Return files that the client sent, as Playwright takes them. Blocks; raises `OperationFailed`.

    The content travels, not the path: a browser in its cell does not see where they are.
    """
    payloads: list[FilePayload] = []
    for name in names:
        path = scratch / FILES / name
        if path.parent != scratch / FILES or not path.is_file():
            raise OperationFailed(Failure.NO_FILE, f"The session has no file {name}: send it first")
        type_ = mimetypes.guess_type(name)[0] or "application/octet-stream"
        payloads.append({"name": name, "mimeType": type_, "buffer": path.read_bytes()})
    if sum(len(payload["buffer"]) for payload in payloads) > MAX_UPLOAD_BYTES:
        raise OperationFailed(Failure.TOO_LARGE, f"More than {MAX_UPLOAD_BYTES} bytes at once")
    return payloads


def take_file(path: Path) -> IO[bytes]:
    """Open a file that nobody needs any more, and remove it: it is gone once it is closed."""
    file = path.open("rb")
    path.unlink()
    return file


@attrs.define(eq=False, slots=False)  # Playwright sets an attribute on the owner of a bound listener
class Downloads:
    """What the pages of a context download. Attach it once."""

    _context: BrowserContext
    _scratch: Path
    _downloads: dict[str, Download] = attrs.field(factory=dict, init=False)

    def attach(self) -> None:
        """Take note of downloads from now on, in all pages."""
        for page in self._context.pages:
            self._watch(page)
        self._context.on("page", self._watch)

    def _watch(self, page: Page) -> None:
        page.on("download", self._note)

    def _note(self, download: Download) -> None:
        suggested = _UNSAFE.sub("_", download.suggested_filename)[-_MAX_NAME_CHARS:].lstrip(".") or "download"
        name, number = suggested, 1
        while name in self._downloads:
            number += 1
            stem, dot, suffix = suggested.rpartition(".")
            name = f"{stem} ({number}){dot}{suffix}" if stem else f"{suggested} ({number})"
        if len(self._downloads) >= MAX_DOWNLOADS:
            del self._downloads[next(iter(self._downloads))]
        self._downloads[name] = download

    def list(self) -> list[Mapping[str, Any]]:
        """Return each download's name and the URL that it came from, oldest first."""
        return [{"name": name, "url": download.url[:2000]} for name, download in self._downloads.items()]

    async def save(self, name: str) -> Path:
        """Wait until a download is complete and return its file. Raises `OperationFailed`."""
        if (download := self._downloads.get(name)) is None:
            raise OperationFailed(Failure.NO_FILE, f"There is no download {name}; see `downloads`")
        if (why := await download.failure()) is not None:
            raise OperationFailed(Failure.ACTION, f"The download failed: {why[:200]}")
        path = self._scratch / SAVED / str(list(self._downloads).index(name))
        await download.save_as(path)
        return path
