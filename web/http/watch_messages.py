"""What goes over the WebSocket of one who watches a session, beside events and pictures.

To the client go text messages in JSON: events, `FrameMessage` with the JPEG in a binary message after it, and
`RefusedMessage`. From the client come text messages: `WatchRequest`.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from greenroom.actors.actions.actions import Url
from greenroom.actors.actions.inputs import Key, Mouse, Paste, Text, Wheel

MIN_FPS: Final = 0.05
MAX_FPS: Final = 30


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class View(_Request, frozen=True, kw_only=True, tag="view"):
    """Ask for pictures: at most so many a second, 0 for none, as JPEGs of a quality."""

    fps: Annotated[float, Meta(ge=0, le=MAX_FPS)] = 10
    quality: Annotated[int, Meta(ge=1, le=100)] = 60


class Ack(_Request, frozen=True, kw_only=True, tag="ack"):
    """Say that a picture has arrived: at most two are sent before that."""

    seq: Annotated[int, Meta(ge=0)]


class UseLease(_Request, frozen=True, kw_only=True, tag="lease"):
    """Show the lease for what is done by hand from now on; null to show none."""

    lease: Annotated[str, Meta(max_length=200)] | None

    def __repr__(self) -> str:
        return "UseLease(...)"


class Navigate(_Request, frozen=True, kw_only=True, tag="navigate"):
    """Load a URL in the selected page."""

    url: Url

    def __repr__(self) -> str:
        return "Navigate(...)"


class _AnyType(msgspec.Struct):
    type: Annotated[str, Meta(max_length=20)]


def type_of(message: str | bytes) -> str:
    """Return the type that a message gives itself, whatever else is wrong with it; else "message"."""
    try:
        return msgspec.json.decode(message, type=_AnyType).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "message"


WatchRequest = View | Ack | UseLease | Navigate | Mouse | Wheel | Key | Text | Paste


class FrameMessage(msgspec.Struct, kw_only=True):
    """Announces the picture in the next message. `width` and `height` are the page's, in CSS pixels."""

    type: Literal["frame"] = "frame"
    seq: int
    page: str
    width: int
    height: int


class RefusedMessage(msgspec.Struct, kw_only=True):
    """Says that something was not done: the type of the message, a code for programs, and why.

    `of` is "message" if that had no type. `explanation` is what the browser said, if it did.
    """

    type: Literal["refused"] = "refused"
    of: str
    code: str
    details: str
    explanation: str | None = None
