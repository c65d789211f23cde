"""Decides what passes between a client's Playwright and its session's driver. Nothing here does I/O."""

import enum
import re
from collections.abc import Callable
from typing import Final

import attrs

from greenroom.actors.relay.messages import (
    Call,
    Event,
    Malformed,
    Reply,
    encode,
    plain_metadata,
    read_abort,
    read_call,
    read_driver,
    read_whole,
    refusal,
)
from greenroom.actors.relay.objects import Objects
from greenroom.actors.relay.rules import Checked, Refused, check
from greenroom.actors.relay.shared import (
    MAX_CALL_BYTES,
    MAX_OPEN_FILES,
    MAX_SCRIPT_BYTES,
    MAX_SCRIPTS,
    MAX_SELECTOR_CHARS,
    Shared,
)
from greenroom.actors.relay.table import ACTING, HIDDEN_TYPES, METHODS

# How many calls of one client may be under way.
MAX_CALLS: Final = 1000
# How many calls of one client may wait for control, and how many bytes.
MAX_HELD: Final = 100
MAX_HELD_BYTES: Final = 32 << 20
_METHOD = re.compile(r"[A-Za-z_]{1,50}")
_STREAMS = {"Stream", "WritableStream"}
_NO_MORE = b'"binary":""}}'
_SCRIPTS = {"addInitScript", "exposeBinding", "registerSelectorEngine"}
# What a client is not to know, and needs for nothing: in the initializers of these types.
_SECRET_OPTIONS = ("clientCertificates", "extraHTTPHeaders", "httpCredentials", "proxy")
_CHANGED = {"Artifact", "BrowserContext", "BrowserType", "Playwright"}


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
    HOLD = enum.auto()
    """Keep the client's message until programs have control, and give it to `release_held` then."""
    END_SESSION = enum.auto()
    """Answer with the message; then the session ends."""


@attrs.frozen(kw_only=True)
class _UnderWay:
    """A call that the driver has not answered: what is to be given back, and what its success means."""

    bytes: int
    checked: Checked
    page: str = ""
    closes: str = ""
    reads: str = ""


@attrs.define(eq=False, kw_only=True, repr=False)
class Filter:
    """What one client may see and call. Call `release` when it has gone.

    `browser` is the guid of its session's browser. `may_open` says whether a page may be sent to a URL, and
    `may_trace` whether a trace shows nothing that a client must not know. `why_held` says why clients may not
    act now, "" if they may; calls that would act are then refused, or held if the client `waits`, and so are
    those after them. `shared` is that of the session's clients. `on_refused` is called with the type
    and the method of each refused call, "unknown" where they are.
    """

    browser: str
    may_open: Callable[[str], bool]
    may_trace: bool
    why_held: Callable[[], str]
    waits: bool
    shared: Shared
    on_refused: Callable[[str, str], None]
    _objects: Objects = attrs.field(factory=Objects, init=False)
    _calls: dict[int | str, _UnderWay] = attrs.field(factory=dict, init=False)
    _streams: set[str] = attrs.field(factory=set, init=False)
    _held: int = attrs.field(default=0, init=False)
    _held_bytes: int = attrs.field(default=0, init=False)

    def release_held(self, message: bytes) -> tuple[Step, bytes]:
        """Return what to do with a message that was held; see `from_client`."""
        self._held -= 1
        self._held_bytes -= len(message)
        return self.from_client(message, is_next=True)

    def from_client(self, message: bytes, *, is_next: bool = False) -> tuple[Step, bytes]:
        """Return what to do with a client's message, and with which message. Raises `Malformed`.

        One that `is_next` does not wait for those that are held.
        """
        call = read_call(message)
        match call.method:
            case "__waitInfo__":  # only for traces, and the driver may keep it for good
                return Step.DROP, b""
            case "__abort__":
                params = read_abort(call)
                return Step.FORWARD, encode({"guid": "", "method": "__abort__", "params": params})
        if call.id is None:
            raise Malformed("a call without an id")
        type_ = self._objects.type_of(call.guid)
        try:
            if self._is_to_hold(call, type_, len(message), is_next=is_next):
                return Step.HOLD, message
            return self._pass_call(call, call.id, type_)
        except Refused as refused:
            method = call.method if _METHOD.fullmatch(call.method) else "unknown"
            self.on_refused(type_ or "unknown", method)
            return Step.ANSWER, refusal(call.id, str(refused))

    def _is_to_hold(self, call: Call, type_: str, size: int, *, is_next: bool) -> bool:
        """Return whether a call has to wait for control. Raises `Refused` if it may not."""
        if call.method not in ACTING.get(type_, ()):
            return False
        why = self.why_held()
        if not why and (is_next or not self._held):
            return False
        if not self.waits:
            raise Refused(why)
        if self._held >= MAX_HELD or self._held_bytes + size > MAX_HELD_BYTES:
            raise Refused(f"Too many calls wait for control. {why}")
        self._held += 1
        self._held_bytes += size
        return True

    def _pass_call(self, call: Call, id_: int | str, type_: str) -> tuple[Step, bytes]:
        done = encode({"id": id_, "result": {}})
        match type_, call.method:
            case "Browser", "close":
                return Step.LEAVE, done
            case "BrowserContext", "close":
                return Step.END_SESSION, done
            case "APIRequestContext", "dispose":  # part of closing a context; the driver's own is kept
                return Step.ANSWER, done
        if not type_:
            raise Refused("This session has no such object, or not any more")
        if call.method not in METHODS.get(type_, ()):
            raise Refused(f"{type_}.{call.method[:50]} is not available in a session of Greenroom")
        checked = check(call, type_, may_open=self.may_open, may_trace=self.may_trace)
        self._begin(call, id_, type_, checked)
        call.params, call.metadata = checked.params, plain_metadata(call)
        return Step.FORWARD_KEEPING_DIALOGS if checked.listens else Step.FORWARD, encode(call)

    def _begin(self, call: Call, id_: int | str, type_: str, checked: Checked) -> None:
        """Note a call that is about to be forwarded. Raises `Refused` if it asks for too much."""
        shared, size = self.shared, len(bytes(call.params))
        if len(self._calls) >= MAX_CALLS or id_ in self._calls:
            raise Refused(f"At most {MAX_CALLS} calls at once, each with an id of its own")
        if shared.call_bytes + size > MAX_CALL_BYTES:
            raise Refused("Too much is on its way to the browser: wait for the replies")
        if checked.selector_chars and shared.selector_chars + checked.selector_chars > MAX_SELECTOR_CHARS:
            raise Refused("Too many long selectors at once: wait for the replies")
        if checked.files and shared.files + checked.files > MAX_OPEN_FILES:
            raise Refused(f"At most {MAX_OPEN_FILES} files at once")
        if call.method in _SCRIPTS:
            self._begin_script(size)
        page = closes = reads = ""
        match type_, call.method:
            case "Page", "close" | "runBeforeUnload":
                self._close_page(call.guid)
                # Whether a page closes that asks its user first is not known from the reply.
                page = call.guid if call.method == "close" else ""
            case "Stream" | "WritableStream", "close":
                closes = call.guid
            case "Stream", "read":
                reads = call.guid
        self._calls[id_] = _UnderWay(bytes=size, checked=checked, page=page, closes=closes, reads=reads)
        shared.call_bytes += size
        shared.selector_chars += checked.selector_chars
        shared.files += checked.files

    def _begin_script(self, size: int) -> None:
        shared = self.shared
        if shared.scripts >= MAX_SCRIPTS or shared.script_bytes + size > MAX_SCRIPT_BYTES:
            raise Refused(f"At most {MAX_SCRIPTS} scripts and bindings in a session")
        shared.scripts += 1
        shared.script_bytes += size

    def _close_page(self, guid: str) -> None:
        """Keep Firefox from quitting, as it does with its last page."""
        if not self._objects.pages - self.shared.closing - {guid}:
            raise Refused("The last page of a session can't be closed: close the context to end the session")
        self.shared.closing.add(guid)

    def from_driver(self, message: bytes) -> bytes:
        """Return what of a driver's message is for the client: all of it, a part, or nothing.

        Raises `Malformed` and `ForeignBrowser`.
        """
        match read_driver(message):
            case Reply() as reply:
                self._end(reply, message)
            case Event(method="__create__") as event:
                return self._create(event, message)
            case Event(method="__adopt__", guid=guid, about=about):
                self._objects.adopt(guid, about)
            case Event(method="__dispose__", guid=guid):
                gone = self._objects.dispose(guid)
                self.shared.closing -= gone
                self._close_streams(gone)
            case _:
                pass
        return message

    def _end(self, reply: Reply, message: bytes) -> None:
        if (call := self._calls.pop(reply.id, None)) is None:
            return
        self._give_back(call)
        if reply.has_failed:
            return
        # The driver closes a file that was read to its end, and few clients do.
        ended = {call.closes, call.reads if message.endswith(_NO_MORE) else ""}
        if call.checked.has_folder:  # it comes with the files, and is none
            ended.add(read_whole(message)["result"]["rootDir"]["guid"])
        self._close_streams(ended)

    def _give_back(self, call: _UnderWay) -> None:
        self.shared.call_bytes -= call.bytes
        self.shared.selector_chars -= call.checked.selector_chars
        self.shared.files -= call.checked.files  # those that came of it are counted one by one
        self.shared.closing.discard(call.page)  # a page that has really closed is disposed of before that

    def _close_streams(self, guids: set[str]) -> None:
        closed = self._streams & guids
        self._streams -= closed
        self.shared.files -= len(closed)

    def _create(self, event: Event, message: bytes) -> bytes:
        type_, guid = event.created, event.about
        if type_ in HIDDEN_TYPES:
            return b""
        if type_ == "Browser" and guid != self.browser:
            raise ForeignBrowser
        self._objects.create(guid, type_, event.guid)
        if type_ in _STREAMS:
            self._streams.add(guid)
            self.shared.files += 1
        if type_ not in _CHANGED:
            return message
        whole = read_whole(message)
        initializer = whole["params"]["initializer"]
        match type_:
            case "Artifact":
                initializer["absolutePath"] = ""
            case "BrowserContext":
                for name in _SECRET_OPTIONS:
                    initializer["options"].pop(name, None)
            case "BrowserType":
                initializer["executablePath"] = ""
            case _:
                initializer.pop("utils", None)
        return encode(whole)

    def release(self) -> None:
        """Give back what a client that has gone had under way or open: the driver closes that."""
        for call in self._calls.values():
            self._give_back(call)
        self._calls.clear()
        self._close_streams(set(self._streams))
