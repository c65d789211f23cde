"""The daemon's side of a connection to a browser host that misbehaves. In memory, in virtual time."""

from collections.abc import Awaitable, Callable

import pytest
import structlog.testing
import trio
from trio.testing import MockClock

from greenroom.actors.browser.client.loss import Loss
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.framing import FrameError, encode
from greenroom.actors.errors import BrowserLost
from greenroom.actors.testing_hosts import MemoryHost
from tests.actors.browser.memory_links import URL, answer_all, assert_lost, load, open_link
from tests.cancelling import cancelled_at_step

PASSWORD = "proxyuser-hunter2"


def says(*said: messages.FromHost | bytes) -> Callable[[MemoryHost], Awaitable[None]]:
    """Return the behaviour of a host that sends this and then nothing more."""

    async def behave(host: MemoryHost) -> None:
        for one in said:
            await (host.say_bytes(one) if isinstance(one, bytes) else host.say(one))
        await trio.sleep_forever()

    return behave


def answers(
    answer: Callable[[MemoryHost, messages.Request], Awaitable[object]],
) -> Callable[[MemoryHost], Awaitable[None]]:
    """Return the behaviour of a host that answers every request, except heartbeats, with these replies."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        while True:
            if not isinstance(message := await host.hear_request(), messages.Cancel | messages.Credit):
                await answer(host, message)

    return behave


async def hang_up(host: MemoryHost, _request: messages.Request) -> None:
    await host.hang_up()


async def break_off(host: MemoryHost, _request: messages.Request) -> None:
    await host.say_bytes(b"\0\0")
    await host.hang_up()


async def die(host: MemoryHost, _request: messages.Request) -> None:
    host.died.set()


# Which error comes first depends on whether a heartbeat is being sent at that moment.
HUNG_UP = "closed the conversation|stopped reading"
READY = messages.Ready(version=messages.PROTOCOL_VERSION)


@pytest.mark.parametrize(
    ("behave", "why"),
    [
        (says(b"HTTP/1.1 400 Bad Request"), "bytes is announced"),
        (says(b"\0\0\0\2\0\0\0\0no"), "not a message from a host"),
        (says(READY, encode(messages.Ping(id=1))), "not a message from a host"),
        (says(READY, b"\xff" * 8), "4294967295 bytes is announced"),
        (says(messages.Ready(version=99)), f"speaks protocol 99, not {messages.PROTOCOL_VERSION}"),
        (says(READY, messages.Lost(detail="crashed")), "^crashed$"),
        (says(READY, messages.Lost(session="b", detail="crashed")), "session 'b'.* not its own"),
        (answers(lambda host, r: host.say(messages.Done(id=r.id, session="b"))), "session 'b'.* not its own"),
        (says(READY, messages.Done(id=99, session="b")), "session 'b'.* not its own"),
        (answers(hang_up), HUNG_UP),
        (answers(break_off), HUNG_UP),
        (answers(die), "process died"),
    ],
    ids=[
        "garbage",
        "not-json",
        "wrong-direction",
        "giant",
        "other-version",
        "gives-up",
        "lost-another",
        "reply-of-another",
        "unasked-reply-of-another",
        "hangs-up-in-request",
        "dies-in-frame",
        "dies-with-the-socket-open",
    ],
)
async def test_broken_host_is_lost(
    autojump_clock: MockClock, behave: Callable[[MemoryHost], Awaitable[None]], why: str
) -> None:
    """However a host misbehaves, everybody gets `BrowserLost` with the reason at once."""
    async with open_link(behave) as (link, _):
        with trio.fail_after(2):
            await assert_lost(link, why)


async def never_ready(_host: MemoryHost) -> None:
    await trio.sleep_forever()


async def never_answers(host: MemoryHost) -> None:
    await host.ready()
    while True:
        await host.hear()


async def stops_answering(host: MemoryHost) -> None:
    await host.ready()
    for _ in range(3):
        request = await host.hear()
        assert isinstance(request, messages.Ping)
        await host.done(request)
    while True:
        await host.hear()


async def no_heartbeat(host: MemoryHost) -> None:
    await host.ready()
    while True:
        if isinstance(message := await host.hear(), messages.Navigate):
            await host.done(message)


@pytest.mark.parametrize("behave", [never_ready, never_answers, stops_answering, no_heartbeat])
async def test_stalled_host_is_lost(
    autojump_clock: MockClock, behave: Callable[[MemoryHost], Awaitable[None]]
) -> None:
    """A host that runs but doesn't answer is noticed after 15 s, even without a request."""
    async with open_link(behave) as (link, _):
        await link.loss.wait()
        assert link.loss.why.endswith(" did not answer for 15 seconds")
        assert trio.current_time() <= 15 + 2 + 2
        await assert_lost(link, "did not answer")


async def test_host_that_stops_reading_is_lost(autojump_clock: MockClock) -> None:
    """A request that the host doesn't take fails, whether it was cancelled or not."""
    async with open_link(says(READY)) as (link, _):
        with pytest.raises(BrowserLost) as caught:
            await load(link)
        assert "stopped reading" in str(caught.value.detail)
        assert trio.current_time() == 1


@pytest.mark.parametrize("url", ["http://example.org/\udcff", URL + "x" * (3 << 20)], ids=["bytes", "giant"])
async def test_request_that_no_frame_can_hold_fails_alone(autojump_clock: MockClock, url: str) -> None:
    """Bytes that are not UTF-8, from a path or the environment, fail their own request and nothing else."""
    async with open_link(answer_all) as (link, _):
        with pytest.raises(FrameError, match="Navigate"):
            await load(link, url=url)
        assert await load(link) == ""


async def test_slow_start_of_requests_is_waited_for(autojump_clock: MockClock) -> None:
    """A request that is made before the host is ready is sent once it is."""

    async def behave(host: MemoryHost) -> None:
        await trio.sleep(14)
        await answer_all(host)

    async with open_link(behave) as (link, _):
        assert await load(link) == ""
        assert trio.current_time() == 14


async def test_host_that_answers_lives_on(autojump_clock: MockClock) -> None:
    """The pause between heartbeats doesn't count as time without an answer."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        while True:
            message = await host.hear()
            await trio.sleep(14)
            assert not isinstance(message, messages.Cancel | messages.Credit)
            await host.done(message)

    async with open_link(behave) as (link, _):
        link.leave("a")
        with trio.move_on_after(500):
            await link.loss.wait()
        assert not link.loss.has_happened


async def test_heartbeats_leave_the_host_in_peace(autojump_clock: MockClock) -> None:
    """The next heartbeat comes a pause after the last answer."""
    pings: list[str] = []

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        while True:
            message = await host.hear()
            assert isinstance(message, messages.Ping)
            pings.append(message.session)
            await host.done(message)

    async with open_link(behave):
        await trio.sleep(1)
        assert sorted(pings) == ["", "a"]
        await trio.sleep(2)
        assert sorted(pings) == ["", "", "a", "a"]


async def often(host: MemoryHost, request: messages.Request) -> None:
    for _ in range(9):
        await host.done(request)


async def twice_differently(host: MemoryHost, request: messages.Request) -> None:
    await host.done(request)
    await host.say(messages.Failed(id=request.id, session="a", detail="x"))


async def unknown_id(host: MemoryHost, request: messages.Request) -> None:
    await host.say(messages.Done(id=request.id + 1000, session="a"))
    await host.done(request)


async def negative_id(host: MemoryHost, request: messages.Request) -> None:
    await host.say(messages.Done(id=-1, session="a"))
    await host.done(request)


async def unknown_piece(host: MemoryHost, request: messages.Request) -> None:
    await host.say(messages.Piece(id=request.id + 1000, session="a"), b"x")
    await host.done(request)


async def ready_again(host: MemoryHost, request: messages.Request) -> None:
    await host.ready()
    await host.done(request)


@pytest.mark.parametrize(
    "answer", [often, twice_differently, unknown_id, negative_id, unknown_piece, ready_again]
)
async def test_unexpected_reply_is_ignored(
    autojump_clock: MockClock,
    answer: Callable[[MemoryHost, messages.Request], Awaitable[object]],
) -> None:
    """A second reply harms neither its own request nor the next one."""
    async with open_link(answers(answer)) as (link, _):
        for _ in range(3):
            assert await load(link) == ""


async def test_replies_in_another_order_find_their_requests(autojump_clock: MockClock) -> None:
    """Concurrent requests are matched to replies by id, not by order."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        asked = [await host.hear_request() for _ in range(3)]
        for request in (asked[2], asked[0], asked[1]):
            assert isinstance(request, messages.Navigate)
            await host.say(messages.Unreachable(id=request.id, session="a", detail=str(request.url)))
        await host.hear_request()

    answered: dict[str, str] = {}

    async def ask(url: str) -> None:
        answered[url] = await load(link, url=url)

    async with open_link(behave) as (link, _), trio.open_nursery() as nursery:
        for url in ("one", "two", "three"):
            nursery.start_soon(ask, url)
    assert answered == {url: url for url in ("one", "two", "three")}


def remembers(heard: list[messages.ToHost]) -> Callable[[MemoryHost], Awaitable[None]]:
    """Return the behaviour of a host that does what it is asked, except for requests that should hang."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        while True:
            heard.append(message := await host.hear_request())
            match message:
                case messages.Cancel(id=id_):
                    await host.say(messages.Failed(id=id_, session="a", detail="given up"))
                case messages.Navigate(url="hang") | messages.Credit():
                    pass
                case _:
                    await host.done(message)

    return behave


async def test_cancelled_request_is_given_up_and_the_link_stays_usable(autojump_clock: MockClock) -> None:
    """The host learns which request was cancelled. Its late reply harms no other request."""
    heard: list[messages.ToHost] = []
    async with open_link(remembers(heard)) as (link, _):
        await load(link)
        with trio.move_on_after(1):
            await load(link, url="hang")
        assert await load(link) == ""
    hanging, given_up = heard[1], heard[2]
    assert isinstance(hanging, messages.Navigate)
    assert given_up == messages.Cancel(id=hanging.id, session="a")


async def test_request_cancelled_while_it_is_sent_leaves_the_link_usable(autojump_clock: MockClock) -> None:
    """A frame that was begun is sent to its end, within bounds, because half a frame would end the link."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        await trio.sleep(0.9)
        while True:
            if not isinstance(message := await host.hear(), messages.Cancel | messages.Credit):
                await host.done(message)

    async with open_link(behave) as (link, _):
        await link.wait_ready()
        with trio.move_on_after(0.5) as patience:
            await load(link, url=URL + "x" * 900_000)
        assert patience.cancelled_caught
        assert await load(link) == ""


async def test_request_cancelled_at_any_checkpoint_leaves_the_link_usable(autojump_clock: MockClock) -> None:
    """A deadline in the middle of sending doesn't end the host."""
    async with open_link(remembers([])) as (link, _):
        for step in range(1, 12):
            with cancelled_at_step(step):
                await load(link)
            assert await load(link) == ""


async def test_lost_host_wakes_every_request(autojump_clock: MockClock) -> None:
    """All requests under way learn of the loss."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        for _ in range(3):
            await host.hear_request()
        await host.die()

    errors: list[BrowserLost] = []

    async def ask() -> None:
        with pytest.raises(BrowserLost) as caught:
            await load(link)
        errors.append(caught.value)

    async with open_link(behave) as (link, _), trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ask)
    assert len(errors) == 3


async def test_giant_detail_is_cut(autojump_clock: MockClock) -> None:
    """A host can't flood the log with the reason for its own end."""
    async with open_link(says(messages.Lost(detail="x" * 1_000_000))) as (link, _):
        await link.loss.wait()
        assert link.loss.why == "x" * 2000


async def test_output_is_logged_at_debug_and_redacted(autojump_clock: MockClock) -> None:
    """Passwords and cookies never reach the log."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        for line in (b"hello", b"Cookie: aaa", b"it is " + PASSWORD.encode(), b"\xff", b"", b" "):
            host.print(line)

    with structlog.testing.capture_logs() as logs:
        async with open_link(behave, secrets=[PASSWORD]):
            await trio.sleep(1)
    assert [(entry["event"], entry["log_level"], entry["host"]) for entry in logs] == [
        ("host output", "debug", "host-1")
    ] * 4
    assert [entry["line"] for entry in logs] == ["hello", "Cookie:***", "it is ***", "�"]


async def test_sessions_that_ask_at_once_get_their_own_replies(autojump_clock: MockClock) -> None:
    """Each reply reaches the session that it names, whatever the order."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        asked = [await host.hear_request() for _ in range(4)]
        for request in reversed(asked):
            assert isinstance(request, messages.Navigate)
            detail = f"{request.session} asked {request.url}"
            await host.say(messages.Unreachable(id=request.id, session=request.session, detail=detail))

    answered: dict[tuple[str, str], str] = {}

    async def ask(name: str, url: str) -> None:
        answered[name, url] = await load(link, url=url, session=name)

    async with open_link(behave) as (link, _), trio.open_nursery() as nursery:
        link.enter("b")
        for url in ("one", "two"):
            for name in ("a", "b"):
                nursery.start_soon(ask, name, url)
    assert answered == {(name, url): f"{name} asked {url}" for name in ("a", "b") for url in ("one", "two")}


@pytest.mark.parametrize(
    ("named", "why"),
    [("b", "^the host answered for 'b' what 'a' had asked$"), ("z", "'z', which is not its own")],
    ids=["neighbour", "stranger"],
)
@pytest.mark.parametrize("kind", ["reply", "piece"])
async def test_answer_that_names_another_session_than_asked_ends_all(
    autojump_clock: MockClock, named: str, why: str, kind: str
) -> None:
    """A host that confuses sessions might show one of them the other's page, so it is no longer trusted."""

    async def mix_up(host: MemoryHost, request: messages.Request) -> None:
        if kind == "piece":
            await host.say(messages.Piece(id=request.id, session=named), b"x")
        else:
            await host.say(messages.Done(id=request.id, session=named))

    async with open_link(answers(mix_up)) as (link, _):
        losses = [link.enter("b"), link.loss]
        with pytest.raises(BrowserLost):
            await load(link)
        for loss in losses:
            assert loss.has_happened
        await assert_lost(link, why)


async def test_browser_said_to_be_lost_is_lost_alone(autojump_clock: MockClock) -> None:
    """Its requests, under way and later, learn why. The other session and the host go on."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        while True:
            message = await host.hear_request()
            assert isinstance(message, messages.Navigate)
            if message.session == "b":
                await host.say(messages.Lost(session="b", detail="crashed"))
            else:
                await host.done(message)

    async with open_link(behave) as (link, _):
        loss = link.enter("b")
        for _ in range(2):
            with pytest.raises(BrowserLost) as caught:
                await load(link, loss, session="b")
            assert caught.value.detail == "crashed"
        link.leave("b")
        assert await load(link) == ""
        link.enter("c")
        assert await load(link, session="c") == ""


@pytest.mark.parametrize(
    "late",
    [
        messages.Lost(session="b", detail="crashed"),
        messages.Done(id=1, session="b"),
        messages.Failed(id=99, session="b", detail="x"),
        None,
    ],
    ids=["lost", "old-reply", "unknown-reply", "reply-to-anothers-request"],
)
async def test_answer_for_a_session_that_has_left_is_ignored(
    autojump_clock: MockClock, late: messages.FromHost | None
) -> None:
    """A late answer does no harm. If the session comes back, its answers are heard again."""

    async def answer(host: MemoryHost, request: messages.Request) -> None:
        if request.session == "a":
            await host.say(late or messages.Done(id=request.id, session="b"))
        await host.done(request)

    async with open_link(answers(answer)) as (link, _):
        link.enter("b")
        assert await load(link, session="b") == ""
        link.leave("b")
        assert await load(link) == ""
        link.enter("b")
        assert await load(link, session="b") == ""


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (None, "the browser did not answer for 15 seconds"),
        (messages.Failed(id=0, session="b", detail="closed"), "the browser is unwell: closed"),
    ],
    ids=["silent", "unwell"],
)
async def test_browser_that_is_not_well_is_lost_alone(
    autojump_clock: MockClock, reply: messages.Failed | None, why: str
) -> None:
    """A host that answers pings for itself and for the other session has only lost the one browser."""

    async def behave(host: MemoryHost) -> None:
        await host.ready()
        while True:
            match message := await host.hear():
                case messages.Ping(id=id_, session="b"):
                    if reply is not None:
                        await host.say(messages.Failed(id=id_, session="b", detail=reply.detail))
                case messages.Cancel() | messages.Credit():
                    pass
                case _:
                    await host.done(message)

    async with open_link(behave) as (link, _):
        loss: Loss = link.enter("b")
        await loss.wait()
        assert loss.why == why
        with trio.move_on_after(60):
            await link.loss.wait()
        assert not link.loss.has_happened
        assert await load(link) == ""
