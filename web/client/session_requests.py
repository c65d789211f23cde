"""What is asked of one session, by its id."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from greenroom.actors.actions import readings
from greenroom.actors.actions.actions import Action, PageId
from greenroom.actors.actions.readings import Reading
from greenroom.actors.actions.results import PageInfo
from greenroom.actors.lifecycle import WatchMode
from greenroom.web.client.request import (
    MAX_CONTENT_BYTES,
    Reply,
    Request,
    as_bytes,
    as_nothing,
    as_text,
    as_type,
    json_of,
)
from greenroom.web.http.headers import LEASE_HEADER
from greenroom.web.http.schemas import (
    Actions,
    ExtendRequest,
    Files,
    LinkAnswer,
    LinkRequest,
    OneSession,
    PlaywrightAnswer,
    VerdictAnswer,
)
from greenroom.web.http.session_paths import session_path

T = TypeVar("T")


def path_of(session_id: str) -> str:
    """Return a session's path. Raises `ValueError` for what can't be an id, which could lead elsewhere."""
    if not (session_id.isascii() and session_id.replace("-", "").isalnum()):
        raise ValueError(f"{session_id!r} is no session's id")
    return session_path(session_id)


def info(session_id: str) -> Request[OneSession]:
    """Return the session as it is, or as it ended within the last 15 minutes."""
    return Request(method="GET", path=path_of(session_id), read=as_type(OneSession), is_repeatable=True)


def end(session_id: str) -> Request[None]:
    """End the session; return once its browser and its clone are gone. It may have ended already."""
    return Request(method="DELETE", path=path_of(session_id), read=as_nothing, is_repeatable=True)


def extend(session_id: str, seconds: float) -> Request[OneSession]:
    """Let the session live longer, up to its ceiling; return it as it is then."""
    return Request(
        method="PATCH",
        path=path_of(session_id),
        content=json_of(ExtendRequest(extend_s=seconds)),
        read=as_type(OneSession),
    )


def act(
    session_id: str,
    *steps: Action | Mapping[str, Any],
    snapshot: bool = False,
    waits: bool = False,
    lease: str | None = None,
) -> Request[Actions]:
    """Carry out actions in order; the first that fails is the last.

    A step is one of `greenroom.actions`, or an object as in docs/sessions.md. With `snapshot`, the answer has
    the page's snapshot. While a person has control, the actions are refused, or wait with `waits`. `lease`
    is for whoever has taken control.
    """
    body: dict[str, Any] = {"actions": steps}
    if snapshot:
        body["snapshot"] = True
    if waits:
        body["on_held"] = "wait"
    return Request(
        method="POST",
        path=f"{path_of(session_id)}/actions",
        headers={LEASE_HEADER: lease} if lease else {},
        content=json_of(body),
        read=as_type(Actions),
    )


def do(session_id: str, step: Action | Mapping[str, Any]) -> Request[Any]:
    """Carry out one action; return its value, such as what `Evaluate` comes to."""
    read = as_type(Actions)
    asked = act(session_id, step)
    return Request(
        method=asked.method,
        path=asked.path,
        content=asked.content,
        read=lambda reply: msgspec.json.decode(read(reply).results[0].value),
    )


def judge(session_id: str) -> Request[VerdictAnswer]:
    """Look at the page again: who is logged in."""
    return Request(method="POST", path=f"{path_of(session_id)}/verdict", read=as_type(VerdictAnswer))


def playwright(session_id: str) -> Request[PlaywrightAnswer]:
    """Return the address for a Playwright of your own."""
    path = f"{path_of(session_id)}/playwright"
    return Request(method="GET", path=path, read=as_type(PlaywrightAnswer), is_repeatable=True)


def make_link(
    session_id: str, *, mode: WatchMode = WatchMode.VIEW, ttl_s: float = 3600, name: str = "guest"
) -> Request[LinkAnswer]:
    """Make a link by which somebody without the token watches the session, or takes control of it."""
    return Request(
        method="POST",
        path=f"{path_of(session_id)}/links",
        content=json_of(LinkRequest(mode=mode, ttl_s=ttl_s, name=name)),
        read=as_type(LinkAnswer),
    )


def bundle(session_id: str) -> Request[bytes]:
    """Return what is kept of a session that has failed, as a zip file."""
    return Request(
        method="GET",
        path=f"{path_of(session_id)}/bundle",
        read=as_bytes,
        is_repeatable=True,
        max_bytes=MAX_CONTENT_BYTES,
    )


def put_file(session_id: str, name: str, content: bytes) -> Request[Files]:
    """Give the session a file of at most 50 MB, for the action `upload`."""
    return Request(
        method="POST",
        path=f"{path_of(session_id)}/files",
        files={"file": (name, content)},
        read=as_type(Files),
    )


# Reading. `page` is the page to use, the selected one if it is left out.


def read(session_id: str, asked: Reading) -> Request[bytes]:
    """Return a resource as it is, asked for with all its fields: one of `greenroom.client.readings`."""
    return _reading(session_id, asked, as_bytes)


def snapshot(session_id: str, *, depth: int | None = None, page: PageId | None = None) -> Request[str]:
    """Return the page's accessibility tree in YAML, with refs of what can be acted on."""
    return _reading(session_id, readings.Snapshot(depth=depth, page=page), as_text)


def screenshot(
    session_id: str,
    *,
    type: Literal["png", "jpeg", "webp"] = "png",  # noqa: A002  # Playwright's name for it
    quality: int | None = None,
    full_page: bool = False,
    target: str | None = None,
    page: PageId | None = None,
) -> Request[bytes]:
    """Return a picture of what the window shows, of the whole page, or of one element."""
    asked = readings.Screenshot(type=type, quality=quality, full_page=full_page, target=target, page=page)
    return _reading(session_id, asked, as_bytes)


def html(session_id: str, *, page: PageId | None = None) -> Request[str]:
    """Return the page's HTML as it is now."""
    return _reading(session_id, readings.Html(page=page), as_text)


def pdf(session_id: str, *, page: PageId | None = None) -> Request[bytes]:
    """Return the page as it would be printed."""
    return _reading(session_id, readings.Pdf(page=page), as_bytes)


def pages(session_id: str) -> Request[list[PageInfo]]:
    """Return the session's pages, oldest first."""
    return _reading(session_id, readings.Pages(), as_type(list[PageInfo]))


def cookies(session_id: str) -> Request[list[dict[str, Any]]]:
    """Return all cookies, as Playwright describes them."""
    return _reading(session_id, readings.Cookies(), as_type(list[dict[str, Any]]))


def storage(session_id: str) -> Request[bytes]:
    """Return Playwright's storage state, in JSON: cookies, local storage and IndexedDB."""
    return _reading(session_id, readings.Storage(), as_bytes)


def console(session_id: str) -> Request[list[dict[str, Any]]]:
    """Return the last 500 messages on the consoles of all pages."""
    return _reading(session_id, readings.Console(), as_type(list[dict[str, Any]]))


def network(session_id: str) -> Request[list[dict[str, Any]]]:
    """Return the last 500 requests of all pages."""
    return _reading(session_id, readings.Network(), as_type(list[dict[str, Any]]))


def downloads(session_id: str) -> Request[list[dict[str, Any]]]:
    """Return what pages have downloaded."""
    return _reading(session_id, readings.Downloads(), as_type(list[dict[str, Any]]))


def download(session_id: str, name: str) -> Request[bytes]:
    """Wait until a download is complete; return its content."""
    return Request(
        method="GET",
        path=f"{path_of(session_id)}/downloads/{quote(name, safe='')}",
        read=as_bytes,
        is_repeatable=True,
        max_bytes=MAX_CONTENT_BYTES,
    )


def fetch(
    session_id: str,
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
) -> Request[dict[str, Any]]:
    """Ask for a URL from within the page; return `status`, `url`, `headers` and `body_base64`."""
    asked = readings.Fetch(url=url, method=method, headers=dict(headers or {}), body=body)
    return Request(
        method="POST",
        path=f"{path_of(session_id)}/fetch",
        content=json_of(_fields(asked)),
        read=as_type(dict[str, Any]),
        max_bytes=MAX_CONTENT_BYTES,
    )


def trace_start(session_id: str) -> Request[None]:
    """Begin to record what is done in the pages."""
    return Request(method="POST", path=f"{path_of(session_id)}/trace/start", read=as_nothing)


def trace_stop(session_id: str) -> Request[bytes]:
    """Stop the recording; return a zip file for Playwright's trace viewer."""
    return Request(
        method="POST",
        path=f"{path_of(session_id)}/trace/stop",
        read=as_bytes,
        max_bytes=MAX_CONTENT_BYTES,
    )


def _reading(session_id: str, asked: Reading, read: Callable[[Reply], T]) -> Request[T]:
    """Return the request for a resource, whose name is that of its kind."""
    return Request(
        method="GET",
        path=f"{path_of(session_id)}/{asked.__struct_config__.tag}",
        params=_fields(asked),
        read=read,
        is_repeatable=True,
        max_bytes=MAX_CONTENT_BYTES,
    )


def _fields(asked: Reading) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(asked)
    return {name: value for name, value in fields.items() if name != "kind"}
