"""Which requests are passed to the app, and why the others are refused."""

import base64
import re
import uuid

import h11

_ABSOLUTE = re.compile(
    rb"https?://(?P<host>(?:\[[0-9a-f:.]+\]|[^\[\]:/?#@]+)(?::[0-9]*)?)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?",
    re.IGNORECASE,
)
# Request ids that clients may choose. They go to the log.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_GIVEN_ID = re.compile(rb"^x-request-id:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_HEAD_END = re.compile(rb"\n\r?\n")
# More than anybody sends in a row. h11's pattern takes the square of their number, for 16 KB over a second.
_BLANKS = re.compile(rb"[ \t]{500}")
_ENDLESS_TARGET = re.compile(rb"[!-~]+ [^\s]*")
_SETTING_BYTES = 6
TOO_LARGE = "The request's body is larger than {} bytes"
TARGET_TOO_LARGE = "The request's target is too large"
HEAD_TOO_LARGE = "The request's headers are too large"
UNAUTHORIZED = "Send the daemon's token as `Authorization: Bearer TOKEN`"
TOO_EARLY = "A WebSocket client has to wait for the answer to its handshake"
_WEBSOCKET_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")


class Refused(Exception):
    """The request must not reach the app. `status` says why to programs, the text to people."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def check(request: h11.Request, *, is_followed: bool) -> None:
    """Raise `Refused` for a request that is well-formed but not valid HTTP/1.1 for this server.

    `is_followed` says whether the client has already sent more than the headers.
    """
    if request.http_version not in {b"1.0", b"1.1"}:
        raise Refused(505, "Only HTTP/1.1 and HTTP/1.0 are spoken")
    names = [name for name, _value in request.headers]
    if b"transfer-encoding" in names and b"content-length" in names:
        raise Refused(400, "Both Content-Length and Transfer-Encoding tell where the body ends")
    _check_upgrade(request, is_followed=is_followed)
    is_path = request.target.startswith(b"/") or (request.method, request.target) == (b"OPTIONS", b"*")
    if not is_path and not _ABSOLUTE.fullmatch(request.target):
        raise Refused(400, "The request's target is neither a path nor an http address")


def check_head(request: h11.Request, limit: int) -> None:
    """Raise `Refused` for a request whose headers have more than `limit` bytes.

    h11 looks only at headers that have not all arrived, so large ones that come at once pass it.
    """
    if len(request.target) > limit:
        raise Refused(414, TARGET_TOO_LARGE)
    if sum(len(name) + len(value) for name, value in request.headers) + len(request.target) > limit:
        raise Refused(431, HEAD_TOO_LARGE)


def announced_bytes(request: h11.Request) -> int:
    """Return how long the request's body is to be, as far as it says so."""
    return max((int(value) for name, value in request.headers if name == b"content-length"), default=0)


def _check_upgrade(request: h11.Request, *, is_followed: bool) -> None:
    """Refuse an invalid upgrade. A valid one to HTTP/2 is answered in HTTP/1.1.

    RFC 9110, 7.8, allows a server to ignore an upgrade, and clients rely on it: Java's HttpClient and
    `curl --http2` ask for HTTP/2 with every first request.
    """
    upgrades = _list(request, b"upgrade")
    if b"websocket" in upgrades:
        if not _is_handshake(request, upgrades):
            raise Refused(400, "The WebSocket handshake is not what RFC 6455, 4.1, asks for")
        if is_followed:
            raise Refused(400, TOO_EARLY)
    if b"h2c" in upgrades:
        settings = [value for name, value in request.headers if name == b"http2-settings"]
        if len(settings) != 1 or not _is_settings(settings[0]):
            raise Refused(400, "HTTP2-Settings is not what RFC 7540, 3.2.1, asks for")


def _is_handshake(request: h11.Request, upgrades: list[bytes]) -> bool:
    """Return whether the request can become a WebSocket. It has to be ASCII, or Hypercorn can't read it."""
    wanted = {name: value for name, value in request.headers if name.startswith(b"sec-websocket-")}
    return (
        (request.method, request.http_version, upgrades) == (b"GET", b"1.1", [b"websocket"])
        and b"upgrade" in _list(request, b"connection")
        and wanted.get(b"sec-websocket-version") == b"13"
        and bool(_WEBSOCKET_KEY.fullmatch(wanted.get(b"sec-websocket-key", b"")))
        and all(value.isascii() for name, value in request.headers if name in {b"connection", *wanted})
    )


def _list(request: h11.Request, name: bytes) -> list[bytes]:
    values = b",".join(value for given, value in request.headers if given == name)
    return [word.strip().lower() for word in values.split(b",")]


def _is_settings(value: bytes) -> bool:
    """Return whether `value` is an HTTP/2 SETTINGS payload in base64url without padding."""
    try:
        payload = base64.b64decode(value + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return False
    return b"=" not in value and len(payload) % _SETTING_BYTES == 0


def to_origin_form(request: h11.Request) -> h11.Request:
    """Return a request that has passed `check`, with a path as its target.

    RFC 9112, 3.2.2: if the target is a full address, the host in it replaces the header's.
    """
    absolute = _ABSOLUTE.fullmatch(request.target)
    if absolute is None:
        return request
    path, query = absolute["path"] or b"/", absolute["query"]
    headers = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        target=path if query is None else path + b"?" + query,
        headers=[*headers, (b"host", absolute["host"])],
        http_version=request.http_version,
    )


def without_extensions(request: h11.Request) -> h11.Request:
    """Return a request that asks for no extensions of WebSockets.

    The only one is compression, which takes the daemon's loop longer than sending does. A client may unpack
    what it sent to any size, too.
    """
    headers = [(name, value) for name, value in request.headers if name != b"sec-websocket-extensions"]
    return h11.Request(
        method=request.method, target=request.target, headers=headers, http_version=request.http_version
    )


def explain(error: h11.RemoteProtocolError, head: bytes) -> Refused:
    """Return the refusal of a request that is not HTTP. h11's own message may quote it, even secrets.

    `head` is what has arrived of the request's headers, if they were not read yet.
    """
    if str(error).startswith(("Missing mandatory Host", "Found multiple Host")):
        return Refused(400, "HTTP/1.1 demands exactly one Host header")
    match error.error_status_hint:
        case 431:
            if _ENDLESS_TARGET.fullmatch(head):
                return Refused(414, TARGET_TOO_LARGE)
            return Refused(431, HEAD_TOO_LARGE)
        case 501:
            return Refused(501, "Chunked is the only Transfer-Encoding that is understood")
        case _:
            return Refused(400, "The request is not valid HTTP/1.1")


def check_blanks(head: bytes) -> None:
    """Raise `Refused` for headers, as far as they have arrived, that would take long to read."""
    if _BLANKS.search(_HEAD_END.split(head, 1)[0]):
        raise Refused(400, "There are too many blanks in the headers")


def request_ids_in(head: bytes) -> list[str]:
    """Return the X-Request-Ids in headers that are not valid, or have not all arrived."""
    return [given.strip(b" \t").decode("latin-1") for given in _GIVEN_ID.findall(_HEAD_END.split(head, 1)[0])]


def request_id_of(given: list[str]) -> str:
    """Return a request's id: the client's X-Request-Id if it is valid, otherwise a new one."""
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return given[0]
    return uuid.uuid4().hex[:12]
