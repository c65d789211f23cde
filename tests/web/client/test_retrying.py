"""When a client asks again, and how it takes streams apart: without I/O."""

from datetime import UTC, datetime

import httpx
import msgspec
import pytest
from httpx_sse import EventSource

from greenroom.actors.events import ActionNote
from greenroom.web.client.errors import ApiError, ClientError, DaemonUnreachable, error_in
from greenroom.web.client.feeds import EventFeed, PictureFeed
from greenroom.web.client.retrying import Retrying
from greenroom.web.http.event_messages import EventMessage
from greenroom.web.http.schemas import ErrorDetails

LOST = DaemonUnreachable("lost", was_asked=True)
NOBODY = DaemonUnreachable("nobody")


def refusal(*, retryable: bool = True, after_s: float | None = None) -> ApiError:
    details = ErrorDetails(code="A", details="b", retryable=retryable)
    return ApiError(503, "c", details, retry_after_s=after_s)


def waits(error: ClientError, *, budget_s: float = 30, expects_restart: bool = False) -> list[float]:
    """Return how long is waited between the attempts, all of which end with `error`."""
    now, found = 100.0, []
    retrying = Retrying(budget_s=budget_s, clock=lambda: now, expects_restart=expects_restart)
    while (wait_s := retrying.wait_s(error)) is not None:
        found.append(wait_s)
        now += wait_s
    return found


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (refusal(after_s=7), [7, 7, 7, 7]),
        (refusal(after_s=31), []),
        (refusal(), []),
        (refusal(retryable=False, after_s=1), []),
        (LOST, [1, 2, 4, 8, 10]),
        (NOBODY, []),
    ],
    ids=["said", "too late", "not said", "final", "lost", "nobody"],
)
def test_daemon_says_whether_and_when_to_ask_again(error: ClientError, expected: list[float]) -> None:
    """Within the budget, and never beyond."""
    assert waits(error) == expected
    assert waits(error, budget_s=0) == []


def test_stream_waits_for_a_daemon_that_restarts() -> None:
    """Once it has been there."""
    assert waits(NOBODY, expects_restart=True) == [1, 2, 4, 8, 10]


def test_budget_begins_anew_after_a_success() -> None:
    """A stream that breaks once an hour goes on for ever."""
    now = 0.0
    retrying = Retrying(budget_s=5, clock=lambda: now)
    for _ in range(100):
        assert retrying.wait_s(LOST) == 1
        now += 4
        retrying.succeeded()


def test_budget_begins_anew_after_a_stream_that_lasted() -> None:
    """Also if nothing has happened in it; one that ends at once is no success."""
    now = 0.0
    retrying = Retrying(budget_s=5, clock=lambda: now)
    for _ in range(100):
        retrying.connected()
        now += 60
        assert retrying.wait_s(NOBODY) == 1
    for expected in (2, None):
        retrying.connected()
        assert retrying.wait_s(NOBODY) == expected
        now += expected or 0


@pytest.mark.parametrize("date", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e9", "²", "9" * 400])
def test_retry_after_that_is_no_number_of_seconds_is_not_known(date: str) -> None:
    """Only a proxy would send it."""
    body = b'{"status":"error","message":"m","error_details":{"code":"A","details":"d","retryable":true}}'
    error = error_in(503, {"Retry-After": date}, body, url="u")
    assert isinstance(error, ApiError)
    assert (error.retry_after_s, error.retryable) == (None, True)


@pytest.mark.parametrize("size", [1, 2, 7, 100, 10_000])
def test_pictures_are_found_however_their_bytes_arrive(size: int) -> None:
    """Each as soon as it is whole, also if it has lines of its own."""
    head = b"--greenroom-picture\r\nContent-Type: image/jpeg\r\n\r\n"
    pictures = [b"one", b"\r\n\r\ntwo\r\n--other", b"three" * 50]
    body = head + b"".join(picture + b"\r\n" + head for picture in pictures)
    feed = PictureFeed(session_id="a", fps=1, quality=1)
    found = [
        picture for start in range(0, len(body), size) for picture in feed.take(body[start : start + size])
    ]
    assert found == pictures


def test_event_may_have_any_character() -> None:
    """Also those that Python, unlike the format, takes for the ends of lines."""
    now = datetime.now(UTC)
    note = ActionNote(kind="click", target="a\u2028b\x85c\x0bd", page=None, ms=1, outcome="ok")
    sent = EventMessage(id="r-1", at=now, type="session.action", session_id="a", action=note)
    body = b"retry: 1000\n\nid: r-1\nevent: session.action\ndata: " + msgspec.json.encode(sent) + b"\n\n"
    answer = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=body)
    feed = EventFeed()
    found = [event for sse in EventSource(answer).iter_sse() for event in feed.take(sse)]
    assert found == [sent]
    assert feed.request().headers["Last-Event-ID"] == "r-1"


def test_picture_without_an_end_is_refused() -> None:
    """The other side can't fill our memory."""
    feed = PictureFeed(session_id="a", fps=1, quality=1)
    feed.take(b"x" * (32 << 20))
    with pytest.raises(DaemonUnreachable, match="no end"):
        feed.take(b"x")
