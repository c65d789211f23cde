"""Finds the viewer object in the data that a page carries for its own scripts.

The places are those of TikTok's pages from 2020 to 2026, whose own code takes a viewer object there for a
login. The profile that a page shows, as in `webapp.user-detail`, is another object at another place.
"""

import re
from collections.abc import Iterable, Iterator

import attrs
import msgspec

from greenroom.actors.verdict.data import UNREADABLE, DataReader, assigned_at, member, members
from greenroom.actors.verdict.reading import Script
from greenroom.actors.verdict.verdict import Evidence, LoginReason, LoginState, Strength

# Somebody's id: neither a zero in any form nor any language's word for nobody.
_ID = re.compile(
    r"(?!(?:[0.]*|undefined|null|nil|none|nan|false|true|guest|anonymous)\Z)[\w.][\w.-]{0,63}",
    re.ASCII | re.IGNORECASE,
)
_HANDLE = re.compile(r"[\w.]{1,64}", re.ASCII)
# What JavaScript's empty values become as text.
_NOBODY = {"0", "undefined", "void 0", "null", "NaN", "false", ""}
_EMPTY = {b"null", b"0", b"false", b"true", b"{}", b"[]", *(f'"{nothing}"'.encode() for nothing in _NOBODY)}
# What a page may know without knowing its viewer.
_NO_IDENTITY = {"language", "lang", "locale", "region", "country"}
# A person, under any of these keys.
_PERSON_KEYS = ("uid", "userId", "user_id", "secUid", "sec_uid", "uniqueId", "unique_id")
_PERSON = re.compile(
    rb'"(?:%s)"\s*:\s*(?:[1-9]|"(?!(?:0|undefined|null)?")[^"])' % "|".join(_PERSON_KEYS).encode()
)
# A context is recognized as TikTok's by the ids of its web apps, its hosts, or the tokens it gives a browser.
_APP_IDS = {"1180", "1233", "1284", "1988"}
_TIKTOK_HOST = re.compile(r"(?:https?://)?(?:[\w-]+\.)*tiktok\.com/?", re.ASCII)
_HOST_KEYS = ("host", "$host", "baseURL", "$baseURL")
_WEB_IDS = ("wid", "$wid")
_WEB_TOKENS = ("csrfToken", "$csrfToken", "nonce", "requestId")


@attrs.frozen
class Place:
    """Where pages of one era have the viewer: in which script, at which `path`, under one of `keys`."""

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
_UNIVERSAL, _CREATOR = PLACES[0].script, PLACES[3].script
# A shop's page has its flag in the page's own object in the loaders' data, or a few levels below it.
_ROUTER, _FLAG, _FLAG_DEPTH = "__MODERN_ROUTER_DATA__", "is_login", 6
DATA_IDS = frozenset({*(place.script for place in PLACES), _ROUTER, "sigi-persisted-data"})
_SIGI, _SIGI_ALIAS = "SIGI_STATE", "sigi-persisted-data"
# The object to read from a SIGI_STATE that is written in JavaScript.
_CONTEXT = "AppContext"


@attrs.frozen
class Viewers:
    """What the page's data says about its viewer, the viewer's handle, and whether the data is TikTok's."""

    evidence: tuple[Evidence, ...]
    handle: str | None
    is_tiktok: bool


def find_viewers(data_scripts: Iterable[tuple[str, Script]]) -> Viewers:
    """Look for the viewer object at all its places in `data_scripts`, pairs of a name and a script.

    Takes linear time; never raises.
    """
    evidence: list[Evidence] = []
    handle: str | None = None
    is_tiktok = False
    reader = DataReader()
    for name, script in data_scripts:
        is_assigned = name == _SIGI and script.is_code
        data = reader.read(script.text, assigned=_SIGI if is_assigned else "", key=_CONTEXT)
        if data is None:
            evidence.append(_unreadable(name))
            continue
        evidence += _router_flags(data) if name == _ROUTER else ()
        is_tiktok |= name == _UNIVERSAL and _has_webapp(data)
        for place in PLACES:
            context = _context_at(place, data) if place.script == name else None
            if context is None:
                continue
            is_tiktok |= name == _CREATOR or _is_tiktoks(context)
            for user in _users_in(place, context):
                viewer = read_viewer(user)
                evidence.append(_viewer_or_nobody(place, user, viewer, context))
                handle = handle or viewer
    return Viewers(tuple(evidence), handle or None, is_tiktok)


def data_name(script: Script) -> str | None:
    """Return the name under which a script carries a page's data, or None if it carries none."""
    if script.id in DATA_IDS:
        return _SIGI if script.id == _SIGI_ALIAS else script.id
    return _SIGI if script.is_code and assigned_at(_SIGI, script.text) is not None else None


def read_viewer(user: bytes) -> str | None:
    """Return the handle in a viewer object, given as JSON: "" if it has none, None if nobody is there."""
    uid = _text(member(user, "uid"))
    if not _ID.fullmatch(uid):
        return None
    handle = _text(member(user, "uniqueId"))
    return handle if _HANDLE.fullmatch(handle) else ""


def viewer_evidence(
    place: str, *, is_there: bool, reason: LoginReason = LoginReason.VIEWER_OBJECT
) -> Evidence:
    """Return the evidence of a viewer, or of an empty place where one would be."""
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


def _viewer_or_nobody(place: Place, user: bytes, viewer: str | None, context: bytes) -> Evidence:
    """Return the evidence of what is at the viewer's place in this context.

    An empty place counts only in its known forms; anything else could be a viewer in a form still unknown.
    """
    if viewer is not None:
        return viewer_evidence(str(place), is_there=True)
    if _is_nobody(user) and not _names_somebody(context, place.keys):
        return viewer_evidence(str(place), is_there=False)
    return Evidence(
        rule="somebody in an unknown form",
        place=str(place),
        points_to=LoginState.UNCERTAIN,
        strength=Strength.ABSENCE,
        reason=LoginReason.CONFLICT,
    )


def _is_nobody(user: bytes) -> bool:
    """Return whether the value at the viewer's place identifies nobody."""
    if user in _EMPTY:
        return True
    found = members(user)
    return found is not None and all(value in _EMPTY or key in _NO_IDENTITY for key, value in found.items())


def _names_somebody(context: bytes, keys: tuple[str, ...]) -> bool:
    """Return whether a context names a person under any key except these."""
    # TikTok may have moved the viewer to a new key; the known one is then empty for everybody.
    others = {key: value for key, value in (members(context) or {}).items() if key not in keys}
    return any(
        _PERSON.search(value) or (key in _PERSON_KEYS and not _is_nobody(value))
        for key, value in others.items()
    )


def _context_at(place: Place, data: bytes) -> bytes | None:
    """Return the object at the place's path, in which the viewer would be, or None."""
    context: bytes | None = data
    for key in place.path:
        context = member(context, key) if context is not None else None
    return context if context is not None and context.startswith(b"{") else None


def _users_in(place: Place, context: bytes) -> Iterator[bytes]:
    """Yield the values under the viewer's keys, or `{}` if none of the keys is there."""
    users = [user for key in place.keys if (user := member(context, key)) is not None]
    yield from users or [b"{}"]


def _has_webapp(data: bytes) -> bool:
    """Return whether the data has one of the scopes that TikTok's web app reads."""
    scopes = members(member(data, "__DEFAULT_SCOPE__") or b"")
    return any(key.startswith("webapp.") for key in scopes or ())


def _is_tiktoks(context: bytes) -> bool:
    """Return whether an app's context is TikTok's."""
    found = members(context) or {}
    texts = {key: _text(found[key]) for key in (*_HOST_KEYS, *_WEB_IDS, *_WEB_TOKENS) if key in found}
    return (
        bool(_APP_IDS & {_text(found.get(key)) for key in ("appId", "$appId", "aid")})
        or any(_TIKTOK_HOST.fullmatch(texts.get(key, "")) for key in _HOST_KEYS)
        or (any(texts.get(key) for key in _WEB_IDS) and any(texts.get(key) for key in _WEB_TOKENS))
    )


def _router_flags(data: bytes) -> Iterator[Evidence]:
    """Yield what a shop's page says about its viewer: whether there is one, but not who it is."""
    for flag in sorted(set(_flags_in(member(data, "loaderData") or b"", _FLAG_DEPTH))):
        yield Evidence(
            rule=f"is_login={flag.decode()}",
            place=_ROUTER,
            points_to=LoginState.LOGGED_IN if flag == b"true" else LoginState.LOGGED_OUT,
            strength=Strength.STRUCTURE,
            reason=LoginReason.LOGIN_FLAG,
        )


def _flags_in(container: bytes, depth: int) -> Iterator[bytes]:
    for key, value in (members(container) or {}).items():
        if key == _FLAG and value in {b"true", b"false"}:
            yield value
        elif depth and value.startswith(b"{") and _FLAG.encode() in value:
            yield from _flags_in(value, depth - 1)


def _text(value: bytes | None) -> str:
    """Return a JSON string or number as text, and "" for anything else."""
    try:
        return str(_scalar.decode(value or b'""'))
    except UNREADABLE:
        return ""


_scalar: msgspec.json.Decoder[str | int] = msgspec.json.Decoder(str | int)
