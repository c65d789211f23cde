"""What the description says in words: how to authenticate, errors, retries, events, WebSockets."""

from typing import Any, Final

from greenroom.web.http.access import SUBPROTOCOL
from greenroom.web.http.watching import MAX_WAITING

INTRODUCTION: Final = f"""\
Greenroom hands out logged-in TikTok browser sessions. `POST /tiktok/session` makes one; it ends by itself, or
by `DELETE`.

## Authentication

If the daemon has a `token` or a `tokens_file`, send `Authorization: Bearer TOKEN`. What a token may do
depends on its scope and its profiles: `GET /whoami` shows them. The dashboard has a cookie instead. A link to
one session, of `POST /tiktok/session/{{session_id}}/links`, has a token of its own, which goes into the same
header and allows only to watch that session, or to take control of it. On a WebSocket, where a web page can't
send headers, the subprotocol `{SUBPROTOCOL}.link.TOKEN` takes its place, beside `{SUBPROTOCOL}`.

## Errors

All errors have one shape, whatever refuses the request: `status`, `message`, `error_details`. In the details,
`code` is for programs and `details` for people; `retryable` says whether the same request may well succeed
later, and `request_id` is in the header `X-Request-Id` and in the log, too. You may choose the id yourself,
with a header `X-Request-Id` of up to 64 letters, digits and `._:-`. Each code has one status.

## Retries

With a header `Idempotency-Key`, creating a session can safely be repeated: for 15 minutes, requests with one
key get the outcome of the first, except a 503 other than `OVER_BUDGET`. To try again after another error,
take a new key. Whoever hangs up cancels the creation.

## Events

`/events` and `/tiktok/session/{{session_id}}/events` are Server-Sent Events. The data of each is an
`EventMessage` in JSON, and its type is that event's `type`: `session.` with the state that a session has
entered, such as `session.live`, or with what has happened to it, such as `session.login_lost`; or
`host.started`, `host.lost`, `host.ended`. Resume with `Last-Event-ID`. The types `gap` and `dropped` come
with a `GapMessage`: events are missing there. A comment is sent every 15 seconds, as a sign of life. A
session's events begin with its state now, and end with `session.ended`.

## Watching over a WebSocket

Ask for `/tiktok/session/{{session_id}}/watch` as a WebSocket. To the client go text messages in JSON:

- events, as above;
- `{{"type": "frame", "seq", "page", "width", "height"}}`, each followed by a binary message with the JPEG.
  The sizes are the page's, in CSS pixels;
- `{{"type": "refused", "of", "code", "details", "explanation"}}`: the message of the type `of` was not done;
- `{{"type": "heartbeat"}}`.

From the client come:

- `{{"type": "view", "fps", "quality"}}` to ask for pictures, and `{{"type": "ack", "seq"}}` for each picture:
  no more than two are sent before that;
- `{{"type": "lease", "lease"}}`, the lease of `POST .../control`;
- what whoever has control does by hand: `mouse`, `wheel`, `key`, `text`, `paste`, `navigate`. Up to
  {MAX_WAITING} of them may wait.

The daemon closes with 1000 after the session's end, 1009 for a message that is too large, 4003 when a link no
longer holds, and 4008 for a client that reads too slowly.

## A client's own Playwright

`/tiktok/session/{{session_id}}/playwright` is, asked for as a WebSocket, the address for `firefox.connect()`
of Playwright 1.60 or newer, in any language. It relays what concerns the session's pages and refuses the
rest. With `?on_held=wait`, calls wait while a person has control, instead of failing. Asked for with plain
HTTP, it says the address.

A handshake that is refused, of either WebSocket, is answered like any other request: with a status, and an
error in the one shape.
"""

TAGS: Final[list[dict[str, Any]]] = [
    {"name": "sessions", "description": "Create, show, extend and end sessions."},
    {"name": "in a session", "description": "Use a live session's pages."},
    {"name": "watching", "description": "Watch sessions, take control, give links."},
    {"name": "profiles", "description": "Master profiles and their logins."},
    {"name": "daemon", "description": "The daemon itself, and its pages."},
]

_ONE: Final = "/tiktok/session/{session_id}"
_WATCHING: Final = ("/watch", "/live", "/live.jpg", "/live.mjpeg", "/events", "/control", "/links", "/bundle")


def tag_of(path: str) -> str:
    """Return the tag of a path's operations."""
    if path in {"/tiktok/session", "/tiktok/history", _ONE}:
        return "sessions"
    if path in {"/events", "/overview"} or path.startswith(tuple(_ONE + rest for rest in _WATCHING)):
        return "watching"
    if path.startswith(_ONE):
        return "in a session"
    return "profiles" if path.startswith(("/profiles", "/browse")) else "daemon"
