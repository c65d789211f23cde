"""What the recorder is told of a session's pages: without cookies, and without what fields hold."""

import asyncio
import contextlib
import functools
from typing import Any, Final

import attrs
import msgspec
from playwright.async_api import BrowserContext, Error, Page

from greenroom.actors.browser.host.pages import Pages
from greenroom.actors.recorder.recorded import Recorded
from greenroom.actors.recorder.scrub import scrub

_MAX_LINES: Final = 200
_MAX_HTML_CHARS = 1 << 20
_MAX_PICTURE_BYTES = 4 << 20
_LOOK_S = 1.0
_MAX_COOKIES = 2000
_FIELDS = "input, textarea, select, [contenteditable]:not([contenteditable=false])"
_MAX_FRAMES = 20
# Lines of this length were cut, maybe in the middle of a secret.
_CUT_CHARS = 2000
# What fields hold is not to be seen in pictures.
_BLANK = """
input, textarea, select, [contenteditable]:not([contenteditable=false]) {
    color: transparent !important;
    text-shadow: none !important;
    -webkit-text-fill-color: transparent !important;
}
input::placeholder, textarea::placeholder { color: transparent !important; }
"""
# Returns the values of fields, and the page's HTML with the few attributes that say how it is built.
_REDACTED = """
(limit) => {
    const values = [];
    const copy = document.documentElement.cloneNode(true);
    for (const field of document.querySelectorAll("input, textarea, select, [contenteditable]")) {
        const value = "value" in field ? field.value : field.textContent;
        if (typeof value === "string" && value) values.push(value.slice(0, 1000));
    }
    const quiet = "script, style, noscript, template, iframe, object, embed, svg";
    for (const part of copy.querySelectorAll(quiet)) part.replaceChildren();
    for (const part of copy.querySelectorAll("template")) part.remove();
    for (const field of copy.querySelectorAll("textarea, option, [contenteditable]")) field.replaceChildren();
    const kept = /^(?:id|class|role|type|name|for|lang|dir|rel|hidden|disabled|checked|data-e2e)$/;
    const walker = document.createTreeWalker(copy, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_COMMENT);
    const comments = [];
    for (let node = walker.currentNode; node; node = walker.nextNode()) {
        if (node.nodeType === Node.COMMENT_NODE) { comments.push(node); continue; }
        for (const {name, value} of [...node.attributes]) {
            const isPlace = (name === "href" || name === "src") && /^(?:https?:|[/.])/.test(value);
            if (isPlace) node.setAttribute(name, value.split(/[?#]/)[0]);
            else if (!kept.test(name)) node.removeAttribute(name);
        }
    }
    for (const comment of comments) comment.remove();
    return [values.slice(0, 500), copy.outerHTML.slice(0, limit)];
}
"""


@attrs.define(eq=False)
class RecordingHost:
    """Looks at a session's pages for the recorder."""

    _context: BrowserContext
    _pages: Pages
    _cookies: set[str] = attrs.field(factory=set, init=False)

    async def look(self, *, picture: bool, page: bool) -> bytes:
        """Return a `Recorded` in JSON. What can't be had in time is left out."""
        with contextlib.suppress(Error, TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                now = {cookie.get("value", "") for cookie in await self._context.cookies()}
                self._cookies = now if len(self._cookies) > _MAX_COOKIES else self._cookies | now
        shown = self._pages.selected
        can_look = shown is not None and self._pages.dialog_of(shown) is None
        recorded = Recorded(
            console=await asyncio.to_thread(self._clean, list(self._pages.console)),
            network=await asyncio.to_thread(self._clean, list(self._pages.network)),
            url=scrub(shown.url, self._cookies) if shown is not None else "",
        )
        if (picture or page) and shown is not None and can_look:
            await self._add_sights(recorded, shown, picture=picture, page=page)
        return msgspec.json.encode(recorded)

    def _clean(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                name: scrub(_whole_words(value), self._cookies) if isinstance(value, str) else value
                for name, value in line.items()
            }
            for line in lines[-_MAX_LINES:]
        ]

    async def _add_sights(self, recorded: Recorded, shown: Page, *, picture: bool, page: bool) -> None:
        with contextlib.suppress(Error, TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                masks = [frame.locator(_FIELDS) for frame in shown.frames[:_MAX_FRAMES]]
                look = functools.partial(
                    shown.screenshot, style=_BLANK, mask=masks, mask_color="#808080", animations="disabled"
                )
                if picture:
                    recorded.picture = _limited(await look(type="jpeg", quality=40))
                if page:
                    answer = await shown.evaluate(_REDACTED, _MAX_HTML_CHARS)
                    recorded.html = await asyncio.to_thread(self._html, answer)
                    recorded.screenshot = _limited(await look())

    def _html(self, answer: Any) -> str | None:
        """Return the HTML that a page has given, if that is what it gave: it may have replaced everything."""
        match answer:
            case [list() as values, str() as html]:
                secrets = {*self._cookies, *(value for value in values if isinstance(value, str))}
                return scrub(html[:_MAX_HTML_CHARS].rpartition("<")[0], secrets)
        return None


def _limited(picture: bytes) -> bytes | None:
    return picture if len(picture) <= _MAX_PICTURE_BYTES else None


def _whole_words(line: str) -> str:
    """Return a line that was cut without its last word, of which a part is missing."""
    return line if len(line) < _CUT_CHARS else line.rpartition(" ")[0]
