"""Decides what passes between a client's Playwright and its session's driver. Nothing here does I/O.

A message is a JSON object. The driver creates objects, each with a guid and a type; a client calls methods of
objects, and gets a reply for each call:

    {"guid": "", "method": "__create__", "params": {"type": "Page", "guid": "page@1", "initializer": {}}}
    {"id": 7, "guid": "page@1", "method": "reload", "params": {}, "metadata": {}}
    {"id": 7, "result": {}}
"""

import enum
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs
import msgspec

from greenroom.actors.actions.actions import Url
from greenroom.actors.relay.objects import Objects
from greenroom.actors.relay.surrogates import without_lone_surrogates
from greenroom.actors.relay.table import HIDDEN_TYPES, METHODS, PLAYWRIGHT, REFUSED_PARAMETERS

T = TypeVar("T")

# How many calls of one client may be under way, and how many of its files may be open in the driver.
MAX_CALLS: Final = 1000
MAX_OPEN_FILES: Final = 500
_PLAIN_NAME = re.compile(r"[\w-]{1,100}", re.ASCII)
_METHOD = re.compile(r"[A-Za-z_]{1,50}")
# What a client needs for nothing, and is not to know: in the initializers of these types.
_SECRET_OPTIONS = ("clientCertificates", "extraHTTPHeaders", "httpCredentials", "proxy")

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Malformed(Exception):
    """A message is not one of Playwright's protocol."""


class ForeignBrowser(Exception):
    """The driver shows another browser than the session's own."""


class Step(enum.Enum):
    """What is to be done with a client's message."""

    FORWARD = enum.auto()
    """Send it to the driver."""
    FORWARD_KEEPING_DIALOGS = enum.auto()
    """The same, and from now on dialogs wait for an answer."""
    ANSWER = enum.auto()
    """Send the message to the client instead."""
    DROP = enum.auto()
    """Do nothing."""
    LEAVE = enum.auto()
    """Answer with the message; then the client leaves."""
    END_SESSION = enum.auto()
    """Answer with the message; then the session ends."""


class _Call(msgspec.Struct):
    """A message from a client. What may be large in it, such as the content of a file, stays as it came."""

    guid: str
    method: str
    id: int | str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _FromDriver(msgspec.Struct):
    id: int | str | None = None
    guid: str = ""
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")


class _Create(msgspec.Struct):
    type: str
    guid: str
    initializer: msgspec.Raw


class _Guid(msgspec.Struct):
    guid: str


_call_decoder = msgspec.json.Decoder(_Call)
_driver_decoder = msgspec.json.Decoder(_FromDriver)
_create_decoder = msgspec.json.Decoder(_Create)
_guid_decoder = msgspec.json.Decoder(_Guid)
_object_decoder = msgspec.json.Decoder(dict[str, Any])
_encode = msgspec.json.Encoder().encode


class _Refused(Exception):
    """A call that does not pass; the text is for the client."""


@attrs.define(eq=False, kw_only=True, repr=False)
class Filter:
    """What one client may see and call.

    `browser` is the guid of its session's browser. `may_open` says whether a page may be sent to a URL.
    `closing` holds the guids of pages that are being closed, and is shared by the session's clients.
    `on_refused` is called with the type and the method of each refused call, "unknown" where they are.
    """

    browser: str
    may_open: Callable[[str], bool]
    closing: set[str]
    on_refused: Callable[[str, str], None]
    _objects: Objects = attrs.field(factory=Objects, init=False)
    _calls: dict[int | str, str] = attrs.field(factory=dict, init=False)

    def from_client(self, message: bytes) -> tuple[Step, bytes]:
        """Return what to do with a client's message, and with which message. Raises `Malformed`."""
        if b"\0" in message:  # which ends a message to the driver
            raise Malformed("a zero byte")
        call = _read(_call_decoder, message)
        if call.method == "__waitInfo__":  # only for traces, and the driver may keep it for good
            return Step.DROP, b""
        if call.method == "__abort__":
            return Step.FORWARD, _encode(call)
        if call.id is None:
            raise Malformed("a call without an id")
        type_ = self._objects.type_of(call.guid)
        try:
            return self._pass_call(call, type_)
        except _Refused as refused:
            method = call.method if _METHOD.fullmatch(call.method) else "unknown"
            self.on_refused(type_ or "unknown", method)
            return Step.ANSWER, _encode(_refusal(call.id, str(refused)))

    def _pass_call(self, call: _Call, type_: str) -> tuple[Step, bytes]:
        done = _encode({"id": call.id, "result": {}})
        match type_, call.method:
            case "Browser", "close":
                return Step.LEAVE, done
            case "BrowserContext", "close":
                return Step.END_SESSION, done
            case "APIRequestContext", "dispose":  # part of closing a context; the driver's own is kept
                return Step.ANSWER, done
        self._check(call, type_)
        assert call.id is not None  # noqa: S101  # checked by the only caller
        # Whether a page closes that asks its user first is not known from the reply.
        self._calls[call.id] = call.guid if (type_, call.method) == ("Page", "close") else ""
        if type_ in {"Stream", "WritableStream"} and call.method == "close":
            self._objects.close(call.guid)
        keeps_dialogs = False
        if call.method == "updateSubscription":
            params = _params(call)
            keeps_dialogs = params.get("event") == "dialog" and params.get("enabled") is True
        # A driver ends with all its sessions if a call has no metadata at all.
        call.metadata = call.metadata if bytes(call.metadata).startswith(b"{") else msgspec.Raw(b"{}")
        return Step.FORWARD_KEEPING_DIALOGS if keeps_dialogs else Step.FORWARD, _encode(call)

    def _check(self, call: _Call, type_: str) -> None:
        """Raise `_Refused` unless the call passes."""
        if not type_:
            raise _Refused("This session has no such object, or not any more")
        if call.method not in METHODS.get(type_, ()):
            raise _Refused(f"{type_}.{call.method[:50]} is not available in a session of Greenroom")
        if len(self._calls) >= MAX_CALLS or call.id in self._calls:
            raise _Refused(f"At most {MAX_CALLS} calls at once, each with an id of its own")
        if names := REFUSED_PARAMETERS.get((type_, call.method)):
            for refused in names & _params(call).keys():
                raise _Refused(f"{type_}.{call.method} can't take {refused} in a session of Greenroom")
        self._check_parameters(call, type_)

    def _check_parameters(self, call: _Call, type_: str) -> None:
        match type_, call.method:
            case "Frame", "goto":
                self._check_url(_params(call).get("url"))
            case "Page", "close" | "runBeforeUnload":
                self._check_last_page(call.guid)
            case "BrowserContext", "createTempFiles":
                items = _params(call).get("items")
                self._check_room(len(items) if isinstance(items, list) else 0)
            case "Artifact", "saveAsStream" | "stream":
                self._check_room(1)
            case "Tracing", "tracingStart" | "tracingStartChunk":
                # It becomes a part of a path.
                name = _params(call).get("name")
                if name is not None and not (isinstance(name, str) and _PLAIN_NAME.fullmatch(name)):
                    raise _Refused("A trace's name has only letters, digits, - and _")

    def _check_url(self, url: object) -> None:
        try:
            given = msgspec.convert(url, Url)
        except msgspec.ValidationError:
            raise _Refused("Only http and https URLs and about:blank can be opened in a session") from None
        if not self.may_open(given):
            raise _Refused("A session can't open the daemon's own address")

    def _check_last_page(self, guid: str) -> None:
        """Keep Firefox from quitting, as it does with its last page."""
        if not self._objects.pages - self.closing - {guid}:
            raise _Refused("The last page of a session can't be closed: close the context to end the session")
        self.closing.add(guid)

    def _check_room(self, files: int) -> None:
        if files + self._objects.open_files > MAX_OPEN_FILES:
            raise _Refused(f"At most {MAX_OPEN_FILES} files at once")

    def from_driver(self, message: bytes) -> bytes:
        """Return what of a driver's message is for the client: all of it, a part, or nothing.

        Raises `Malformed` and `ForeignBrowser`.
        """
        event = _read(_driver_decoder, message)
        if event.id is not None:
            self._note_reply(event.id)
        match event.method:
            case "__create__":
                return self._create(event, message)
            case "__adopt__":
                self._objects.adopt(event.guid, _read(_guid_decoder, event.params).guid)
            case "__dispose__":
                self.closing -= self._objects.dispose(event.guid)
        return message

    def _note_reply(self, id_: int | str) -> None:
        closed = self._calls.pop(id_, "")
        self.closing.discard(closed)  # a page that has really closed is disposed of before that

    def _create(self, event: _FromDriver, message: bytes) -> bytes:
        created = _read(_create_decoder, event.params)
        if created.type in HIDDEN_TYPES:
            return b""
        if created.type == "Browser" and created.guid != self.browser:
            raise ForeignBrowser
        self._objects.create(created.guid, created.type, event.guid)
        if created.type not in {"BrowserContext", "BrowserType", "Playwright"}:
            return message
        initializer = _read(_object_decoder, created.initializer)
        match created.type:
            case "BrowserContext":
                for name in _SECRET_OPTIONS:
                    initializer["options"].pop(name, None)
            case "BrowserType":
                initializer["executablePath"] = ""
            case _:
                initializer.pop("utils", None)
        params = {"type": created.type, "guid": created.guid, "initializer": initializer}
        return _encode({"guid": event.guid, "method": event.method, "params": params})


def _read(decoder: msgspec.json.Decoder[T], message: bytes | msgspec.Raw) -> T:
    """Return what a message says. Raises `Malformed`."""
    try:
        try:
            return decoder.decode(message)
        except msgspec.DecodeError:
            return decoder.decode(without_lone_surrogates(bytes(message)))
    except _UNREADABLE as exc:
        raise Malformed(str(exc)) from exc


def _params(call: _Call) -> dict[str, Any]:
    """Return a call's parameters. Raises `_Refused`."""
    try:
        return _read(_object_decoder, call.params)
    except Malformed as exc:
        raise _Refused(f"The parameters can't be read: {exc}") from exc


def _refusal(id_: int | str, why: str) -> dict[str, Any]:
    error = {"name": "Error", "message": f"{why} (relay for Playwright {PLAYWRIGHT})", "stack": ""}
    return {"id": id_, "error": {"error": error}}
