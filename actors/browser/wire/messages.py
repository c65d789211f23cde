"""The messages between the daemon and a browser host.

The host speaks first, with `Ready`; a protocol version other than ours ends the conversation. Every message
names its session, since a host serves several; those about the host itself leave it empty. Requests carry an
id, and exactly one reply carries it back.

A request with `credit` gets pieces before its reply: the bytes of its result, however many. The host sends
no more pieces than it has credit for, and the daemon gives more credit as pieces are read. So the data under
way is bounded, however slow the reader. `Cancel` ends a request early; the reply still comes, after the last
piece.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

import msgspec

from greenroom.actors.machine.storage_state import StorageState
from greenroom.actors.verdict import Finding, Method

PROTOCOL_VERSION = 7

_Pieces = Annotated[int, msgspec.Meta(ge=1, le=1024)]


class Failure(Enum):
    """Why a request failed.

    `BROWSER` means that the browser can't be used any more. After the others it is well: an operation came
    to nothing.
    """

    BROWSER = "browser"
    ACTION = "action"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    STALE_REF = "stale_ref"
    AMBIGUOUS = "ambiguous"
    UNREACHABLE = "unreachable"
    CRASHED = "crashed"
    DIALOG = "dialog"
    NO_PAGE = "no_page"
    NO_FILE = "no_file"


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    session: str = ""


class _Request(_Message, frozen=True, kw_only=True):
    id: int


class _Reply(_Message, frozen=True, kw_only=True):
    id: int


class _Streaming(_Request, frozen=True, kw_only=True):
    credit: _Pieces


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
    carry `marker` and keep their temporary files in `scratch`. If this is cancelled, `Discard` waits for the
    launch's outcome.
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


class Restore(_Request, frozen=True, kw_only=True):
    """Take in cookies and what sites keep, without asking any site for anything."""

    state: StorageState


class Rehearse(_Request, frozen=True, kw_only=True):
    """Show an empty page as if it came from a URL's site, without asking that site for anything.

    The browser has then done the work of a site's first page before that page is requested.
    """

    url: str


class Perform(_Streaming, frozen=True, kw_only=True):
    """Carry out an operation in at most `timeout_s`, and send what it comes to.

    The operation is JSON, as `actions.decoding` makes it: one that can't be read fails alone.
    """

    operation: str
    timeout_s: float

    def __repr__(self) -> str:
        """Leave out the operation: it may hold what a user types."""
        return f"Perform(id={self.id}, session={self.session!r})"


class View(_Streaming, frozen=True, kw_only=True):
    """Send pictures of the selected page until cancelled, at most `fps` a second; see `wire.frames`.

    `quality` is that of a JPEG. While the sender has no credit, no pictures are taken.
    """

    fps: Annotated[float, msgspec.Meta(gt=0, le=60)]
    quality: Annotated[int, msgspec.Meta(ge=1, le=100)]


class Record(_Streaming, frozen=True, kw_only=True):
    """Send what the recorder wants to know, as a `Recorded` in JSON: with a picture, or the whole page."""

    picture: bool
    page: bool


class Input(_Request, frozen=True, kw_only=True):
    """Do by hand, in at most `timeout_s`, what the JSON in `input` says; see `actions.inputs`."""

    input: str
    timeout_s: float

    def __repr__(self) -> str:
        """Leave out the input: it may hold what a user types."""
        return f"Input(id={self.id}, session={self.session!r})"


class Bind(_Request, frozen=True, kw_only=True):
    """Let clients of Playwright connect to the browser. It may be asked for again.

    With `dialogs`, dialogs of pages wait for an answer from now on.
    """

    dialogs: bool = False


class Close(_Request, frozen=True, kw_only=True):
    """End the browser politely."""


class Discard(_Request, frozen=True, kw_only=True):
    """Release the session. Reply once nothing of its browser can be started any more.

    Meanwhile, the daemon kills what runs of it.
    """


class Ping(_Request, frozen=True, kw_only=True):
    """Show that you, and the session's browser if one is named and runs, are alive."""


class Cancel(_Message, frozen=True, kw_only=True):
    """Cancel a request. It still gets a reply, which nobody waits for."""

    id: int


class Credit(_Message, frozen=True, kw_only=True):
    """Send so many more pieces for a request."""

    id: int
    pieces: _Pieces


class Piece(_Message, frozen=True, kw_only=True):
    """The next bytes of a request's result: the frame's body."""

    id: int


class Done(_Reply, frozen=True, kw_only=True):
    """The request was carried out."""


class Found(_Reply, frozen=True, kw_only=True):
    """The answer to `Inspect`."""

    finding: Finding


class Bound(_Reply, frozen=True, kw_only=True):
    """The answer to `Bind`.

    `socket` is the path of a Unix socket below the host's directory for temporary files, and `browser` the
    guid of the browser that is found there.
    """

    socket: str
    browser: str


class Unreachable(_Reply, frozen=True, kw_only=True):
    """The page could not be loaded; `detail` is an error code or an HTTP status, never page content."""

    detail: str


class Failed(_Reply, frozen=True, kw_only=True):
    """The request failed for any other reason.

    `detail` is for the log, redacted by whoever receives it. `told` is for the client alone, since it may
    quote the page; `matches` is how many elements an ambiguous target has.
    """

    detail: str
    kind: Failure = Failure.BROWSER
    told: str = ""
    matches: int | None = None


class Ready(_Message, frozen=True, kw_only=True):
    """The host's first words."""

    version: int


class Lost(_Message, frozen=True, kw_only=True):
    """A session's browser has gone by itself. Without a session: the host itself gives up."""

    detail: str


class Navigated(_Message, frozen=True, kw_only=True):
    """A page of the session has gone to another document; sent once for all that did within half a second."""


Streaming = Perform | View | Record
Request = (
    Launch
    | Navigate
    | Inspect
    | Restore
    | Rehearse
    | Perform
    | View
    | Record
    | Input
    | Bind
    | Close
    | Discard
    | Ping
)
ToHost = Request | Cancel | Credit
Reply = Done | Found | Bound | Unreachable | Failed
FromHost = Reply | Piece | Ready | Lost | Navigated
