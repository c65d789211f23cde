"""`greenroom.client` against a real daemon with a fake machine: blocking, on Trio and on asyncio."""

import contextlib
import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import anyio
import attrs
import pytest
import trio

from greenroom.actors.actions.actions import Click, Type
from greenroom.actors.errors import ActionFailed, BrowserLost, TooManyCommands
from greenroom.actors.lifecycle import EndReason, ProfileMode, SessionState
from greenroom.actors.testing import FakeMachine
from greenroom.actors.verdict import LoginReason, LoginState
from greenroom.client import (
    ApiError,
    AsyncClient,
    AsyncRemoteSession,
    Client,
    DaemonUnreachable,
    EventMessage,
    GapMessage,
    RemoteSession,
)
from greenroom.web.client import aio, feeds, retrying, sync
from tests.patience import patience
from tests.web.commands.test_leaks import HEAD, answering
from tests.web.http.front import PATIENCE_S, Front, open_front, until

TOKEN = "correct-horse-battery"


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    """A front on which sessions succeed at once."""
    async with open_front(FakeMachine(value="done")) as opened:
        yield opened


def use_blocking(url: str) -> list[str]:
    """Do with the blocking client what the next function does with the async one."""
    with Client(url) as client, client.open_session(mode=ProfileMode.WRITE) as session:
        with session.open_events() as events, session.watch() as pictures:
            assert next(pictures).startswith(b"picture")
            assert session.do(Type(target="#q", text="Hello")) == "done"
            acted = session.act(Click(target="e1"), {"kind": "back"}, snapshot=True)
            assert [result.kind for result in acted.results] == ["click", "back"]
            assert session.screenshot(type="jpeg") == b"a picture"
            [info] = client.sessions()
            assert (info.id, info.state, info.profile_mode) == (
                session.id,
                SessionState.LIVE,
                ProfileMode.WRITE,
            )
            session.end()
            seen = [event.type for event in events]
            assert all(picture.startswith(b"picture") for picture in pictures)
        assert session.info().session.end_reason is EndReason.DELETED
    return seen


async def use_async(url: str) -> list[str]:
    """Create, watch, use and end a session; return the types of its events."""
    async with AsyncClient(url) as client, client.open_session(mode=ProfileMode.WRITE) as session:
        async with session.open_events() as events, session.watch() as pictures:
            assert (await anext(pictures)).startswith(b"picture")
            assert await session.do(Type(target="#q", text="Hello")) == "done"
            acted = await session.act(Click(target="e1"), {"kind": "back"}, snapshot=True)
            assert [result.kind for result in acted.results] == ["click", "back"]
            assert await session.screenshot(type="jpeg") == b"a picture"
            [info] = await client.sessions()
            assert (info.id, info.state, info.profile_mode) == (
                session.id,
                SessionState.LIVE,
                ProfileMode.WRITE,
            )
            await session.end()
            seen = [event.type async for event in events]
            assert all([picture.startswith(b"picture") async for picture in pictures])
        assert (await session.info()).session.end_reason is EndReason.DELETED
    return seen


async def on_asyncio(scenario: Callable[[str], Awaitable[list[str]]], url: str) -> list[str]:
    """Run a scenario on asyncio, in a thread of its own."""
    return await trio.to_thread.run_sync(partial(anyio.run, scenario, url, backend="asyncio"))


@pytest.mark.parametrize("way", ["blocking", "trio", "asyncio"])
async def test_session_is_created_watched_used_and_ended(front: Front, way: str) -> None:
    """In the same way by all of them; the streams end with the session."""
    with trio.fail_after(PATIENCE_S):
        match way:
            case "blocking":
                seen = await trio.to_thread.run_sync(use_blocking, front.url)
            case "trio":
                seen = await use_async(front.url)
            case _:
                seen = await on_asyncio(use_async, front.url)
    assert (seen[0], seen[-1]) == ("session.live", "session.ended")
    assert "session.action" in seen


def leave_early_blocking(url: str) -> list[str]:
    """Do with the blocking client what the next function does with the async one."""
    with Client(url) as client, client.open_session() as session:
        with session.open_events() as events, session.watch() as pictures:
            next(pictures)
            seen = [next(events).type]
        assert session.snapshot()
    return seen


async def leave_early(url: str) -> list[str]:
    """Leave streams that go on; use their client further."""
    async with AsyncClient(url) as client, client.open_session() as session:
        async with session.open_events() as events, session.watch() as pictures:
            await anext(pictures)
            seen = [(await anext(events)).type]
        assert await session.snapshot()
    return seen


@pytest.mark.parametrize("way", ["blocking", "trio", "asyncio"])
async def test_streams_may_be_left_at_any_time(front: Front, way: str) -> None:
    """Nothing of them stays, and nothing warns of what was not closed."""
    with trio.fail_after(PATIENCE_S):
        match way:
            case "blocking":
                seen = await trio.to_thread.run_sync(leave_early_blocking, front.url)
            case "trio":
                seen = await leave_early(front.url)
            case _:
                seen = await on_asyncio(leave_early, front.url)
        assert seen == ["session.live"]
        await until(lambda: any(event.session.watched for event in front.events))


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "dripping"])
@pytest.mark.parametrize("way", ["blocking", "trio"])
async def test_answer_that_does_not_come_is_given_up(way: str, silent: bool) -> None:
    """However steadily its bytes come. It is not asked for again."""
    with answering(HEAD + b" " * 1000, drip=True, silent=silent) as url, trio.fail_after(PATIENCE_S):
        async with AsyncClient(url, timeout_s=0.2) as client:
            with Client(url, timeout_s=0.2) as blocking:
                ask = partial(trio.to_thread.run_sync, blocking.sessions)
                with pytest.raises(DaemonUnreachable, match=r"within 0\.2 s"):
                    await (ask if way == "blocking" else client.sessions)()


@pytest.mark.parametrize("way", ["blocking", "trio", "asyncio"])
async def test_event_without_an_end_is_given_up(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of being kept until the memory is full."""
    monkeypatch.setattr(feeds, "_MAX_EVENT_BYTES", 1000)
    head = HEAD.replace(b"application/json", b"text/event-stream")
    assert head != HEAD

    def follow_blocking(url: str) -> list[str]:
        with Client(url, retry_for_s=0) as client, client.session("a").open_events() as events:
            return [event.type for event in events]

    async def follow(url: str) -> list[str]:
        async with AsyncClient(url, retry_for_s=0) as client, client.session("a").open_events() as events:
            return [event.type async for event in events]

    async def follow_in_thread(url: str) -> list[str]:
        return await trio.to_thread.run_sync(follow_blocking, url)

    ways: dict[str, Callable[[str], Awaitable[list[str]]]] = {
        "blocking": follow_in_thread,
        "trio": follow,
        "asyncio": partial(on_asyncio, follow),
    }
    with (
        answering(head + b"data: " + b"x" * 2000) as url,
        trio.fail_after(PATIENCE_S),
        pytest.raises(DaemonUnreachable, match="an event has no end"),
    ):
        await ways[way](url)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 10_000])
def test_events_that_end_may_be_as_many_as_they_like(
    end: bytes, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However they are cut. The size is that of one event."""
    monkeypatch.setattr(feeds, "_MAX_EVENT_BYTES", 1000)
    event = b"data: " + b"x" * 900 + end
    size = feeds.EventSize()
    for start in range(0, 5 * len(event), step):
        size.add((5 * event)[start : start + step])
    for _ in range(1000):
        size.add(b"x")
    with pytest.raises(DaemonUnreachable, match="an event has no end"):
        size.add(b"x")


@pytest.mark.parametrize("header", [b"", b"../../profiles", b"a?b#c", b"a b", b"\xff"])
async def test_id_that_is_none_is_an_error_of_the_daemon(header: bytes) -> None:
    """It would lead to another address. It is no error of the program that asks."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Session-Id: " + header + b"\r\n\r\n{}"
    with answering(head) as url, trio.fail_after(PATIENCE_S):
        async with AsyncClient(url, retry_for_s=0) as client:
            with pytest.raises(DaemonUnreachable, match="no Greenroom daemon"):
                async with client.open_session():
                    pass


@pytest.mark.parametrize(
    ("blocking", "twin"),
    [(Client, AsyncClient), (RemoteSession, AsyncRemoteSession)],
    ids=["client", "session"],
)
def test_both_clients_have_the_same_methods(blocking: type, twin: type) -> None:
    """With the same parameters and documentation, but for closing."""

    def methods(of: type) -> dict[str, tuple[list[str], str | None]]:
        found = {name: member for name, member in vars(of).items() if name[0] != "_" and callable(member)}
        return {
            name.removeprefix("a") if name == "aclose" else name: (
                list(inspect.signature(member).parameters),
                (inspect.getdoc(member) or "").replace("Async", ""),
            )
            for name, member in found.items()
        }

    assert methods(blocking) == methods(twin)
    assert len(methods(blocking)) > 10


async def test_block_that_fails_ends_its_session(front: Front) -> None:
    """As one that is cancelled does."""
    async with AsyncClient(front.url) as client:
        with pytest.raises(ZeroDivisionError):
            async with client.open_session():
                raise ZeroDivisionError
        with trio.CancelScope() as scope:
            async with client.open_session():
                scope.cancel(reason="a test")
                await trio.sleep(math.inf)
    assert front.machine.browsers == {}
    assert [event.session.reason for event in front.events if event.session.receipt] == [
        EndReason.DELETED,
        EndReason.DELETED,
    ]


async def create_and_fall_silent(stream: trio.SocketStream) -> None:
    """Answer the creation of a session, and nothing else."""
    async with stream:
        request = bytearray()
        while bytes(request[:1]) in {b"", b"P"} and not request.endswith(b"{}"):
            request += await stream.receive_some()
        if request.startswith(b"POST "):
            await stream.send_all(HEAD.replace(b"\r\n\r\n", b"\r\nX-Session-Id: a\r\n\r\n") + b"{}")
            return
        await trio.sleep_forever()


async def test_block_that_fails_waits_for_the_end_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both clients, however long they wait for other answers: the error of the block comes out."""

    def fail_blocking(url: str) -> None:
        with Client(url) as client, client.open_session():
            raise ZeroDivisionError

    async def fail(url: str) -> None:
        async with AsyncClient(url) as client, client.open_session():
            raise ZeroDivisionError

    monkeypatch.setattr(aio, "END_S", 0.1)
    monkeypatch.setattr(sync, "END_S", 0.1)
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, create_and_fall_silent, [listener])
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        with trio.fail_after(PATIENCE_S):
            with pytest.raises(ZeroDivisionError):
                await trio.to_thread.run_sync(fail_blocking, url, abandon_on_cancel=True)
            with pytest.raises(ZeroDivisionError):
                await fail(url)
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_refusal_is_an_error_with_what_the_daemon_says(front: Front) -> None:
    """Its code, whether to try again, the request's id, and the API's own fields."""
    front.machine.page = LoginState.LOGGED_OUT
    async with AsyncClient(front.url) as client:
        with pytest.raises(ApiError) as refused:
            await client.create()
        error = refused.value
        assert (error.code, error.status, error.retryable) == ("NOT_LOGGED_IN", 409, False)
        assert (error.details.state, error.retry_after_s) == (LoginState.LOGGED_OUT, None)
        assert isinstance(error.details.reason, LoginReason)
        assert error.request_id
        assert str(error).startswith("Not logged in to TikTok: ")
        front.machine.page = LoginState.LOGGED_IN
        async with client.open_session() as session:
            front.machine.action_error = ActionFailed("no", told="an \x1b[2J error")
            with pytest.raises(ApiError, match="could not do this") as failed:
                await session.act(Click(target="e1"))
            assert (failed.value.code, failed.value.details.kind) == ("ACTION_FAILED", "click")
            assert "\x1b" not in str(failed.value)


async def test_token_is_sent_and_never_shown() -> None:
    """Not by a client, its session, or an error."""
    async with open_front(token=TOKEN) as front, AsyncClient(front.url, TOKEN) as client:
        async with client.open_session() as session:
            assert TOKEN not in f"{client!r} {session!r} {Client(front.url, TOKEN)!r} {client._daemon!r}"
            link = await session.make_link()
            assert link.token not in repr(link)
            assert link.token not in str(link.__rich_repr__())
        async with AsyncClient(front.url, "wrong" * 4) as stranger:
            with pytest.raises(ApiError) as refused:
                await stranger.sessions()
        assert refused.value.code == "UNAUTHORIZED"
        assert "wrongwrong" not in f"{refused.value!r}{refused.value}"


async def test_creation_without_room_is_refused_at_once() -> None:
    """Without a key, or if nothing is to be asked again: the first answer counts."""
    async with (
        open_front(max_sessions=1) as front,
        AsyncClient(front.url, retry_for_s=math.inf) as client,
        AsyncClient(front.url, retry_for_s=0) as impatient,
    ):
        first = await client.create()
        with trio.fail_after(PATIENCE_S):
            with pytest.raises(ApiError, match="All sessions are in use"):
                await client.create()
            with pytest.raises(ApiError, match="All sessions are in use"):
                await impatient.create(idempotency_key="other")
        await client.session(first).end()


async def test_creation_with_a_key_waits_for_room_and_makes_one_session() -> None:
    """It is asked again after the time that the daemon says, which is up to the first one's end."""
    async with (
        open_front(max_sessions=1, max_session_duration=1) as front,
        AsyncClient(front.url, retry_for_s=patience(10)) as client,
    ):
        await client.create()
        second = await client.create(idempotency_key="k")
        assert await client.create(idempotency_key="k") == second
        await client.session(second).end()
    assert len({event.session.id for event in front.events if event.session.is_requested}) == 2


async def test_action_is_never_sent_twice(front: Front) -> None:
    """It may have been carried out in part."""
    async with AsyncClient(front.url) as client, client.open_session() as session:
        front.machine.action_error = TooManyCommands(16)
        with pytest.raises(ApiError) as refused:
            await session.act(Click(target="e1"))
        assert (refused.value.retryable, refused.value.retry_after_s) == (True, 1)
        assert len(front.machine.browsers[session.id].performed) == 1


@attrs.define(eq=False)
class Cable:
    """The line to a daemon: whatever is connected over it can be cut off."""

    port: int
    _inside: int
    _scopes: set[trio.CancelScope] = attrs.field(factory=set, init=False)

    async def carry(self, outside: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with (
                    outside,
                    await trio.open_tcp_stream("127.0.0.1", self._inside) as inside,
                    trio.open_nursery() as nursery,
                ):
                    nursery.start_soon(self._pump, inside, outside)
                    await self._pump(outside, inside)
        self._scopes.discard(scope)

    async def _pump(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        async for data in source:
            await target.send_all(data)
        await target.send_eof()

    def cut(self) -> None:
        for scope in self._scopes:
            scope.cancel(reason="the cable is cut")


@contextlib.asynccontextmanager
async def open_cable(front: Front) -> AsyncIterator[Cable]:
    """Open a line to the daemon."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    cable = Cable(listener.socket.getsockname()[1], int(front.url.rpartition(":")[2]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, cable.carry, [listener])
        yield cable
        nursery.cancel_scope.cancel(reason="the test is over")


@pytest.fixture
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once after a loss."""
    monkeypatch.setattr(retrying, "_FIRST_WAIT_S", 0.01)


@pytest.mark.usefixtures("_short_waits")
async def test_events_go_on_after_the_last_one_when_the_line_breaks(front: Front) -> None:
    """What has happened meanwhile comes, once."""
    async with open_cable(front) as cable, AsyncClient(f"http://127.0.0.1:{cable.port}") as client:
        first = await client.create()
        async with client.session(first).open_events() as events:
            with trio.fail_after(PATIENCE_S):
                assert (await anext(events)).type == "session.live"
                cable.cut()
                await front.supervisor.end_session(first)
                rest = [event.type async for event in events]
    assert rest == ["session.ending", "session.ended"]


@pytest.mark.usefixtures("_short_waits")
async def test_events_of_all_sessions_begin_where_they_were_opened(front: Front) -> None:
    """Also if the line breaks before the first one."""
    await front.establish()
    async with open_cable(front) as cable, AsyncClient(f"http://127.0.0.1:{cable.port}") as client:
        async with client.open_events() as events:
            cable.cut()
            second = (await front.establish()).rpartition("/")[2]
            with trio.fail_after(PATIENCE_S):
                first = await anext(events)
        assert isinstance(first, EventMessage)
        assert (first.session_id, first.type) == (second, "session.cloning")


@pytest.mark.usefixtures("_short_waits")
async def test_pictures_go_on_when_the_line_breaks(front: Front) -> None:
    """Until the session has ended."""
    async with open_cable(front) as cable, AsyncClient(f"http://127.0.0.1:{cable.port}") as client:
        session = client.session(await client.create())
        async with session.watch() as pictures:
            with trio.fail_after(PATIENCE_S):
                await anext(pictures)
                cable.cut()
                await anext(pictures)
                await front.supervisor.end_session(session.id)
                assert [picture async for picture in pictures if not picture] == []


@pytest.mark.usefixtures("_short_waits")
async def test_events_of_a_daemon_that_is_gone_end_with_an_error(front: Front) -> None:
    """After the time for asking again. Those of another run begin with a gap."""
    async with (
        AsyncClient(front.url, retry_for_s=0.05) as client,
        client.open_events("another-7") as events,
    ):
        with trio.fail_after(PATIENCE_S):
            gap = await anext(events)
            assert isinstance(gap, GapMessage)
            assert gap.type == "gap"
            await client.create()
            assert isinstance(await anext(events), EventMessage)
            front.supervisor.events.close()
            with pytest.raises(DaemonUnreachable, match="ended the stream"):
                [event async for event in events]


async def test_pictures_end_with_an_error_for_who_may_watch_no_more() -> None:
    """An end in order is that of the session only if the daemon says so."""
    async with open_front(token=TOKEN) as front, AsyncClient(front.url, TOKEN) as client:
        session = client.session(await client.create())
        link = await session.make_link()
        guest = AsyncClient(front.url, link.token, retry_for_s=0)
        async with guest, guest.session(session.id).watch() as pictures:
            await anext(pictures)
            path = f"/tiktok/session/{session.id}/links/{link.link.id}"
            headers = {"Authorization": f"Bearer {TOKEN}"}
            assert (await front.client.delete(path, headers=headers)).status_code == 204
            with trio.fail_after(PATIENCE_S), pytest.raises(ApiError) as refused:
                [picture async for picture in pictures]
        assert refused.value.code == "UNAUTHORIZED"


@pytest.mark.usefixtures("_short_waits")
async def test_creation_whose_answer_is_lost_is_asked_for_again() -> None:
    """With a key, it is still one session; without one, the daemon ends it and the error says what may be."""
    async with open_front(FakeMachine(launch_s=0.2)) as front, open_cable(front) as cable:
        async with AsyncClient(f"http://127.0.0.1:{cable.port}") as client, trio.open_nursery() as nursery:
            nursery.start_soon(_cut_once_launching, front, cable)
            session_id = await client.create(idempotency_key="k")
            assert set(front.machine.browsers) == {session_id}
        async with AsyncClient(f"http://127.0.0.1:{cable.port}") as client, trio.open_nursery() as nursery:
            nursery.start_soon(_cut_once_launching, front, cable)
            with pytest.raises(DaemonUnreachable) as lost:
                await client.create()
        assert lost.value.was_asked
        await until(lambda: set(front.machine.clones) == {session_id})


async def _cut_once_launching(front: Front, cable: Cable) -> None:
    begun = len(front.events)
    await until(lambda: any(event.session.state is SessionState.LAUNCHING for event in front.events[begun:]))
    cable.cut()


async def test_bundle_of_a_lost_session_is_read(front: Front) -> None:
    """What is kept of a failure comes as it is."""
    async with AsyncClient(front.url) as client:
        session = client.session(await client.create())
        front.machine.action_error = BrowserLost("it is gone")
        with pytest.raises(ApiError):
            await session.act(Click(target="e1"))
        front.machine.bundles[session.id] = {"about.json": b"{}"}
        assert b"about.json" in await session.bundle()
