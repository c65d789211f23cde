"""A driver without a browser, for tests of clients that are attached to a session."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import attrs
import msgspec
import trio

BROWSER: Final = "browser@fake"
CONTEXT: Final = "browser-context@fake"
PAGE: Final = "page@fake"
FRAME: Final = "frame@fake"
_OPTIONS: Final = {
    "options": {
        "acceptDownloads": "accept",
        "extraHTTPHeaders": [{"name": "Proxy-Authorization", "value": "Basic dTpw"}],
        "httpCredentials": {"username": "u", "password": "p"},
    }
}
# What a driver shows of one page, each object below the one before, in the shapes of Playwright's protocol.
SHOWN: Final[tuple[tuple[str, str, str, dict[str, Any]], ...]] = (
    ("", "LocalUtils", "localUtils", {"deviceDescriptors": []}),
    ("", "BrowserType", "browser-type@fake", {"name": "firefox", "executablePath": "/where/firefox/is"}),
    ("", "Browser", BROWSER, {"version": "1", "name": "firefox", "browserName": "firefox"}),
    (BROWSER, "Tracing", "tracing@fake", {}),
    (BROWSER, "APIRequestContext", "request-context@fake", {"tracing": {"guid": "tracing@fake"}}),
    (
        BROWSER,
        "BrowserContext",
        CONTEXT,
        _OPTIONS,
    ),
    (CONTEXT, "Frame", FRAME, {"url": "about:blank", "name": "", "loadStates": []}),
    (CONTEXT, "Page", PAGE, {"mainFrame": {"guid": FRAME}, "isClosed": False}),
    (
        "",
        "Playwright",
        "Playwright",
        {"utils": {"guid": "localUtils"}, "preLaunchedBrowser": {"guid": BROWSER}},
    ),
)


@attrs.define(eq=False, repr=False)
class FakeDriver:
    """A connection to a driver that shows one page and does nothing. Satisfies `ports.DriverConnection`.

    It answers every call with an empty result. `sent` holds what came, and `say` sends something by itself.
    `ends` ends the connection.
    """

    browser: str = BROWSER
    may_trace: bool = True
    keeps: bool = attrs.field(default=False, init=False)
    sent: list[dict[str, Any]] = attrs.field(factory=list, init=False)
    _say: trio.MemorySendChannel[bytes] = attrs.field(init=False)
    _said: trio.MemoryReceiveChannel[bytes] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._say, self._said = trio.open_memory_channel[bytes](100_000)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["FakeDriver"]:
        """Be connected for the length of the block."""
        try:
            yield self
        finally:
            self.end()

    def say(self, message: Any) -> None:
        """Send a message, as JSON."""
        self._say.send_nowait(msgspec.json.encode(message))

    def end(self) -> None:
        """End the connection, once what has been said is received."""
        self._say.close()

    async def send(self, message: bytes) -> None:
        """Answer a call, with the objects first if it is the one that begins."""
        await trio.lowlevel.checkpoint()
        call = msgspec.json.decode(message)
        self.sent.append(call)
        if call["method"] == "initialize":
            for parent, type_, guid, initializer in SHOWN:
                params = {"type": type_, "initializer": initializer, "guid": guid}
                self.say({"guid": parent, "method": "__create__", "params": params})
        with contextlib.suppress(trio.ClosedResourceError):
            self.say({"id": call["id"], "result": {}})

    async def receive(self) -> bytes:
        """Return the next message, b"" at the end."""
        try:
            return await self._said.receive()
        except trio.EndOfChannel:
            return b""

    async def keep_dialogs(self) -> None:
        """Note that dialogs are kept."""
        await trio.lowlevel.checkpoint()
        self.keeps = True
