"""Events as clients get them, over Server-Sent Events and over a WebSocket."""

from datetime import datetime
from typing import Final

import attrs
import msgspec

from greenroom.actors.events import ActionNote, EventKind, HostEvent, SessionEvent
from greenroom.actors.lifecycle import SessionInfo, SessionState
from greenroom.supervisor.events import EventStream, Published
from greenroom.web.http.errors import CODES, code_of
from greenroom.web.http.schemas import Session

ENDED: Final = "session.ended"


class HostNote(msgspec.Struct, kw_only=True):
    """A browser host, and how many sessions it had."""

    id: str
    sessions: int


class EventError(msgspec.Struct, kw_only=True):
    """What went wrong: a code for programs, and a sentence."""

    code: str
    details: str


class EventMessage(msgspec.Struct, kw_only=True):
    """Something that has happened.

    `type` is `session.` with the state that a session has entered, such as `session.live`, or with what has
    happened to it, such as `session.login_lost`; or `host.started`, `host.lost`, `host.ended`. `session` is
    the session as it was then, null for an action. `error` is what went wrong, if that ended the session.
    """

    id: str
    at: datetime
    type: str
    session_id: str | None = None
    session: Session | None = None
    action: ActionNote | None = None
    host: HostNote | None = None
    error: EventError | None = None


class GapMessage(msgspec.Struct, kw_only=True):
    """Events are missing here: `type` is `gap` after a pause, or `dropped` for a client that is too slow."""

    type: str
    details: str


def message_of(stream: EventStream, published: Published) -> tuple[EventMessage, bytes]:
    """Return an event as clients get it, and its JSON, which is made once for all of them."""
    if published.encoded is None:
        message = _describe(published.event, id_of(stream, published.number), published.at)
        published.encoded = message, msgspec.json.encode(message)
    made: tuple[EventMessage, bytes] = published.encoded
    return made


def now_message(stream: EventStream, number: int, info: SessionInfo, at: datetime) -> EventMessage:
    """Return a session as it is, in the form of the event that led to this state."""
    return _describe(SessionEvent(session=info), id_of(stream, number), at)


def id_of(stream: EventStream, number: int) -> str:
    """Return the id of an event: numbers begin anew with each run of the daemon."""
    return f"{stream.name}-{number}"


def number_in(stream: EventStream, id_: str) -> int | None:
    """Return the number of the event that had this id in this run; None if it is of another run, or no id."""
    name, _, number = id_.partition("-")
    is_number = number.isascii() and number.isdecimal() and len(number) <= 15
    return int(number) if name == stream.name and is_number else None


def _describe(event: SessionEvent | HostEvent, id_: str, at: datetime) -> EventMessage:
    if isinstance(event, HostEvent):
        return EventMessage(
            id=id_,
            at=at,
            type=f"host.{event.change.value}",
            host=HostNote(id=event.host, sessions=event.sessions),
        )
    state = event.session.state
    what = state.value if event.kind is EventKind.STATE else event.kind.value
    is_end = event.kind is EventKind.STATE and state in {SessionState.ENDING, SessionState.ENDED}
    error = event.error if is_end else None
    return EventMessage(
        id=id_,
        at=at,
        type=f"session.{what}",
        session_id=event.session.id,
        session=None if event.kind is EventKind.ACTION else Session.of(event.session),
        action=_coded(event.action),
        error=EventError(code=code_of(error), details=str(error)) if error is not None else None,
    )


def _coded(action: ActionNote | None) -> ActionNote | None:
    """Return a note with the error's code as its outcome, not its class."""
    return action and attrs.evolve(action, outcome=CODES.get(action.outcome, action.outcome))
