"""The viewer object in the data that a page carries for its own scripts.

The places are those of TikTok's pages of 2020 to 2026; its own bundle takes a viewer object there for a
login. The profile that is looked at, as at `webapp.user-detail`, is another object at another place.
"""

import re
from collections.abc import Iterable, Iterator

import attrs
import msgspec

from actors.verdict.data import UNREADABLE, DataReader, is_assigned, member
from actors.verdict.reading import Script
from actors.verdict.verdict import Evidence, LoginReason, LoginState, Strength

_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_HANDLE = re.compile(r"[\w.]{1,64}", re.ASCII)
# How JavaScript writes that there is nothing, once it is text.
_NOBODY = {"0", "undefined", "null", "NaN", "false"}


@attrs.frozen
class Place:
    """Where pages of one era have the viewer: in a script, in the object at `path`, under one of `keys`."""

    script: str
    path: tuple[str, ...]
    keys: tuple[str, ...] = ("user",)

    def __str__(self) -> str:
        return f"{self.script}: {'.'.join((*self.path, ' or '.join(self.keys)))}"


PLACES = (
    Place("__UNIVERSAL_DATA_FOR_REHYDRATION__", ("__DEFAULT_SCOPE__", "webapp.app-context")),
    Place("SIGI_STATE", ("AppContext", "appContext"), ("user", "$user")),
    Place("__NEXT_DATA__", ("props", "initialProps"), ("$user",)),
    Place("__Creator_Center_Context__", ("commonAppContext",)),
)
_DATA = frozenset(place.script for place in PLACES)
_SIGI, _SIGI_ALIAS = "SIGI_STATE", "sigi-persisted-data"
# The object within SIGI_STATE that is looked for when it is written in JavaScript.
_CONTEXT = "AppContext"


@attrs.frozen
class Viewers:
    """What the page's data says of its viewer, and the handle where it has one."""

    evidence: tuple[Evidence, ...]
    handle: str | None


def find_viewers(data_scripts: Iterable[tuple[str, str]]) -> Viewers:
    """Look for the viewer object at all its places in these scripts' names and texts.

    Takes linear time; never raises.
    """
    evidence: list[Evidence] = []
    handle: str | None = None
    reader = DataReader()
    for name, text in data_scripts:
        data = reader.read(text, literal_key=_CONTEXT if name == _SIGI else None)
        if data is None:
            evidence.append(_unreadable(name))
            continue
        for place in PLACES:
            for user in _users_at(place, data) if place.script == name else ():
                viewer = read_viewer(user)
                evidence.append(viewer_evidence(str(place), is_there=viewer is not None))
                handle = handle or viewer
    return Viewers(tuple(evidence), handle or None)


def data_name(script: Script) -> str | None:
    """Return the name under which a script carries a page's data, None if it does not."""
    if script.id in _DATA:
        return script.id
    if script.id == _SIGI_ALIAS or (script.is_code and is_assigned(_SIGI, script.text)):
        return _SIGI
    return None


def read_viewer(user: bytes) -> str | None:
    """Return the handle in a viewer object, given as JSON: "" where it has none, None if nobody is there."""
    uid = _text(member(user, "uid"))
    if not _ID.fullmatch(uid) or uid in _NOBODY:
        return None
    handle = _text(member(user, "uniqueId"))
    return handle if _HANDLE.fullmatch(handle) else ""


def viewer_evidence(
    place: str, *, is_there: bool, reason: LoginReason = LoginReason.VIEWER_OBJECT
) -> Evidence:
    """Return what it tells that the viewer is, or is not, where one would be."""
    return Evidence(
        rule="viewer object" if is_there else "no viewer object",
        place=place,
        points_to=LoginState.LOGGED_IN if is_there else LoginState.LOGGED_OUT,
        strength=Strength.STRUCTURE if is_there else Strength.ABSENCE,
        reason=reason,
    )


def _unreadable(script: str) -> Evidence:
    return Evidence(
        rule="data that can't be read",
        place=script,
        points_to=LoginState.UNCERTAIN,
        strength=Strength.ABSENCE,
        reason=LoginReason.UNREADABLE,
    )


def _users_at(place: Place, data: bytes) -> Iterator[bytes]:
    """Yield the users at a place, `{}` if it is there but nobody is at it."""
    context: bytes | None = data
    for key in place.path:
        context = member(context, key) if context is not None else None
    if context is not None and context.startswith(b"{"):
        users = [user for key in place.keys if (user := member(context, key)) is not None]
        yield from users or [b"{}"]


def _text(value: bytes | None) -> str:
    """Return a JSON string or number as text, anything else as nothing."""
    try:
        return str(_scalar.decode(value or b'""'))
    except UNREADABLE:
        return ""


_scalar: msgspec.json.Decoder[str | int] = msgspec.json.Decoder(str | int)
