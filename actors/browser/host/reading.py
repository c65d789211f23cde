"""Reads what a client asks for from a page, with Playwright."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any, Final

import attrs
from playwright.async_api import Error, Page

from greenroom.actors.actions import readings
from greenroom.actors.browser.host.document import MAX_HTML_CHARS, has_gone_on
from greenroom.actors.browser.host.doing import Doing
from greenroom.actors.browser.host.encoding import to_json
from greenroom.actors.browser.host.failures import OperationFailed
from greenroom.actors.browser.host.files import Downloads
from greenroom.actors.browser.host.pages import Pages
from greenroom.actors.browser.wire.messages import Failure

# How long a page that is still rendering may take to have its first element with a ref, and how often to
# look.
_RENDER_S = 2.0
_AGAIN_S = 0.1
# A picture of a window of 3840 by 2160 that shows noise has about as much.
MAX_PICTURE_BYTES: Final = 24 << 20
MAX_FETCHED_CHARS: Final = 8 << 20

# What is too long never leaves the browser. A page may have put something of its own in the place of what is
# asked, hence the look at its type.
_READ = """
(limit) => {
    const root = document.documentElement;
    const html = root ? root.outerHTML : "";
    return typeof html === "string" && html.length <= limit ? html : null;
}
"""
# Bytes come as base64, since a page's strings can't hold them.
_FETCH = """
async ([url, method, headers, body, limit]) => {
    const answer = await fetch(url, {method, headers, body: body ?? undefined, credentials: "include"});
    const blob = await answer.blob();
    if (blob.size > limit * 3 / 4) return null;
    const encoded = await new Promise((resolve, reject) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.onerror = () => reject(reader.error);
        reader.readAsDataURL(blob);
    });
    return {
        status: answer.status,
        url: answer.url,
        headers: Object.fromEntries(answer.headers.entries()),
        body_base64: encoded.slice(encoded.indexOf(",") + 1),
    };
}
"""


@attrs.frozen
class Reader:
    """Reads from one page, and from the context that it is in.

    Every method returns bytes, or the path of a file in the session's scratch, and raises Playwright's
    `Error` or `OperationFailed`.
    """

    pages: Pages
    page: Page
    downloads: Downloads
    scratch: Path
    timeout_ms: float

    async def read(self, reading: readings.Reading) -> bytes | Path:  # noqa: C901  # one case a resource
        """Return what is asked for."""
        match reading:
            case readings.Snapshot(depth=depth):
                return (await self.snapshot(depth)).encode(errors="replace")
            case readings.Screenshot():
                return await self._screenshot(reading)
            case readings.Html():
                return await read_html(self.page)
            case readings.Pdf():
                return await self.page.pdf()
            case readings.Pages():
                return to_json(await self.pages.list())
            case readings.Cookies():
                return to_json(await self.page.context.cookies())
            case readings.Storage():
                return to_json(await self.page.context.storage_state(indexed_db=True))
            case readings.Console():
                return to_json(list(self.pages.console))
            case readings.Network():
                return to_json(list(self.pages.network))
            case readings.Downloads():
                return to_json(self.downloads.list())
            case readings.Download(name=name):
                return await self.downloads.save(name)
            case readings.Fetch():
                return to_json(await self._fetch(reading))
            case readings.TraceStart():
                await self.page.context.tracing.start(screenshots=True, snapshots=True)
                return b""
            case readings.TraceStop():
                return await self._stop_trace()

    async def snapshot(self, depth: int | None = None) -> str:
        """Return the page's accessibility tree. A page that is still rendering gets a little time."""
        until = time.monotonic() + min(_RENDER_S, self.timeout_ms / 2000)
        while True:
            try:
                tree = await self.page.aria_snapshot(mode="ai", depth=depth, timeout=self.timeout_ms)
                if "[ref=" in tree or time.monotonic() > until:
                    return tree
            except Error as exc:
                if not has_gone_on(exc) or time.monotonic() > until:
                    raise
            await asyncio.sleep(_AGAIN_S)

    async def _screenshot(self, asked: readings.Screenshot) -> bytes:
        options: dict[str, Any] = {"type": asked.type, "timeout": self.timeout_ms}
        if asked.quality is not None and asked.type != "png":
            options["quality"] = asked.quality
        if asked.target is not None:
            doing = Doing(self.pages, self.page, self.scratch, self.timeout_ms)
            picture = await (await doing.locate(asked.target)).screenshot(**options)
        else:
            picture = await self.page.screenshot(full_page=asked.full_page, **options)
        if len(picture) > MAX_PICTURE_BYTES:
            raise OperationFailed(Failure.TOO_LARGE, f"A picture of {len(picture)} bytes")
        return picture

    async def _fetch(self, asked: readings.Fetch) -> dict[str, Any]:
        arguments = [asked.url, asked.method, asked.headers, asked.body, MAX_FETCHED_CHARS]
        answer = await self.page.evaluate(_FETCH, arguments)
        if answer is None:
            raise OperationFailed(Failure.TOO_LARGE, f"An answer of over {MAX_FETCHED_CHARS * 3 // 4} bytes")
        match answer:
            case {"status": int(), "url": str(), "headers": dict(), "body_base64": str()}:
                return dict(answer)
        raise OperationFailed(Failure.ACTION, "The page gave something else than an answer")

    async def _stop_trace(self) -> Path:
        path = self.scratch / "trace.zip"
        await self.page.context.tracing.stop(path=path)
        return path


async def read_html(page: Page) -> bytes:
    """Return the page's HTML as it is now. Raises `OperationFailed` or Playwright's `Error`."""
    while True:
        try:
            html = await page.evaluate(_READ, MAX_HTML_CHARS)
        except Error as exc:
            if page.is_closed() or not has_gone_on(exc):
                raise
            await asyncio.sleep(_AGAIN_S)
            with contextlib.suppress(Error):
                await page.wait_for_load_state("domcontentloaded", timeout=3000)
            continue
        if not isinstance(html, str) or len(html) > MAX_HTML_CHARS:
            raise OperationFailed(
                Failure.TOO_LARGE, f"HTML of more than {MAX_HTML_CHARS} characters, or none"
            )
        return html.encode(errors="replace")  # half a character, which a page may hold, has no bytes
