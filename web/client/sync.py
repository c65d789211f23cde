"""The client for programs that block: the twin of `aio`."""

import contextlib
import functools
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from greenroom.actors.lifecycle import DEFAULT_PROFILE, ProfileMode
from greenroom.web.client import daemon_requests, session_requests
from greenroom.web.client.daemon import DEFAULT_URL, END_S, RETRY_FOR_S, TIMEOUT_S, Daemon
from greenroom.web.client.errors import ClientError
from greenroom.web.client.feeds import Event, EventFeed, Feed, PictureFeed
from greenroom.web.client.reaching import find_socket, open_client
from greenroom.web.client.request import Reply, Request
from greenroom.web.client.sync_streams import sse

T = TypeVar("T")
P = ParamSpec("P")
Arrived = TypeVar("Arrived")
Item = TypeVar("Item")


def _of_daemon(
    make: Callable[P, Request[T]],
) -> Callable[Concatenate["Client", P], T]:
    """Return the method that sends what `make` makes."""

    @functools.wraps(make)
    def method(self: "Client", /, *args: P.args, **fields: P.kwargs) -> T:
        return self.send(make(*args, **fields))

    return method


def _of_session(
    make: Callable[Concatenate[str, P], Request[T]],
) -> Callable[Concatenate["RemoteSession", P], T]:
    """Return the method that sends what `make` makes for the session."""

    @functools.wraps(make)
    def method(self: "RemoteSession", /, *args: P.args, **fields: P.kwargs) -> T:
        return self.client.send(make(self.id, *args, **fields))

    return method


class Client:
    """A client of the daemon at `url`, with its `token`, if it has one. Use it in a `with` block.

    `timeout_s` limits each answer once it has a status and headers, and before that each wait for a part of
    these: what sends them byte by byte can take longer. `AsyncClient` limits the whole. What may help to ask
    again is asked again, for up to `retry_for_s` seconds; 0 turns that off. Methods raise `ApiError` or
    `DaemonUnreachable`. The address may be `unix:/PATH`; `certificate` is the daemon's own, if it has one
    that the system does not trust.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        retry_for_s: float = RETRY_FOR_S,
        certificate: Path | None = None,
    ) -> None:
        self._daemon = Daemon.at(url, token, timeout_s, retry_for_s)
        with self._daemon.explaining():
            self._http = open_client(url, certificate=certificate, headers=self._daemon.http_headers())

    def __repr__(self) -> str:
        return f"Client({self._daemon.url!r})"

    @property
    def socket(self) -> str | None:
        """The path of the Unix socket at which the daemon is; None if it is at an address of TCP."""
        return find_socket(self._daemon.url)

    @property
    def has_token(self) -> bool:
        """Whether it sends a token."""
        return self._daemon.token is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    create = _of_daemon(daemon_requests.create)
    sessions = _of_daemon(daemon_requests.sessions)
    overview = _of_daemon(daemon_requests.overview)
    health = _of_daemon(daemon_requests.health)
    leaks = _of_daemon(daemon_requests.leaks)
    history = _of_daemon(daemon_requests.history)
    profiles = _of_daemon(daemon_requests.profiles)
    log_in = _of_daemon(daemon_requests.log_in)
    import_login = _of_daemon(daemon_requests.import_login)

    def session(self, session_id: str) -> "RemoteSession":
        """Return the session with this id, without asking whether there is one. Raises `ValueError`."""
        return RemoteSession(self, session_id)

    @contextlib.contextmanager
    def open_session(
        self,
        *,
        profile: str = DEFAULT_PROFILE,
        mode: ProfileMode = ProfileMode.READ,
        idempotency_key: str | None = None,
    ) -> Iterator["RemoteSession"]:
        """Create a session, as `create` does, and end it when the block is left.

        If the block fails, the end is waited for up to 30 seconds. The daemon goes on with it.
        """
        session_id = self.create(profile=profile, mode=mode, idempotency_key=idempotency_key)
        session = RemoteSession(self, session_id)
        try:
            yield session
        except BaseException:
            with contextlib.suppress(ClientError):
                self._send(session_requests.end(session_id), within_s=END_S)
            raise
        session.end()

    @contextlib.contextmanager
    def open_events(self, last_id: str | None = None) -> Iterator[Iterator[Event]]:
        """Follow what happens in the daemon from now on, or after the event with the id `last_id`.

        The block gets an iterator. If the connection breaks, it goes on after the last event; a `GapMessage`
        says that events are missing.
        """
        if last_id is None:  # so that nothing is missed if the connection breaks before the first event
            last_id = (self.overview()).last_event_id
        with self.follow(EventFeed(last_id=last_id), sse) as events:
            yield events

    def send(self, request: Request[T]) -> T:
        """Send a request, again where that may help, and return what its answer says."""
        return self._send(request)

    def _send(self, request: Request[T], *, within_s: float = math.inf) -> T:
        retrying = self._daemon.retrying(time.monotonic)
        deadline = time.monotonic() + within_s
        while True:
            timeout_s = min(self._daemon.timeout_s, deadline - time.monotonic())
            try:
                return request.finish(self._exchange(request, timeout_s))
            except ClientError as exc:
                wait_s = retrying.wait_s(exc) if request.is_repeatable else None
                if wait_s is None or time.monotonic() + wait_s >= deadline:
                    raise
            time.sleep(wait_s)

    def _exchange(self, request: Request[Any], timeout_s: float) -> Reply:
        deadline = time.monotonic() + timeout_s
        with self._open(request, timeout_s=timeout_s, read_timeout_s=timeout_s) as answer:
            return self._read(answer, request.max_bytes, deadline)

    def _read(self, answer: httpx.Response, max_bytes: int, deadline: float = math.inf) -> Reply:
        content = bytearray()
        for data in answer.iter_raw():
            content += data
            if time.monotonic() > deadline:
                raise self._daemon.too_slow()
            if len(content) > max_bytes:
                raise self._daemon.too_long()
        return Reply(
            url=self._daemon.url, status=answer.status_code, headers=answer.headers, content=bytes(content)
        )

    @contextlib.contextmanager
    def follow(
        self, feed: Feed[Arrived, Item], arriving: Callable[[httpx.Response], Iterator[Arrived]]
    ) -> Iterator[Iterator[Item]]:
        """Connect, and get what a feed makes of what arrives, over as many connections as it takes."""
        with contextlib.closing(self._batches(feed, arriving)) as batches:
            next(batches, None)
            yield itertools.chain.from_iterable(batches)

    def _batches(
        self, feed: Feed[Arrived, Item], arriving: Callable[[httpx.Response], Iterator[Arrived]]
    ) -> Generator[list[Item]]:
        """Yield nothing once connected, then what arrives together."""
        retrying = self._daemon.retrying(time.monotonic)
        is_again = False
        while not feed.is_over:
            request, error = feed.request(), None
            try:
                with self._open(
                    request, timeout_s=self._daemon.timeout_s, read_timeout_s=feed.silence_s
                ) as answer:
                    if answer.status_code == httpx.codes.NO_CONTENT:
                        return
                    if not answer.is_success:
                        request.finish(self._read(answer, request.max_bytes))
                    retrying.connected()
                    yield []
                    for arrived in arriving(answer):
                        if batch := feed.take(arrived):
                            retrying.succeeded()
                            is_again = False
                            yield batch
            except ClientError as exc:
                error = exc
                feed.note(exc)
            if error is None and not is_again:
                is_again = True  # a refusal says why it has ended
            elif not feed.is_over:
                error = error or self._daemon.stream_ended()
                wait_s = retrying.wait_s(error)
                if wait_s is None:
                    raise error
                time.sleep(wait_s)

    @contextlib.contextmanager
    def _open(
        self, request: Request[Any], *, timeout_s: float, read_timeout_s: float | None
    ) -> Iterator[httpx.Response]:
        timeout = httpx.Timeout(timeout_s, read=read_timeout_s)
        with (
            self._daemon.explaining(),
            self._http.stream(**self._daemon.http_request(request), timeout=timeout) as answer,
        ):
            yield answer


class RemoteSession:
    """A session of the daemon, by its `id`. Methods raise `ApiError` or `DaemonUnreachable`."""

    def __init__(self, client: Client, session_id: str) -> None:
        session_requests.path_of(session_id)
        self.client = client
        self.id = session_id

    def __repr__(self) -> str:
        return f"RemoteSession({self.id!r})"

    info = _of_session(session_requests.info)
    end = _of_session(session_requests.end)
    extend = _of_session(session_requests.extend)
    act = _of_session(session_requests.act)
    do = _of_session(session_requests.do)
    judge = _of_session(session_requests.judge)
    playwright = _of_session(session_requests.playwright)
    make_link = _of_session(session_requests.make_link)
    bundle = _of_session(session_requests.bundle)
    put_file = _of_session(session_requests.put_file)
    read = _of_session(session_requests.read)
    snapshot = _of_session(session_requests.snapshot)
    screenshot = _of_session(session_requests.screenshot)
    html = _of_session(session_requests.html)
    pdf = _of_session(session_requests.pdf)
    pages = _of_session(session_requests.pages)
    cookies = _of_session(session_requests.cookies)
    storage = _of_session(session_requests.storage)
    console = _of_session(session_requests.console)
    network = _of_session(session_requests.network)
    downloads = _of_session(session_requests.downloads)
    download = _of_session(session_requests.download)
    fetch = _of_session(session_requests.fetch)
    trace_start = _of_session(session_requests.trace_start)
    trace_stop = _of_session(session_requests.trace_stop)

    @contextlib.contextmanager
    def open_events(self, last_id: str | None = None) -> Iterator[Iterator[Event]]:
        """Follow what happens to the session, as `Client.open_events` does, up to its end."""
        feed = EventFeed(session_id=self.id, last_id=last_id)
        with self.client.follow(feed, sse) as events:
            yield events

    @contextlib.contextmanager
    def watch(self, *, fps: float = 10, quality: int = 60) -> Iterator[Iterator[bytes]]:
        """Watch the session: pictures of its page, as JPEGs, at most `fps` a second, up to its end.

        The block gets an iterator. There is a picture whenever the page has changed; who is slow gets fewer.
        """
        feed = PictureFeed(session_id=self.id, fps=fps, quality=quality)
        with self.client.follow(feed, httpx.Response.iter_raw) as pictures:
            yield pictures
