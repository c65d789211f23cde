"""The protocol between the daemon and a browser host: messages, and how they become bytes.

On the wire a frame is a 4-byte big-endian length and that many bytes of JSON, an object whose `type` names
the message. The host speaks first, with `Ready`; a protocol version other than ours ends the conversation.
Every message names its session, since a host serves several; those about the host itself leave it empty.
Requests carry an id, and exactly one reply carries it back. Nothing here does I/O.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import msgspec

from actors.verdict import Finding, Method

PROTOCOL_VERSION = 2
MAX_FRAME_BYTES = 1 << 20
_LENGTH_BYTES = 4


class FrameError(Exception):
    """What the protocol does not allow: too long a frame, not JSON, an unknown or malformed message."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    session: str = ""


class _Request(_Message, frozen=True, kw_only=True):
    id: int


class _Reply(_Message, frozen=True, kw_only=True):
    id: int


class Proxy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a browser sends its traffic: `server` is scheme://host:port."""

    server: str
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Leave out the credentials: a frame may be quoted in an error."""
        return f"Proxy(server={self.server!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("server", self.server)]


class Launch(_Request, frozen=True, kw_only=True):
    """Run a browser on a profile directory.

    `executable` is the browser; `run_as`, where given, is the command that puts it into a cell. Its processes
    carry `marker` and keep their temporary files in `scratch`. Giving this up leaves it to `Discard` to find
    out what has come of it.
    """

    engine: str
    executable: str
    run_as: tuple[str, ...] = ()
    profile: str
    headless: bool
    marker: str
    scratch: str
    proxy: Proxy | None = None


class Navigate(_Request, frozen=True, kw_only=True):
    """Load a URL up to its document; with none, load the current page again."""

    url: str | None = None


class Inspect(_Request, frozen=True, kw_only=True):
    """Look at the page with one login detection method."""

    method: Method
    selectors: Mapping[str, str]


class Rehearse(_Request, frozen=True, kw_only=True):
    """Show an empty page as if it came from a URL's site, without asking that site for anything.

    What a browser does for its first page of a site, it has then done before that page is asked for.
    """

    url: str


class Close(_Request, frozen=True, kw_only=True):
    """End the browser politely."""


class Discard(_Request, frozen=True, kw_only=True):
    """Let go of the session: reply once nothing of its browser can be started any more.

    Whoever asks sees to it meanwhile that what runs of it is killed.
    """


class Ping(_Request, frozen=True, kw_only=True):
    """Show that you, and the session's browser if one is named and runs, are alive."""


class Cancel(_Message, frozen=True, kw_only=True):
    """Give up on a request; it still gets its reply, which nobody waits for."""

    id: int


class Done(_Reply, frozen=True, kw_only=True):
    """The request was carried out."""


class Found(_Reply, frozen=True, kw_only=True):
    """The answer to `Inspect`."""

    finding: Finding


class Unreachable(_Reply, frozen=True, kw_only=True):
    """The page could not be loaded; `detail` is an error code or an HTTP status, never page content."""

    detail: str


class Failed(_Reply, frozen=True, kw_only=True):
    """The request failed for any other reason; `detail` is for the log, redacted by whoever receives it."""

    detail: str


class Ready(_Message, frozen=True, kw_only=True):
    """The host's first words."""

    version: int


class Lost(_Message, frozen=True, kw_only=True):
    """A session's browser is gone without having been asked to go; without a session, the host gives up."""

    detail: str


Request = Launch | Navigate | Inspect | Rehearse | Close | Discard | Ping
ToHost = Request | Cancel
Reply = Done | Found | Unreachable | Failed
FromHost = Reply | Ready | Lost

_to_host: msgspec.json.Decoder[ToHost] = msgspec.json.Decoder(ToHost)
_from_host: msgspec.json.Decoder[FromHost] = msgspec.json.Decoder(FromHost)
# What msgspec raises at bytes that are not such a message; RecursionError at JSON nested too deeply.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def encode(message: ToHost | FromHost) -> bytes:
    """Return `message` as one frame.

    Raises `FrameError` when it is longer than a frame may be, or holds text that is not Unicode: lone
    surrogates, as which Python reads bytes in paths and in the environment that are not UTF-8.
    """
    try:
        body = msgspec.json.encode(message)
    except UnicodeEncodeError as exc:
        raise FrameError(f"a {type(message).__name__} holds text that is not Unicode: {exc}") from exc
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a {type(message).__name__} of {len(body)} bytes does not fit a frame")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def decode_to_host(body: bytes) -> ToHost:
    """Return the message in a frame sent to a host. Raises `FrameError`."""
    try:
        return _to_host.decode(body)
    except _UNREADABLE as exc:
        raise FrameError(f"not a message to a host: {exc}") from exc


def decode_from_host(body: bytes) -> FromHost:
    """Return the message in a frame sent by a host. Raises `FrameError`."""
    try:
        return _from_host.decode(body)
    except _UNREADABLE as exc:
        raise FrameError(f"not a message from a host: {exc}") from exc


@attrs.define(eq=False, repr=False)
class FrameBuffer:
    """Cuts a byte stream, fed in pieces of any size, into the bodies of its frames."""

    _bytes: bytearray = attrs.field(factory=bytearray, init=False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in `data` and yield each body completed by it. Raises `FrameError` at too long a frame."""
        self._bytes += data
        while len(self._bytes) >= _LENGTH_BYTES:
            length = int.from_bytes(self._bytes[:_LENGTH_BYTES], "big")
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {length} bytes is announced; {MAX_FRAME_BYTES} are allowed")
            end = _LENGTH_BYTES + length
            if len(self._bytes) < end:
                return
            body = bytes(self._bytes[_LENGTH_BYTES:end])
            del self._bytes[:end]
            yield body
