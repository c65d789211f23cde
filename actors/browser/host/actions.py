"""Actions in a page on behalf of a client: a picture of it, its HTML.

Pages are not trusted: each action has a limit in time and in bytes.
"""

from typing import Final

from playwright.async_api import Page

from greenroom.actors.browser.host.document import MAX_HTML_CHARS
from greenroom.actors.browser.wire.messages import Failure, ImageType

# How long an action may take. A page that never stops computing answers nothing.
ACTION_S: Final = 5.0
# About the size of a picture of a 3840 x 2160 window that shows noise.
MAX_PICTURE_BYTES: Final = 24 << 20

# HTML that is too long never leaves the browser. A page may have replaced the property, so check its type.
_READ = """
(limit) => {
    const root = document.documentElement;
    const html = root ? root.outerHTML : "";
    return typeof html === "string" && html.length <= limit ? html : null;
}
"""


class ActionFailed(Exception):
    """An action failed, but the browser is well. `kind` says why."""

    def __init__(self, kind: Failure, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


async def take_picture(page: Page, image: ImageType) -> bytes:
    """Return a picture of the visible part of the page. Raises `ActionFailed` or Playwright's `Error`."""
    # The driver gets the limit too, or it would go on with an action that nobody waits for.
    picture = await page.screenshot(type=image, timeout=ACTION_S * 1000)
    if len(picture) > MAX_PICTURE_BYTES:
        raise ActionFailed(Failure.TOO_LARGE, f"a picture of {len(picture)} bytes")
    return picture


async def read_html(page: Page) -> bytes:
    """Return the page's current HTML. Raises `ActionFailed` or Playwright's `Error`."""
    html = await page.evaluate(_READ, MAX_HTML_CHARS)
    if not isinstance(html, str) or len(html) > MAX_HTML_CHARS:
        raise ActionFailed(Failure.TOO_LARGE, f"HTML of more than {MAX_HTML_CHARS} characters, or none")
    return html.encode(errors="replace")  # a page may contain lone surrogates, which can't be encoded
