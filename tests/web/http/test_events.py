"""What happens, as Server-Sent Events: how it is read, in virtual time; over HTTP, with a fake machine."""

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from greenroom.actors.errors import BrowserLost
from greenroom.actors.events import ActionNote, EventKind, HostChange, HostEvent, SessionEvent
from greenroom.actors.lifecycle import EndReason, SessionInfo, SessionState
from greenroom.actors.testing import FakeMachine
from greenroom.supervisor.events import REMEMBERED, EventStream
from greenroom.web.http.event_reader import HEARTBEAT_S, EventReader, Item
from tests.web.http.front import PATIENCE_S, Front, open_front

A, B = "a" * 8, "b" * 8


def info(id_: str = A, state: SessionState = SessionState.LIVE, **more: Any) -> SessionInfo:
    return SessionInfo(
        id=id_,
        state=state,
        created_at=datetime.now(UTC),
        expires_at=None,
        verdict=None,
        phase_ms={},
        **{"reason": None, **more},
    )


def entered(id_: str, state: SessionState, **more: Any) -> SessionEvent:
    return SessionEvent(session=info(id_, state, **more))


def types(items: list[Item]) -> list[str]:
    return [item.type for item in items]


# Reading


async def test_reader_gets_what_happens_from_now_on(autojump_clock: MockClock) -> None:
    """All that has happened meanwhile at once, and a sign of life when nothing happens."""
    stream = EventStream()
    stream.publish(entered(A, SessionState.CLONING))
    reader = EventReader(stream)
    stream.publish(entered(A, SessionState.LAUNCHING))
    stream.publish(HostEvent(change=HostChange.LOST, host="h", sessions=2))
    assert types(await reader.next()) == ["session.launching", "host.lost"]
    started = trio.current_time()
    assert await reader.next() == []
    assert trio.current_time() - started == pytest.approx(HEARTBEAT_S, abs=0.1)
    assert not reader.is_over


async def test_reader_goes_on_after_the_event_that_the_client_had(autojump_clock: MockClock) -> None:
    """Nothing is sent twice, and nothing left out."""
    stream = EventStream()
    for state in (SessionState.CLONING, SessionState.LAUNCHING, SessionState.NAVIGATING):
        stream.publish(entered(A, state))
    first, *_ = await EventReader(stream, last_id=f"{stream.name}-0").next()
    rest = await EventReader(stream, last_id=first.id).next()
    assert types(rest) == ["session.launching", "session.navigating"]
    assert [json.loads(item.json)["id"] for item in rest] == [f"{stream.name}-2", f"{stream.name}-3"]


@pytest.mark.parametrize(
    "last_id", ["another-5", "", "5", "{name}-", "{name}-99999", "{name}-x", "{name}-1", "{name}-²"]
)
async def test_reader_announces_a_gap(autojump_clock: MockClock, last_id: str) -> None:
    """After a restart of the daemon, or when too much has happened; then comes all that is remembered."""
    stream = EventStream()
    for _ in range(REMEMBERED + 10):
        stream.publish(entered(A, SessionState.LIVE))
    reader = EventReader(stream, last_id=last_id.format(name=stream.name))
    (gap,) = await reader.next()
    assert (gap.type, gap.id) == ("gap", "")
    assert len(await reader.next()) == REMEMBERED


async def test_reader_that_is_too_slow_is_told_so_and_dropped(autojump_clock: MockClock) -> None:
    """Nobody waits for it, and no more than what is remembered is kept for it."""
    stream = EventStream()
    reader = EventReader(stream)
    for _ in range(REMEMBERED + 1):
        stream.publish(entered(A, SessionState.LIVE))
    assert types(await reader.next()) == ["dropped"]
    assert reader.is_over


async def test_reader_of_a_session_begins_with_its_state_and_ends_with_it(autojump_clock: MockClock) -> None:
    """It gets nothing of other sessions."""
    stream = EventStream()
    reader = EventReader(stream, info())
    assert types(await reader.next()) == ["session.live"]
    stream.publish(entered(B, SessionState.ENDED))
    stream.publish(entered(A, SessionState.ENDING, reason=EndReason.BROWSER_LOST))
    stream.publish(
        SessionEvent(session=info(state=SessionState.ENDED), error=BrowserLost("it is gone", detail="x"))
    )
    items = await reader.next()
    assert types(items) == ["session.ending", "session.ended"]
    assert json.loads(items[-1].json)["error"] == {"code": "INTERNAL_ERROR", "details": "it is gone"}
    assert reader.is_over


async def test_reader_of_an_ended_session_gets_its_end_once(autojump_clock: MockClock) -> None:
    """Also if it is forgotten; who has it already has nothing to read."""
    stream = EventStream()
    ended = info(state=SessionState.ENDED, reason=EndReason.EXPIRED)
    for last_id in (None, "another-1"):
        reader = EventReader(stream, ended, last_id=last_id)
        items = await reader.next()
        assert types(items)[-1] == "session.ended"
        assert reader.is_over
        assert not reader.has_all
    stream.publish(SessionEvent(session=ended))
    assert not EventReader(stream, ended, last_id=f"{stream.name}-0").has_all
    assert types(await EventReader(stream, ended, last_id=f"{stream.name}-0").next()) == ["session.ended"]
    assert EventReader(stream, ended, last_id=f"{stream.name}-1").has_all


async def test_end_of_the_daemon_ends_all_readers(autojump_clock: MockClock) -> None:
    """After what still happens."""
    stream = EventStream()
    reader = EventReader(stream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_close_later, stream)
        assert types(await reader.next()) == ["session.ended"]
        assert await reader.next() == []
        assert reader.is_over


async def _close_later(stream: EventStream) -> None:
    await trio.sleep(1)
    stream.publish(entered(A, SessionState.ENDED))
    await trio.sleep(1)
    stream.close()


async def test_many_readers_share_one_encoding(autojump_clock: MockClock) -> None:
    """An event is made into JSON once, however many read it; an action has no session in it."""
    stream = EventStream()
    readers = [EventReader(stream) for _ in range(10)]
    action = ActionNote(kind="click", target="#a", page=None, ms=5, outcome="ok")
    stream.publish(SessionEvent(kind=EventKind.ACTION, session=info(), action=action))
    texts = [(await reader.next())[0].json for reader in readers]
    assert len({id(text) for text in texts}) == 1
    said = json.loads(texts[0])
    assert (said["type"], said["session_id"], said["session"]) == ("session.action", A, None)
    assert said["action"] == attrs.asdict(action)


# Over HTTP


@attrs.define
class Stream:
    """A stream of Server-Sent Events as a client reads it. `head` is that of the answer."""

    head: str
    _connection: trio.SocketStream
    _received: str = ""

    async def line(self) -> str:
        """Return the next line. Raises `EndOfStream` at the end."""
        while "\n" not in self._received:
            if not (data := await self._connection.receive_some()):
                raise EndOfStream
            self._received += data.decode()
        line, _, self._received = self._received.partition("\n")
        return line.rstrip("\r")

    async def next(self) -> dict[str, str]:
        """Return the fields of the next event."""
        fields: dict[str, str] = {}
        with trio.fail_after(PATIENCE_S):
            while True:
                line = await self.line()
                name, _, value = line.partition(": ")
                if name in {"id", "event", "data"}:
                    fields[name] = value
                elif not line and "data" in fields:
                    return fields


class EndOfStream(Exception):
    """The stream is over."""


@contextlib.asynccontextmanager
async def open_stream(front: Front, path: str, last_id: str = "") -> AsyncIterator[Stream]:
    """Ask for events; to a client of HTTP/1.0 they come as they are."""
    host, port = front.url.removeprefix("http://").split(":")
    header = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
    async with await trio.open_tcp_stream(host, int(port)) as connection:
        await connection.send_all(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n{header}\r\n".encode())
        stream = Stream("", connection)
        with trio.fail_after(PATIENCE_S):
            while line := await stream.line():
                stream.head += f"{line}\n"
        assert " 200 " in stream.head
        assert "text/event-stream" in stream.head
        assert "no-store" in stream.head
        yield stream


async def test_all_events_of_a_session_s_life_are_sent() -> None:
    """With ids, by which a client goes on where it was."""
    async with open_front(FakeMachine()) as front:
        async with open_stream(front, "/events") as stream:
            path = await front.establish()
            seen = [await stream.next() for _ in range(5)]
            assert [event["event"] for event in seen] == [
                f"session.{state}" for state in ("cloning", "launching", "navigating", "judging", "live")
            ]
        assert (await front.client.delete(path)).status_code == 204
        async with open_stream(front, "/events", seen[-1]["id"]) as stream:
            ended = [await stream.next(), await stream.next()]
            assert [event["event"] for event in ended] == ["session.ending", "session.ended"]
        async with open_stream(front, f"/events?last_event_id={seen[3]['id']}") as stream:
            assert (await stream.next())["event"] == "session.live"
        async with open_stream(front, "/events", "other-7") as stream:
            assert (await stream.next())["event"] == "gap"


async def test_stream_of_a_session_ends_with_the_session() -> None:
    """A browser that connects again is told not to."""
    async with open_front() as front:
        path = await front.establish()
        async with open_stream(front, f"{path}/events") as stream:
            assert json.loads((await stream.next())["data"])["session"]["state"] == "live"
            await front.client.delete(path)
            last = [await stream.next(), await stream.next()][-1]
            assert json.loads(last["data"])["session"]["end_reason"] == "deleted"
            with pytest.raises(EndOfStream):
                await stream.next()
        again = await front.client.get(f"{path}/events", headers={"Last-Event-ID": last["id"]})
        assert (again.status_code, again.content) == (204, b"")
        assert (await front.client.get("/tiktok/session/none/events")).status_code == 404


async def test_stop_of_the_daemon_ends_the_streams_at_once() -> None:
    """They are not waited for, and get the ends of all sessions."""
    seen: list[str] = []

    async def read(front: Front) -> None:
        async with open_stream(front, "/events") as stream:
            started.set()
            with contextlib.suppress(EndOfStream):
                while True:
                    seen.append((await stream.next())["event"])
        over.set()

    started, over = trio.Event(), trio.Event()
    async with open_front() as front, trio.open_nursery() as nursery:
        nursery.start_soon(read, front)
        await started.wait()
        await front.establish()
        await front.supervisor.stop()
        with trio.fail_after(PATIENCE_S):
            await over.wait()
    assert seen[-1] == "session.ended"


async def test_overview_has_all_that_there_is() -> None:
    """Events after its `last_event_id` say what has changed since."""
    async with open_front(FakeMachine(), max_sessions=3) as front:
        path, other = await front.establish(), await front.establish()
        await front.client.delete(path)
        overview = (await front.client.get("/overview")).json()
        assert [session["id"] for session in overview["sessions"]] == [other.rpartition("/")[2]]
        assert [session["end_reason"] for session in overview["ended"]] == ["deleted"]
        assert (overview["max_sessions"], overview["warm"]) == (3, [])
        assert overview["hosts"] == [{"id": "host", "sessions": 1}]
        assert overview["checks"]
        assert overview["has_token"] is False
        async with open_stream(front, "/events", overview["last_event_id"]) as stream:
            await front.client.delete(other)
            assert (await stream.next())["event"] == "session.ending"
