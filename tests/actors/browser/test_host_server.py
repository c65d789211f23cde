"""The host's side of the connection: every request gets a reply, whatever is in it."""

import asyncio
import socket
from collections.abc import Mapping

import pytest

from greenroom.actors.browser.host import server
from greenroom.actors.browser.host.browser import BrowserSession
from greenroom.actors.browser.host.document import PageUnreachable
from greenroom.actors.browser.wire import messages
from greenroom.actors.browser.wire.framing import decode_from_host, encode
from greenroom.actors.verdict import Method
from tests.actors.browser.frame_reader import read_frame
from tests.patience import patience

LAUNCH = messages.Launch(
    id=1,
    session="a",
    engine="firefox",
    executable="x",
    profile="y",
    headless=True,
    marker="o.a",
    scratch="/s",
)
ANSWERED_S = patience(5)


@pytest.fixture
def _no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the browser: every launch succeeds."""

    async def start(_session: BrowserSession) -> None:
        pass

    monkeypatch.setattr(BrowserSession, "start", start)


def converse(*requests: messages.ToHost) -> list[messages.FromHost]:
    """Serve these requests one after the other; return the replies."""

    async def run() -> list[messages.FromHost]:
        ours, theirs = socket.socketpair()
        serving = asyncio.create_task(server.serve(theirs))
        reader, writer = await asyncio.open_connection(sock=ours)
        replies = []
        for request in (None, *requests):
            if request is not None:
                writer.write(encode(request))
            replies.append(decode_from_host(await read_frame(reader)))
        writer.close()
        await serving
        return replies[1:]

    async def run_within_bounds() -> list[messages.FromHost]:
        return await asyncio.wait_for(run(), ANSWERED_S)

    return asyncio.run(run_within_bounds())


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (
            RuntimeError("a page's \ud83e words"),
            messages.Failed(id=2, session="a", detail="RuntimeError: a page's ? words"),
        ),
        (RuntimeError("x" * 5000), messages.Failed(id=2, session="a", detail=f"RuntimeError: {'x' * 3986}")),
        (PageUnreachable("NS_\udcff"), messages.Unreachable(id=2, session="a", detail="NS_?")),
    ],
    ids=["surrogate", "long", "unreachable"],
)
@pytest.mark.usefixtures("_no_browser")
def test_error_text_that_does_not_fit_a_frame_is_made_to(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reply: messages.Reply
) -> None:
    """A lone surrogate in a page's error message costs only that character."""

    async def fail(_session: BrowserSession, _url: str | None) -> None:
        raise error

    monkeypatch.setattr(BrowserSession, "load", fail)
    assert converse(LAUNCH, messages.Navigate(id=2, session="a"))[1] == reply


@pytest.mark.usefixtures("_no_browser")
def test_finding_that_no_frame_can_hold_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request gets an answer even if its real answer can't be sent."""

    async def find(_session: BrowserSession, _method: Method, _selectors: Mapping[str, str]) -> str:
        return "\ud83e"

    monkeypatch.setattr(BrowserSession, "inspect", find)
    _, reply = converse(LAUNCH, messages.Inspect(id=2, session="a", method=Method.DOM, selectors={}))
    assert isinstance(reply, messages.Failed)
    assert reply.detail.startswith("FrameError: a Found holds text that is not Unicode")


def test_request_for_a_session_that_is_not_there_is_a_failure() -> None:
    """An unknown session is a different error from a failed request."""
    assert converse(messages.Close(id=1, session="b")) == [
        messages.Failed(id=1, session="b", detail="KeyError: 'b'")
    ]
