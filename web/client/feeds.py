"""Streams that go on where they broke off: events and pictures. There is no I/O here."""

from typing import Final, Protocol, TypeVar

import attrs
import httpx_sse
import msgspec

from greenroom.web.client.errors import ApiError, ClientError, DaemonUnreachable
from greenroom.web.client.request import MAX_JSON_BYTES, Request, as_nothing
from greenroom.web.client.session_requests import path_of
from greenroom.web.http.event_messages import ENDED, EventMessage, GapMessage
from greenroom.web.http.headers import PICTURE_BOUNDARY

Event = EventMessage | GapMessage

SILENCE_S: Final = 60.0
"""A stream of events that is silent for so long is lost: the daemon gives a sign of life every 15 seconds."""

_BLANK_LINE: Final = b"\r\n\r\n"
_DELIMITER: Final = f"\r\n--{PICTURE_BOUNDARY}".encode()
_ENDS_OF_EVENTS: Final = (b"\n\n", _BLANK_LINE)
_MAX_EVENT_BYTES: Final = MAX_JSON_BYTES
_MAX_PICTURE_BYTES: Final = 32 * 1024 * 1024

Arrived_contra = TypeVar("Arrived_contra", contravariant=True)
Item = TypeVar("Item")


class Feed(Protocol[Arrived_contra, Item]):
    """A stream that is asked for again, with `request`, until it `is_over`."""

    is_over: bool
    silence_s: float | None

    def request(self) -> Request[None]:
        """Return how to ask for what comes next."""

    def take(self, arrived: Arrived_contra) -> list[Item]:
        """Return what has come. Raises `ClientError` if that is nothing that a daemon sends."""

    def note(self, error: ClientError) -> None:
        """Learn why the stream does not go on: it may be over."""


@attrs.define(eq=False)
class EventSize:
    """How much has come of an event that has not ended yet."""

    _bytes: int = attrs.field(default=0, init=False)
    _tail: bytes = attrs.field(default=b"", init=False)

    def add(self, data: bytes) -> None:
        """Count what has come. Raises `DaemonUnreachable` once that is more than the daemon sends."""
        seen = self._tail + data
        end = max(seen.rfind(end) + len(end) if end in seen else 0 for end in _ENDS_OF_EVENTS)
        self._bytes = len(seen) - end if end else self._bytes + len(data)
        self._tail = seen[-len(_BLANK_LINE) + 1 :]
        if self._bytes > _MAX_EVENT_BYTES:
            raise DaemonUnreachable("What answers is no Greenroom daemon: an event has no end")


@attrs.define(eq=False, kw_only=True)
class EventFeed:
    """Events of all sessions, or of one, after the one with the id `last_id`."""

    session_id: str | None = None
    last_id: str | None = None
    is_over: bool = attrs.field(default=False, init=False)
    silence_s: float | None = attrs.field(default=SILENCE_S, init=False)

    def request(self) -> Request[None]:
        """See `Feed`."""
        path = f"{path_of(self.session_id)}/events" if self.session_id else "/events"
        headers = {"Accept": "text/event-stream"}
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        return Request(method="GET", path=path, headers=headers, read=as_nothing)

    def take(self, arrived: httpx_sse.ServerSentEvent) -> list[Event]:
        """See `Feed`."""
        if not arrived.data:  # a sign of life
            return []
        type_: type[Event] = GapMessage if arrived.event in {"gap", "dropped"} else EventMessage
        try:
            event = msgspec.json.decode(arrived.data, type=type_)
        except msgspec.MsgspecError as exc:
            raise DaemonUnreachable("What answers is no Greenroom daemon") from exc
        if isinstance(event, EventMessage):
            self.last_id = event.id
            self.is_over = self.session_id is not None and event.type == ENDED
        return [event]

    def note(self, error: ClientError) -> None:
        """See `Feed`. It is over by its last event only."""


@attrs.define(eq=False, kw_only=True)
class PictureFeed:
    """Pictures of what a session shows, as JPEGs, whenever that changes: the parts of a multipart body."""

    session_id: str
    fps: float
    quality: int
    is_over: bool = attrs.field(default=False, init=False)
    silence_s: float | None = attrs.field(default=None, init=False)  # a page may never change
    _held: bytearray = attrs.field(factory=bytearray, init=False)

    def request(self) -> Request[None]:
        """See `Feed`."""
        self._held.clear()
        return Request(
            method="GET",
            path=f"{path_of(self.session_id)}/live.mjpeg",
            params={"fps": self.fps, "quality": self.quality},
            read=as_nothing,
        )

    def take(self, arrived: bytes) -> list[bytes]:
        """See `Feed`."""
        self._held += arrived
        pictures = []
        # A boundary follows each picture at once, and is not in it: no JPEG ends within.
        while (found := self._cut()) is not None:
            pictures.append(found)
        if len(self._held) > _MAX_PICTURE_BYTES:
            raise DaemonUnreachable("What answers is no Greenroom daemon: a picture has no end")
        return pictures

    def note(self, error: ClientError) -> None:
        """See `Feed`."""
        self.is_over = isinstance(error, ApiError) and error.code == "SESSION_ENDED"

    def _cut(self) -> bytes | None:
        start = self._held.find(_BLANK_LINE) + len(_BLANK_LINE)
        end = self._held.find(_DELIMITER, start)
        if start < len(_BLANK_LINE) or end < 0:
            return None
        picture = bytes(self._held[start:end])
        del self._held[: end + 2]
        return picture
