"""The messages of Playwright's protocol, as far as the relay reads them.

A message is a JSON object. The driver creates objects, each with a guid and a type; a client calls methods of
objects, and gets a reply for each call:

    {"guid":"","method":"__create__","params":{"type":"Page","initializer":{},"guid":"page@1"}}
    {"id":7,"guid":"page@1","method":"reload","params":{},"metadata":{}}
    {"id":7,"result":{}}

What comes from a client may be anything. What comes from the driver has its fields in this order, as its
`DispatcherConnection` and JSON.stringify write them, but holds texts of pages: it is read from its two ends.
"""

import re
from typing import Any, Final, TypeVar

import attrs
import msgspec
from msgspec import UNSET, Raw, UnsetType

from greenroom.actors.relay.surrogates import without_lone_surrogates
from greenroom.actors.relay.table import PLAYWRIGHT, REFUSED_PARAMETERS

T = TypeVar("T")

# Repairing lone surrogates takes a step in Python for each escape.
_MAX_REPAIRED_BYTES = 1 << 16
_MAX_ABORT_BYTES = 1 << 12
# Clients send a few hundred. To read a number such as 1e308 takes 20 µs, and a field may be there many times.
_MAX_METADATA_BYTES = 1 << 14
# What JavaScript's numbers can tell apart, and what clients use where they use texts.
_MAX_ID: Final = 1 << 53
_ID = re.compile(r"[\w@.:-]{1,64}", re.ASCII)
_REPLY = re.compile(rb'\{"id":(-?\d+|"[\w@.:-]+")(,"error":)?')
_EVENT = re.compile(rb'\{"guid":"([^"\\]*)","method":"(\w+)"(?:,"params":\{"type":"(\w+)")?')
_LAST_GUID = re.compile(rb'"guid":"([^"\\]*)"\}\}$')
_TAIL_BYTES = 300
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
encode = msgspec.json.Encoder().encode


class Malformed(Exception):
    """A message is not one of Playwright's protocol."""


class Call(msgspec.Struct):
    """A message from a client. What may be large in it, such as the content of a file, stays as it came."""

    guid: str
    method: str
    id: int | str | None = None
    params: Raw = Raw(b"{}")
    metadata: Raw = Raw(b"{}")


class _Metadata(msgspec.Struct, omit_defaults=True):
    """What the driver needs of a call's metadata. Of the rest it makes titles, in quadratic time."""

    timeout: float | None = None
    internal: bool = False


class Abort(msgspec.Struct):
    """The parameters of a message that cancels a call."""

    id: int | str
    reason: str = ""


_READ: Final = (
    *("selector", "source", "target", "mask", "url", "items", "rootDirName", "patterns", "name", "mode"),
    *("event", "enabled", "expression", "isFunction"),
)
_NAMES: Final = sorted({*_READ, *(name for names in REFUSED_PARAMETERS.values() for name in names)})
Params: Any = msgspec.defstruct("Params", [(name, Raw | UnsetType, UNSET) for name in _NAMES])
"""Those of a call's parameters that the relay looks at, still in JSON."""

_calls = msgspec.json.Decoder(Call)
_params = msgspec.json.Decoder(Params)
_metadata = msgspec.json.Decoder(_Metadata)
_aborts = msgspec.json.Decoder(Abort)
_whole = msgspec.json.Decoder(dict[str, Any])


def read_call(message: bytes) -> Call:
    """Return a client's message. Raises `Malformed`."""
    if b"\0" in message:  # which would end the message, at the driver
        raise Malformed("a zero byte")
    call = _read(_calls, message)
    match call.id:
        case str(id_) if not _ID.fullmatch(id_):
            raise Malformed("an odd id")
        case int(id_) if not -_MAX_ID <= id_ <= _MAX_ID:
            raise Malformed("an id that is too large")
        case _:
            return call


def read_params(call: Call) -> Any:
    """Return a call's `Params`. Raises `Malformed`."""
    return _read(_params, call.params)


def read_value(value: Raw | UnsetType, type_: type[T]) -> T | None:
    """Return one parameter, None if it is not there. Raises `Malformed`."""
    if isinstance(value, UnsetType) or bytes(value) == b"null":
        return None
    return _read(msgspec.json.Decoder(type_), value)


def size_of(value: Raw | UnsetType) -> int:
    """Return how many bytes of JSON a parameter has."""
    return 0 if isinstance(value, UnsetType) else len(bytes(value))


def read_abort(call: Call) -> Abort:
    """Return which call a client no longer waits for. Raises `Malformed`."""
    if size_of(call.params) > _MAX_ABORT_BYTES:
        raise Malformed("a long abort")
    return _read(_aborts, call.params)


def plain_metadata(call: Call) -> Raw:
    """Return metadata that the driver can take. It ends, with all its sessions, if a call has none."""
    if size_of(call.metadata) > _MAX_METADATA_BYTES:
        return Raw(b"{}")
    try:
        return Raw(encode(_metadata.decode(call.metadata)))
    except _UNREADABLE:
        return Raw(b"{}")


@attrs.frozen(kw_only=True)
class Reply:
    """The driver's reply to a call."""

    id: int | str
    has_failed: bool


@attrs.frozen(kw_only=True)
class Event:
    """Something that a driver says of an object. `created` is the type, `about` the guid of another object.

    These are set in messages that create or adopt an object.
    """

    guid: str
    method: str
    created: str = ""
    about: str = ""


def read_driver(message: bytes) -> Reply | Event:
    """Return what a driver's message is about. Raises `Malformed`."""
    if (reply := _REPLY.match(message)) is not None:
        id_ = reply[1].decode()
        return Reply(id=id_[1:-1] if id_[0] == '"' else int(id_), has_failed=reply[2] is not None)
    if (event := _EVENT.match(message)) is None:
        raise Malformed("neither a reply nor an event")
    guid, method, created = (part.decode() if part else "" for part in event.groups())
    if method not in {"__create__", "__adopt__"}:
        return Event(guid=guid, method=method)
    about = _LAST_GUID.search(message[-_TAIL_BYTES:])
    if about is None:
        raise Malformed("an object without a guid")
    return Event(guid=guid, method=method, created=created, about=about[1].decode())


def read_whole(message: bytes) -> dict[str, Any]:
    """Return a driver's message that holds nothing from a page. Raises `Malformed`."""
    try:
        return _whole.decode(message)
    except _UNREADABLE as exc:
        raise Malformed(str(exc)) from exc


def refusal(id_: int | str, why: str) -> bytes:
    """Return a reply that Playwright's clients raise as an error."""
    error = {"name": "Error", "message": f"{why} (relay for Playwright {PLAYWRIGHT})", "stack": ""}
    return encode({"id": id_, "error": {"error": error}})


def _read(decoder: msgspec.json.Decoder[T], message: bytes | Raw) -> T:
    try:
        try:
            return decoder.decode(message)
        except msgspec.DecodeError:
            text = bytes(message)
            if len(text) > _MAX_REPAIRED_BYTES:
                raise
            return decoder.decode(without_lone_surrogates(text))
    except _UNREADABLE as exc:
        raise Malformed(str(exc)) from exc
