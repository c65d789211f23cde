"""The relay between a client and a driver, both in memory."""

import contextlib
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from greenroom.actors.errors import BrowserLost
from greenroom.actors.machine.ports import MessageTooLarge
from greenroom.actors.relay.attachment import Attachment
from greenroom.actors.relay.filter import MAX_HELD
from greenroom.actors.relay.pump import (
    BROKEN,
    LEFT,
    MALFORMED,
    MAX_UNREAD_BYTES,
    OVER,
    TOO_LARGE,
    TOO_SLOW,
    Farewell,
    relay,
)
from greenroom.actors.relay.shared import Shared
from greenroom.actors.testing_driver import CONTEXT, FRAME, PAGE, FakeDriver


@attrs.define(eq=False)
class MemoryClient:
    """A client that reads `read_s` after it was sent something."""

    read_s: float = 0
    heard: list[dict[str, Any]] = attrs.field(factory=list)
    _say: trio.MemorySendChannel[bytes] = attrs.field(init=False)
    _said: trio.MemoryReceiveChannel[bytes] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._say, self._said = trio.open_memory_channel[bytes](math.inf)

    async def receive(self) -> bytes:
        return await self._said.receive()

    async def send(self, message: bytes) -> None:
        await trio.sleep(self.read_s)
        self.heard.append(json.loads(message))

    def say(self, message: bytes) -> None:
        self._say.send_nowait(message)

    def call(self, id_: int, guid: str, method: str, **params: Any) -> None:
        self.say(json.dumps({"id": id_, "guid": guid, "method": method, "params": params}).encode())


@attrs.define(eq=False)
class Relayed:
    """A relay that runs, and how it has ended."""

    client: MemoryClient
    driver: FakeDriver
    refused: list[str] = attrs.field(factory=list)
    asked_to_end: int = 0
    held: str = ""
    free: trio.Event = attrs.field(factory=trio.Event)
    waits: bool = False
    farewell: Farewell | None = None

    async def run(self) -> None:
        attachment = Attachment(
            driver=self.driver,
            shared=Shared(),
            why_held=lambda: self.held,
            wait_free=self.free.wait,
            note_refusal=lambda type_, method: self.refused.append(f"{type_}.{method}"),
            end_session=self._end,
        )
        self.farewell = await relay(self.client, attachment, may_open=lambda _: True, waits=self.waits)

    def _end(self) -> None:
        self.asked_to_end += 1
        self.driver.end()


@contextlib.asynccontextmanager
async def open_relay(
    client: MemoryClient | None = None, driver: FakeDriver | None = None, *, waits: bool = False
) -> AsyncIterator[Relayed]:
    """Run a relay whose client has begun."""
    relayed = Relayed(client or MemoryClient(), driver or FakeDriver(), waits=waits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relayed.run)
        relayed.client.call(1, "", "initialize", sdkLanguage="python")
        await wait_all_tasks_blocked()
        yield relayed
        nursery.cancel_scope.cancel()


async def test_calls_and_what_comes_back_are_relayed(autojump_clock: MockClock) -> None:
    """In order, both ways; what a driver sends by itself too."""
    async with open_relay() as relayed:
        await trio.sleep(1)
        assert [heard for heard in relayed.client.heard if "id" in heard] == [{"id": 1, "result": {}}]
        relayed.client.call(2, FRAME, "click", selector="a")
        relayed.client.call(3, PAGE, "reload")
        relayed.driver.say({"guid": PAGE, "method": "crash", "params": {}})
        await trio.sleep(1)
        assert [sent["method"] for sent in relayed.driver.sent] == ["initialize", "click", "reload"]
        assert relayed.client.heard[-3:] == [
            {"guid": PAGE, "method": "crash", "params": {}},
            {"id": 2, "result": {}},
            {"id": 3, "result": {}},
        ]
        assert relayed.farewell is None


async def test_calls_wait_for_control_in_order(autojump_clock: MockClock) -> None:
    """What reads goes on meanwhile; what acts and comes later does not overtake them."""
    async with open_relay(waits=True) as relayed:
        relayed.held = "CONTROL_HELD: Ada has control"
        for number, method in ((2, "click"), (3, "title"), (4, "fill")):
            relayed.client.call(number, FRAME, method, selector="a")
        await trio.sleep(1)
        assert [sent["method"] for sent in relayed.driver.sent] == ["initialize", "title"]
        relayed.held = ""
        relayed.client.call(5, FRAME, "hover", selector="a")
        await trio.sleep(1)
        relayed.free.set()
        await trio.sleep(1)
        sent = [sent["method"] for sent in relayed.driver.sent]
        assert sent == ["initialize", "title", "click", "fill", "hover"]
        assert [heard["id"] for heard in relayed.client.heard if "id" in heard] == [1, 3, 2, 4, 5]


async def test_so_many_calls_wait_and_no_more(autojump_clock: MockClock) -> None:
    """The others are refused with who has control."""
    async with open_relay(waits=True) as relayed:
        relayed.held = "CONTROL_HELD: Ada has control"
        for number in range(MAX_HELD + 5):
            relayed.client.call(2 + number, FRAME, "click", selector="a")
        await trio.sleep(1)
        assert len(relayed.driver.sent) == 1
        errors = [str(heard["error"]) for heard in relayed.client.heard if "error" in heard]
        assert len(errors) == 5
        assert all("Ada has control" in error for error in errors)
        relayed.held = ""
        relayed.free.set()
        await trio.sleep(1)
        assert len(relayed.driver.sent) == 1 + MAX_HELD


async def test_refused_call_is_answered_and_never_reaches_the_driver(autojump_clock: MockClock) -> None:
    """The client goes on."""
    async with open_relay() as relayed:
        for number in range(1000):
            relayed.client.call(2 + number, CONTEXT, "pause")
        await trio.sleep(1)
        assert len(relayed.driver.sent) == 1
        assert sum("error" in heard for heard in relayed.client.heard) == 1000
        assert set(relayed.refused) == {"BrowserContext.pause"}
        relayed.client.call(5000, PAGE, "reload")
        await trio.sleep(1)
        assert relayed.client.heard[-1] == {"id": 5000, "result": {}}


async def test_client_that_listens_for_dialogs_has_them_kept_first(autojump_clock: MockClock) -> None:
    """Before the driver sends it one."""
    async with open_relay() as relayed:
        before = relayed.driver.keeps
        relayed.client.call(2, CONTEXT, "updateSubscription", event="dialog", enabled=True)
        await trio.sleep(1)
        assert (before, relayed.driver.keeps) == (False, True)
        assert relayed.driver.sent[-1]["method"] == "updateSubscription"


async def test_client_that_closes_its_browser_gets_its_answer_and_leaves(autojump_clock: MockClock) -> None:
    """The session is not asked to end."""
    async with open_relay() as relayed:
        relayed.client.call(2, "browser@fake", "close")
        await trio.sleep(1)
        assert relayed.client.heard[-1] == {"id": 2, "result": {}}
        assert (relayed.farewell, relayed.asked_to_end) == (LEFT, 0)


async def test_client_that_closes_the_context_ends_the_session(autojump_clock: MockClock) -> None:
    """It gets its answer, even though the session's end cuts the connection."""
    async with open_relay() as relayed:
        relayed.client.call(2, CONTEXT, "close")
        await trio.sleep(1)
        assert relayed.client.heard[-1] == {"id": 2, "result": {}}
        assert (relayed.farewell, relayed.asked_to_end) == (OVER, 1)


async def test_end_of_the_driver_ends_the_relay_after_what_was_said(autojump_clock: MockClock) -> None:
    """A client that takes its time gets all of it."""
    async with open_relay(MemoryClient(read_s=1)) as relayed:
        relayed.driver.say({"guid": PAGE, "method": "close", "params": {}})
        relayed.driver.end()
        await trio.sleep(100)
        assert relayed.client.heard[-1]["method"] == "close"
        assert relayed.farewell is OVER


@pytest.mark.parametrize("said", [b"no json", b"{}", b'{"id":1}\0'])
async def test_client_that_speaks_something_else_is_sent_away(said: bytes, autojump_clock: MockClock) -> None:
    """The driver hears nothing of it."""
    async with open_relay() as relayed:
        relayed.client.say(said)
        await trio.sleep(1)
        assert relayed.farewell is MALFORMED
        assert len(relayed.driver.sent) == 1


async def test_client_that_does_not_read_is_dropped_before_it_costs_much(autojump_clock: MockClock) -> None:
    """The driver is read on, so that its memory does not grow; 32 MB are kept at most."""
    async with open_relay(MemoryClient(read_s=math.inf)) as relayed:
        event = {"guid": PAGE, "method": "console", "params": {"text": "x" * (1 << 20)}}
        for _ in range(MAX_UNREAD_BYTES >> 20):
            relayed.driver.say(event)
        await trio.sleep(1)
        assert relayed.farewell is TOO_SLOW


async def test_client_that_reads_slowly_keeps_up_with_a_page_that_is_slower(
    autojump_clock: MockClock,
) -> None:
    """What it has read makes room."""
    async with open_relay(MemoryClient(read_s=0.5)) as relayed:
        event = {"guid": PAGE, "method": "console", "params": {"text": "x" * (1 << 20)}}
        for _ in range(2 * MAX_UNREAD_BYTES >> 20):
            relayed.driver.say(event)
            await trio.sleep(1)
        assert relayed.farewell is None


@attrs.define(eq=False)
class Failing(FakeDriver):
    """Raises an error when it is received from for the second time, or asked to keep dialogs."""

    error: Exception = attrs.field(factory=RuntimeError)
    on: str = "receive"

    async def receive(self) -> bytes:
        if self.on == "receive" and self.sent:
            raise self.error
        return await super().receive()

    async def keep_dialogs(self) -> None:
        raise self.error


async def test_message_that_is_too_large_ends_the_relay(autojump_clock: MockClock) -> None:
    """With the code that WebSockets have for it."""
    async with open_relay(driver=Failing(error=MessageTooLarge())) as relayed:
        await trio.sleep(1)
        assert relayed.farewell is TOO_LARGE


async def test_lost_host_ends_the_relay(autojump_clock: MockClock) -> None:
    """The session's own end says why."""
    async with open_relay(driver=Failing(error=BrowserLost("gone"), on="dialogs")) as relayed:
        relayed.client.call(2, PAGE, "updateSubscription", event="dialog", enabled=True)
        await trio.sleep(1)
        assert relayed.farewell is OVER


async def test_driver_that_shows_another_browser_ends_the_relay(autojump_clock: MockClock) -> None:
    """Before the client has heard of it."""
    async with open_relay(driver=FakeDriver(browser="browser@another")) as relayed:
        await trio.sleep(1)
        assert relayed.farewell is BROKEN
        assert "Browser" not in [heard["params"]["type"] for heard in relayed.client.heard]
