"""What can be read of a live session, as plain data: one class for each resource."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from greenroom.actors.actions.actions import MAX_TEXT_CHARS, FileName, Operation, Target, Url

# Longer than an action: Playwright renders a page of 20 screens, or walks a large DOM, in seconds.
READING_S = 15.0


class Snapshot(Operation, frozen=True, kw_only=True, tag="snapshot"):
    """The page's accessibility tree in YAML, with a ref for each element that can be acted on."""

    depth: Annotated[int, Meta(ge=1, le=100)] | None = None


class Screenshot(Operation, frozen=True, kw_only=True, tag="screenshot"):
    """A picture of what the window shows, of the whole page, or of one element."""

    type: Literal["png", "jpeg", "webp"] = "png"
    quality: Annotated[int, Meta(ge=1, le=100)] | None = None
    full_page: bool = False
    target: Target | None = None


class Html(Operation, frozen=True, kw_only=True, tag="html"):
    """The page's HTML as it is now, in UTF-8."""


class Pdf(Operation, frozen=True, kw_only=True, tag="pdf"):
    """The page as it would be printed."""


class Pages(Operation, frozen=True, kw_only=True, tag="pages"):
    """The session's pages, in JSON."""


class Cookies(Operation, frozen=True, kw_only=True, tag="cookies"):
    """All cookies, in JSON."""


class Storage(Operation, frozen=True, kw_only=True, tag="storage"):
    """Playwright's storage state in JSON: cookies, local storage and IndexedDB."""


class Console(Operation, frozen=True, kw_only=True, tag="console"):
    """The last messages on the consoles of all pages, in JSON."""


class Network(Operation, frozen=True, kw_only=True, tag="network"):
    """The last requests of all pages, without bodies and headers, in JSON."""


class Downloads(Operation, frozen=True, kw_only=True, tag="downloads"):
    """What pages have downloaded, in JSON."""


class Download(Operation, frozen=True, kw_only=True, tag="download"):
    """The content of one download."""

    name: FileName


class Fetch(Operation, frozen=True, kw_only=True, tag="fetch"):
    """Ask for a URL from within the page: with its cookies, its origin and the browser's own TLS."""

    url: Url
    method: Annotated[str, Meta(pattern=r"^[A-Z]{1,20}$(?!\n)")] = "GET"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: Annotated[str, Meta(max_length=10 * MAX_TEXT_CHARS)] | None = None


class TraceStart(Operation, frozen=True, kw_only=True, tag="trace_start"):
    """Begin to record what is done in the pages, with pictures and DOM snapshots."""


class TraceStop(Operation, frozen=True, kw_only=True, tag="trace_stop"):
    """Stop the recording; the result is a zip file for Playwright's trace viewer."""


Reading = (
    Snapshot
    | Screenshot
    | Html
    | Pdf
    | Pages
    | Cookies
    | Storage
    | Console
    | Network
    | Downloads
    | Download
    | Fetch
    | TraceStart
    | TraceStop
)
