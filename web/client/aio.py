"""The client for async programs, on Trio or asyncio."""

import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import anyio
import httpx

from greenroom.actors.lifecycle import DEFAULT_PROFILE, ProfileMode
from greenroom.web.client import daemon_requests, session_requests
from greenroom.web.client.aio_streams import each, sse, unwinding
from greenroom.web.client.daemon import DEFAULT_URL, END_S, RETRY_FOR_S, TIMEOUT_S, Daemon
from greenroom.web.client.errors import ClientError
from greenroom.web.client.feeds import Event, EventFeed, Feed, PictureFeed
from greenroom.web.client.reaching import find_socket, open_async_client
from greenroom.web.client.request import Reply, Request

T = TypeVar("T")
P = ParamSpec("P")
Arrived = TypeVar("Arrived")
Item = TypeVar("Item")


def _of_daemon(
    make: Callable[P, Request[T]],
) -> Callable[Concatenate["AsyncClient", P], Coroutine[Any, Any, T]]:
    """Return the method that sends what `make` makes."""

    @functools.wraps(make)
    async def method(self: "AsyncClient", /, *args: P.args, **fields: P.kwargs) -> T:
        return await self.send(make(*args, **fields))

    return method


def _of_session(
    make: Callable[Concatenate[str, P], Request[T]],
) -> Callable[Concatenate["AsyncRemoteSession", P], Coroutine[Any, Any, T]]:
    """Return the method that sends what `make` makes for the session."""

    @functools.wraps(make)
    async def method(self: "AsyncRemoteSession", /, *args: P.args, **fields: P.kwargs) -> T:
        return await self.client.send(make(self.id, *args, **fields))

    return method


class AsyncClient:
    """A client of the daemon at `url`, with its `token`, if it has one. Use it in an `async with` block.

    `timeout_s` limits each answer, from the request to the last byte. What may help to ask again is asked
    again, for up to `retry_for_s` seconds; 0 turns that off. Methods raise `ApiError` or `DaemonUnreachable`.
    The address may be `unix:/PATH`; `certificate` is the daemon's own, if it has one that the system does not
    trust.
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
            self._http = open_async_client(url, certificate=certificate, headers=self._daemon.http_headers())

    def __repr__(self) -> str:
        return f"AsyncClient({self._daemon.url!r})"

    @property
    def socket(self) -> str | None:
        """The path of the Unix socket at which the daemon is; None if it is at an address of TCP."""
        return find_socket(self._daemon.url)

    @property
    def has_token(self) -> bool:
        """Whether it sends a token."""
        return self._daemon.token is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    create = _of_daemon(daemon_requests.create)
    sessions = _of_daemon(daemon_requests.sessions)
    overview = _of_daemon(daemon_requests.overview)
    health = _of_daemon(daemon_requests.health)
    leaks = _of_daemon(daemon_requests.leaks)
    history = _of_daemon(daemon_requests.history)
    profiles = _of_daemon(daemon_requests.profiles)
    log_in = _of_daemon(daemon_requests.log_in)
    import_login = _of_daemon(daemon_requests.import_login)

    def session(self, session_id: str) -> "AsyncRemoteSession":
        """Return the session with this id, without asking whether there is one. Raises `ValueError`."""
        return AsyncRemoteSession(self, session_id)

    @contextlib.asynccontextmanager
    async def open_session(
        self,
        *,
        profile: str = DEFAULT_PROFILE,
        mode: ProfileMode = ProfileMode.READ,
        idempotency_key: str | None = None,
    ) -> AsyncIterator["AsyncRemoteSession"]:
        """Create a session, as `create` does, and end it when the block is left.

        If the block fails, the end is waited for up to 30 seconds. The daemon goes on with it.
        """
        session_id = await self.create(profile=profile, mode=mode, idempotency_key=idempotency_key)
        session = AsyncRemoteSession(self, session_id)
        try:
            yield session
        except BaseException:
            with anyio.move_on_after(END_S, shield=True), contextlib.suppress(ClientError):
                await session.end()
            raise
        await session.end()

    @contextlib.asynccontextmanager
    async def open_events(self, last_id: str | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        """Follow what happens in the daemon from now on, or after the event with the id `last_id`.

        The block gets an iterator. If the connection breaks, it goes on after the last event; a `GapMessage`
        says that events are missing.
        """
        if last_id is None:  # so that nothing is missed if the connection breaks before the first event
            last_id = (await self.overview()).last_event_id
        async with self.follow(EventFeed(last_id=last_id), sse) as events:
            yield events

    async def send(self, request: Request[T]) -> T:
        """Send a request, again where that may help, and return what its answer says."""
        retrying = self._daemon.retrying(anyio.current_time)
        while True:
            try:
                return request.finish(await self._exchange(request))
            except ClientError as exc:
                wait_s = retrying.wait_s(exc) if request.is_repeatable else None
                if wait_s is None:
                    raise
            await anyio.sleep(wait_s)

    async def _exchange(self, request: Request[Any]) -> Reply:
        with anyio.move_on_after(self._daemon.timeout_s):
            async with self._open(request) as answer:
                return await self._read(answer, request.max_bytes)
        raise self._daemon.too_slow()

    async def _read(self, answer: httpx.Response, max_bytes: int) -> Reply:
        content = bytearray()
        async with unwinding(answer.aiter_raw()) as parts:
            async for data in parts:
                content += data
                if len(content) > max_bytes:
                    raise self._daemon.too_long()
        return Reply(
            url=self._daemon.url, status=answer.status_code, headers=answer.headers, content=bytes(content)
        )

    @contextlib.asynccontextmanager
    async def follow(
        self, feed: Feed[Arrived, Item], arriving: Callable[[httpx.Response], AsyncIterator[Arrived]]
    ) -> AsyncIterator[AsyncIterator[Item]]:
        """Connect, and get what a feed makes of what arrives, over as many connections as it takes."""
        async with contextlib.aclosing(self._batches(feed, arriving)) as batches:
            await anext(batches, None)
            async with contextlib.aclosing(each(batches)) as items:
                yield items

    async def _batches(
        self, feed: Feed[Arrived, Item], arriving: Callable[[httpx.Response], AsyncIterator[Arrived]]
    ) -> AsyncGenerator[list[Item]]:
        """Yield nothing once connected, then what arrives together."""
        retrying = self._daemon.retrying(anyio.current_time)
        is_again = False
        while not feed.is_over:
            request, error = feed.request(), None
            try:
                async with self._open(request, read_timeout_s=feed.silence_s) as answer:
                    if answer.status_code == httpx.codes.NO_CONTENT:
                        return
                    if not answer.is_success:
                        request.finish(await self._read(answer, request.max_bytes))
                    retrying.connected()
                    yield []
                    async with unwinding(arriving(answer)) as parts:
                        async for arrived in parts:
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
                await anyio.sleep(wait_s)

    @contextlib.asynccontextmanager
    async def _open(
        self, request: Request[Any], *, read_timeout_s: float | None = None
    ) -> AsyncIterator[httpx.Response]:
        timeout = httpx.Timeout(self._daemon.timeout_s, read=read_timeout_s)
        with self._daemon.explaining():
            async with self._http.stream(**self._daemon.http_request(request), timeout=timeout) as answer:
                yield answer


class AsyncRemoteSession:
    """A session of the daemon, by its `id`. Methods raise `ApiError` or `DaemonUnreachable`."""

    def __init__(self, client: AsyncClient, session_id: str) -> None:
        session_requests.path_of(session_id)
        self.client = client
        self.id = session_id

    def __repr__(self) -> str:
        return f"AsyncRemoteSession({self.id!r})"

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

    @contextlib.asynccontextmanager
    async def open_events(self, last_id: str | None = None) -> AsyncIterator[AsyncIterator[Event]]:
        """Follow what happens to the session, as `AsyncClient.open_events` does, up to its end."""
        feed = EventFeed(session_id=self.id, last_id=last_id)
        async with self.client.follow(feed, sse) as events:
            yield events

    @contextlib.asynccontextmanager
    async def watch(self, *, fps: float = 10, quality: int = 60) -> AsyncIterator[AsyncIterator[bytes]]:
        """Watch the session: pictures of its page, as JPEGs, at most `fps` a second, up to its end.

        The block gets an iterator. There is a picture whenever the page has changed; who is slow gets fewer.
        """
        feed = PictureFeed(session_id=self.id, fps=fps, quality=quality)
        async with self.client.follow(feed, httpx.Response.aiter_raw) as pictures:
            yield pictures
